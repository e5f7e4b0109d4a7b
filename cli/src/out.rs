//! What is written: lines for people, or JSON objects.

use std::io::{ErrorKind, Write};

use serde_json::Value;

use crate::exit::Failure;

/// Where results go: the standard output, one line each.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Out {
    json: bool,
}

impl Out {
    /// JSON objects, or lines for people.
    pub(crate) fn new(json: bool) -> Self {
        Self { json }
    }

    /// Whether JSON is wanted.
    pub(crate) fn is_json(self) -> bool {
        self.json
    }

    /// Writes one result in the form that is wanted.
    ///
    /// # Errors
    /// When nobody reads any more, or it cannot be written.
    pub(crate) fn result(self, text: impl FnOnce() -> String, json: impl FnOnce() -> Value) -> Result<(), Failure> {
        let line = if self.json { json().to_string() } else { text() };
        // A slow reader holds up this thread alone: the node runs on others.
        match writeln!(std::io::stdout().lock(), "{line}") {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Err(Failure::nobody_reads()),
            Err(error) => Err(Failure::failed(format!("the output cannot be written: {error}"))),
        }
    }

    /// Writes lines for people, or an object for each row.
    ///
    /// # Errors
    /// As [`result`](Self::result).
    pub(crate) fn rows<T>(
        self,
        rows: &[T],
        table: impl FnOnce(&[T]) -> Vec<String>,
        json: impl Fn(&T) -> Value,
    ) -> Result<(), Failure> {
        if self.json {
            return rows.iter().try_for_each(|row| self.result(String::new, || json(row)));
        }
        table(rows).into_iter().try_for_each(|line| self.result(|| line, || Value::Null))
    }
}

/// Writes a line to the standard error; one that cannot be written is lost.
pub(crate) fn complain(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "roomcast: {text}");
}
