//! What was seen: JSON lines, and what is made of them.

mod junit;
mod longest;
mod matrix;
mod page;
mod record;
mod text;

pub use junit::junit;
pub use longest::longest;
pub use matrix::{MARK, MARK_END, Matrix, replace_between_marks};
pub use page::page;
pub(crate) use record::Writer;
pub use record::{Record, read};

/// What is measured in each outage, and in words: how long a node took to notice it, and to receive again after it.
pub const LONGEST: [(&str, &str); 2] =
    [("noticed_ms", "noticed that a link was dead"), ("receives_again_ms", "received again")];

#[cfg(test)]
mod samples {
    use super::Record;
    use crate::harness::Outcome;

    /// What became of some case.
    pub(super) fn record(backend: &str, guarantee: u8, outcome: Outcome) -> Record {
        Record {
            backend: backend.to_owned(),
            variant: String::new(),
            package: String::new(),
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
