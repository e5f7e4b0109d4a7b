//! Makes JUnit and Markdown of what the suite has seen, and starts its brokers for other programs.
//!
//! ```text
//! conformance report <folder> .. [--junit <file>] [--markdown <file>] [--html <file>]
//! conformance matrix [--from <folder>] [--check | --write] <page>
//! conformance broker <name>
//! conformance nemesis --backend <name> [--seconds <n>] ..
//! ```
//! The first folder of a report has the run that is printed and goes to JUnit; a page of HTML shows those of all folders beside each other, brokers
//! of other versions say. A report that is printed ends with the longest that a subject took to notice that its link was dead, and to receive again.
//! The matrix goes between the page's marks; `--check` fails when it is stale, and is the default. A broker runs until its
//! standard input ends; see `broker.rs`. The nemesis strikes a backend's broker, links and nodes under load, and says what came of it.

mod broker;
mod nemesis;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use roomcast_conformance::report::{LONGEST, MARK, Matrix, junit, longest, page, read, replace_between_marks};

const USAGE: &str = "usage: conformance report <folder> .. [--junit <file>] [--markdown <file>] [--html <file>]
       conformance matrix [--from <folder>] [--check | --write] <page>
       conformance broker <name>
       conformance nemesis --backend <name> [--seconds N] [--nodes N] [--rate N] [--seed N] [--subject NAME] [--history BYTES] [--keep]";

fn main() -> ExitCode {
    match run(std::env::args().skip(1)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => {
            eprintln!("{text}");
            ExitCode::FAILURE
        }
    }
}

fn run(mut arguments: impl Iterator<Item = String>) -> Result<(), String> {
    match arguments.next().as_deref() {
        Some("report") => report(arguments),
        Some("matrix") => matrix(arguments),
        Some("broker") => broker::broker(&arguments.next().ok_or(USAGE)?),
        Some("nemesis") => nemesis::nemesis(arguments),
        _ => Err(USAGE.to_owned()),
    }
}

fn report(mut arguments: impl Iterator<Item = String>) -> Result<(), String> {
    let (mut runs, mut xml, mut markdown, mut html) = (Vec::new(), None, None, None);
    while let Some(argument) = arguments.next() {
        let place = match argument.as_str() {
            "--junit" => &mut xml,
            "--markdown" => &mut markdown,
            "--html" => &mut html,
            _ => {
                runs.push(records(Path::new(&argument))?);
                continue;
            }
        };
        *place = Some(arguments.next().ok_or(USAGE)?);
    }
    let records = runs.first().ok_or(USAGE)?;
    let matrix = Matrix::of(records).to_string();
    xml.map_or(Ok(()), |file| write(Path::new(&file), &junit(records)))?;
    html.map_or(Ok(()), |file| write(Path::new(&file), &page(&runs)))?;
    match markdown {
        Some(file) => write(Path::new(&file), &matrix),
        None => {
            print!("{matrix}\n{}", longest(records, LONGEST.map(|(measurement, _)| measurement)));
            Ok(())
        }
    }
}

fn matrix(mut arguments: impl Iterator<Item = String>) -> Result<(), String> {
    let (mut from, mut page, mut writes) = (PathBuf::from("target/conformance"), None, false);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--from" => from = arguments.next().ok_or(USAGE)?.into(),
            "--check" => writes = false,
            "--write" => writes = true,
            _ => page = Some(PathBuf::from(argument)),
        }
    }
    let page = page.ok_or(USAGE)?;
    let old = fs::read_to_string(&page).map_err(|error| format!("{}: {error}", page.display()))?;
    let new = replace_between_marks(&old, &Matrix::of(&records(&from)?).to_string());
    let new = new.ok_or_else(|| format!("{} has no {MARK}", page.display()))?;
    if writes {
        return write(&page, &new);
    }
    if new == old {
        return Ok(());
    }
    let again = format!("cargo run -p roomcast-conformance -- matrix --write {}", page.display());
    Err(format!("the matrix in {} is stale; `{again}` brings it up to date", page.display()))
}

fn records(folder: &Path) -> Result<Vec<roomcast_conformance::report::Record>, String> {
    let records = read(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    if records.is_empty() { Err(format!("nothing was recorded in {}", folder.display())) } else { Ok(records) }
}

fn write(file: &Path, text: &str) -> Result<(), String> {
    fs::write(file, text).map_err(|error| format!("{}: {error}", file.display()))
}
