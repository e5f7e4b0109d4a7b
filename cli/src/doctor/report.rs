//! What the checks found.

use serde_json::{Value, json};

use crate::exit::{Done, Failure};
use crate::out::Out;

/// What the checks found: written as it is found.
#[derive(Debug)]
pub(super) struct Report {
    out: Out,
    /// The exit code of the first check that failed.
    code: Option<u8>,
}

impl Report {
    pub(super) fn new(out: Out) -> Self {
        Self { out, code: None }
    }

    /// A check that passed.
    ///
    /// # Errors
    /// When it cannot be written. So with the others.
    pub(super) fn good(&self, check: &str, text: &str) -> Result<(), Failure> {
        self.tell(check, text, None, Value::Null)
    }

    /// A check that passed, with something to think about.
    pub(super) fn warn(&self, check: &str, text: &str, mend: &str) -> Result<(), Failure> {
        self.tell(check, text, Some(mend), Value::Null)
    }

    /// A check that passed, with something to think about or without, and with these fields more in its object.
    pub(super) fn tell(&self, check: &str, text: &str, mend: Option<&str>, more: Value) -> Result<(), Failure> {
        self.write(if mend.is_some() { "warn" } else { "ok" }, check, text, mend, more)
    }

    /// A check that failed, the exit code for it, and what to do.
    pub(super) fn bad(&mut self, check: &str, code: u8, text: &str, mend: &str) -> Result<(), Failure> {
        self.code.get_or_insert(code);
        self.write("FAIL", check, text, Some(mend), Value::Null)
    }

    /// How the command ends.
    pub(super) fn end(self) -> Done {
        self.code.map_or(Done::Complete, Done::Found)
    }

    fn write(&self, state: &str, check: &str, text: &str, mend: Option<&str>, more: Value) -> Result<(), Failure> {
        let line = || {
            let advice = mend.map(|mend| format!("\n                 -> {mend}")).unwrap_or_default();
            format!("{state:<5} {check:<10} {text}{advice}")
        };
        let object = || {
            let (ok, mend) = (state != "FAIL", mend.map_or(Value::Null, Value::from));
            let mut object = json!({ "type": "check", "check": check, "ok": ok, "text": text, "mend": mend });
            if let (Some(object), Value::Object(more)) = (object.as_object_mut(), more) {
                object.extend(more);
            }
            object
        };
        self.out.result(line, object)
    }
}
