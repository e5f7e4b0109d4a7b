//! What the program of a suite does beside its cases: it is the nemesis, or one of its nodes.

use std::io::{BufRead, stdin};
use std::process::ExitCode;
use std::thread;

use tokio::runtime::Runtime;
use tokio::sync::mpsc;

use super::node::{self, Post};
use super::process::NODE;
use super::{Options, run};
use crate::failure::Failure;
use crate::subject::Subject;

/// The argument by which this program is the nemesis.
const NEMESIS: &str = "--nemesis";

/// What became of it, if the arguments ask for the nemesis or for one of its nodes.
pub(crate) fn asked_for(subjects: &[Subject], arguments: impl IntoIterator<Item = String>) -> Option<ExitCode> {
    let mut arguments = arguments.into_iter();
    let done = match arguments.next()?.as_str() {
        NEMESIS => nemesis(subjects, arguments),
        NODE => be_a_node(subjects, arguments),
        _ => return None,
    };
    Some(done.unwrap_or_else(|text| {
        eprintln!("{text}");
        ExitCode::FAILURE
    }))
}

fn nemesis(subjects: &[Subject], arguments: impl Iterator<Item = String>) -> Result<ExitCode, String> {
    let options = Options::parse(arguments)?;
    let subject = match &options.subject {
        None => subjects.first().ok_or("the program names no subject")?,
        Some(label) => find(subjects, label)?,
    };
    println!("{}: {} s from now on, seed {}", subject.label(), options.seconds, options.seed);
    let runtime = Runtime::new().map_err(|error| error.to_string())?;
    let report = runtime.block_on(run(subject, &options)).map_err(|error| error.to_string())?;
    println!("\n{report}");
    if let Some(folder) = &report.histories {
        println!("The histories are in {}.", folder.display());
    }
    Ok(if report.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn be_a_node(subjects: &[Subject], arguments: impl Iterator<Item = String>) -> Result<ExitCode, String> {
    let post = Post::parse(arguments).ok_or("a node is started by the nemesis")?;
    let subject = find(subjects, &post.label)?;
    let (sender, orders) = mpsc::channel(8);
    thread::spawn(move || {
        for line in stdin().lock().lines().map_while(Result::ok) {
            if sender.blocking_send(line).is_err() {
                return;
            }
        }
        // Whoever gives the orders is gone; nobody waits for this node any more.
        std::process::exit(1);
    });
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(2).enable_all().build().map_err(|error| error.to_string())?;
    let name = format!("node {}", post.run);
    let worked = runtime.block_on(node::work(subject, post, orders));
    runtime.shutdown_background();
    match worked {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(Failure::Broken(text) | Failure::Unsuited(text)) => Err(format!("{name}: {text}")),
    }
}

fn find<'a>(subjects: &'a [Subject], label: &str) -> Result<&'a Subject, String> {
    subjects.iter().find(|subject| subject.label() == label).ok_or_else(|| {
        let labels: Vec<_> = subjects.iter().map(Subject::label).collect();
        format!("no subject is called {label:?}; there are {}", labels.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use adapter_core::Memory;

    use super::{asked_for, find};
    use crate::subject::Subject;

    #[test]
    fn the_arguments_of_tests_ask_for_nothing() {
        let subjects = [Subject::new("memory", |url| Ok(Box::new(Memory::named(url)))).variant("small")];
        for arguments in [&[][..], &["nemesis"], &["g09", "--nemesis"]] {
            assert!(asked_for(&subjects, arguments.iter().map(|word| (*word).to_owned())).is_none(), "{arguments:?}");
        }
        assert!(find(&subjects, "memory small").is_ok());
        assert!(find(&subjects, "memory").is_err_and(|text| text.contains("memory small")));
    }
}
