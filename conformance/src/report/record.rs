//! One case's line.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};

use crate::case::Case;
use crate::harness::Outcome;
use crate::subject::Subject;

/// What became of one case for one subject.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Record {
    /// The backend's name.
    pub backend: String,
    /// What tells subjects of one backend apart; may be empty.
    pub variant: String,
    /// The package that was put to the test and its version, as cargo says them; empty where it does not.
    pub package: String,
    /// The broker's version, as it says itself; empty without a broker.
    pub version: String,
    /// How the broker was provided; empty without a broker.
    pub provider: String,
    /// The case.
    pub case: String,
    /// The noun that it is about.
    pub group: String,
    /// The number of its guarantee.
    pub guarantee: u8,
    /// What became of it.
    pub outcome: Outcome,
    /// How long it took.
    pub milliseconds: u64,
    /// What its random choices, and its cluster's name, followed from.
    pub seed: String,
    /// What it measured.
    pub measured: BTreeMap<String, u64>,
}

impl Record {
    pub(crate) fn new(subject: &Subject, case: &Case, seed: u64) -> Self {
        Self {
            backend: subject.name.to_string(),
            variant: subject.variant.to_string(),
            package: package(),
            version: String::new(),
            provider: String::new(),
            case: case.name.to_owned(),
            group: case.group.to_owned(),
            guarantee: case.guarantee(),
            outcome: Outcome::Failed("it did not run".to_owned()),
            milliseconds: 0,
            seed: format!("{seed:#018x}"),
            measured: BTreeMap::new(),
        }
    }

    /// Backend and variant.
    pub fn subject(&self) -> String {
        [self.backend.as_str(), &self.variant].join(" ").trim().to_owned()
    }

    fn to_json(&self) -> Value {
        let (outcome, reason) = match &self.outcome {
            Outcome::Passed => ("passed", ""),
            Outcome::Failed(text) => ("failed", text.as_str()),
            Outcome::Ignored(reason) => ("ignored", reason.as_str()),
        };
        json!({
            "backend": self.backend, "variant": self.variant, "package": self.package, "version": self.version, "provider": self.provider,
            "case": self.case, "group": self.group, "guarantee": format!("G{}", self.guarantee), "outcome": outcome,
            "reason": reason, "milliseconds": self.milliseconds, "seed": self.seed, "measured": self.measured,
        })
    }

    fn from_json(line: &Value) -> Option<Self> {
        let text = |key: &str| line.get(key).and_then(Value::as_str).map(ToOwned::to_owned);
        let reason = text("reason")?;
        let measured = line.get("measured")?.as_object()?.iter();
        Some(Self {
            backend: text("backend")?,
            variant: text("variant")?,
            package: text("package").unwrap_or_default(),
            version: text("version")?,
            provider: text("provider")?,
            case: text("case")?,
            group: text("group")?,
            guarantee: text("guarantee")?.strip_prefix('G')?.parse().ok()?,
            outcome: match text("outcome")?.as_str() {
                "passed" => Outcome::Passed,
                "failed" => Outcome::Failed(reason),
                "ignored" => Outcome::Ignored(reason),
                _ => return None,
            },
            milliseconds: line.get("milliseconds")?.as_u64()?,
            seed: text("seed")?,
            measured: measured.filter_map(|(what, value)| Some((what.clone(), value.as_u64()?))).collect(),
        })
    }
}

/// Every line of every `*.jsonl` file of a folder, by file name; of a case that ran more than once, the last.
///
/// # Errors
/// What the file system says; `InvalidData` for a line that is no record.
pub fn read(folder: &Path) -> io::Result<Vec<Record>> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "jsonl"));
    files.sort();
    let mut records: BTreeMap<(String, String), Record> = BTreeMap::new();
    for file in files {
        for (number, line) in fs::read_to_string(&file)?.lines().enumerate() {
            let record = serde_json::from_str(line).ok().and_then(|line| Record::from_json(&line));
            let bad = || format!("{}:{} is no record of a case", file.display(), number + 1);
            let record = record.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, bad()))?;
            records.insert((record.subject(), record.case.clone()), record);
        }
    }
    Ok(records.into_values().collect())
}

/// Writes one subject's lines as they come.
pub(crate) struct Writer {
    path: PathBuf,
    /// Opened, and emptied, by the first line, so that `--list` leaves the file alone.
    file: Mutex<Option<fs::File>>,
}

impl Writer {
    pub(crate) fn new(subject: &Subject) -> Self {
        let name = subject.label().replace(|letter: char| !letter.is_ascii_alphanumeric(), "-");
        Self { path: folder().join(name).with_extension("jsonl"), file: Mutex::default() }
    }

    /// A report that cannot be written stops no test, but is told.
    pub(crate) fn write(&self, record: &Record) {
        if let Err(error) = self.append(record) {
            eprintln!("the report {} cannot be written: {error}", self.path.display());
        }
    }

    fn append(&self, record: &Record) -> io::Result<()> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        if file.is_none() {
            self.path.parent().map_or(Ok(()), fs::create_dir_all)?;
            *file = Some(fs::File::create(&self.path)?);
        }
        let Some(file) = file.as_mut() else { return Ok(()) };
        writeln!(file, "{}", record.to_json())
    }
}

/// What cargo says of the package whose tests it runs.
fn package() -> String {
    let said = |name| std::env::var(name).unwrap_or_default();
    format!("{} {}", said("CARGO_PKG_NAME"), said("CARGO_PKG_VERSION")).trim().to_owned()
}

/// `$CONFORMANCE_REPORT`, else `target/conformance` beside the test's own folder.
fn folder() -> PathBuf {
    if let Some(folder) = std::env::var_os("CONFORMANCE_REPORT") {
        return folder.into();
    }
    // A test runs as target/<profile>/deps/<name>.
    let program = std::env::current_exe().unwrap_or_default();
    let target = program.ancestors().find(|folder| folder.file_name().is_some_and(|name| name == "target"));
    target.unwrap_or(Path::new("target")).join("conformance")
}
