//! What was seen: JSON lines, and what is made of them.

mod junit;
mod longest;
mod matrix;
mod record;

pub use junit::junit;
pub use longest::longest;
pub use matrix::{MARK, MARK_END, Matrix, replace_between_marks};
pub(crate) use record::Writer;
pub use record::{Record, read};

#[cfg(test)]
mod samples {
    use super::Record;
    use crate::harness::Outcome;

    /// What became of some case.
    pub(super) fn record(backend: &str, guarantee: u8, outcome: Outcome) -> Record {
        Record {
            backend: backend.to_owned(),
            variant: String::new(),
            version: String::new(),
            provider: String::new(),
            case: String::new(),
            group: String::new(),
            guarantee,
            outcome,
            milliseconds: 1,
            seed: String::new(),
            measured: std::collections::BTreeMap::new(),
        }
    }
}
