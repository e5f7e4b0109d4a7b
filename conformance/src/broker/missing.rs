//! What a case needed and did not get.

use std::fmt;

/// What is missing, and why, in words for people. It is a failure; with `CONFORMANCE_REQUIRE=0` a case is
/// ignored for it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MissingBroker {
    /// The broker, or the fault that is asked of it.
    pub what: String,
    /// Why it cannot be had.
    pub why: String,
}

impl MissingBroker {
    pub(crate) fn new(what: impl Into<String>, why: impl Into<String>) -> Self {
        Self { what: what.into(), why: why.into() }
    }
}

impl fmt::Display for MissingBroker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.why)
    }
}

impl std::error::Error for MissingBroker {}
