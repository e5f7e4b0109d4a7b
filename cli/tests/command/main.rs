//! The command as a process, beside servers of a cluster over a Redis.

#![expect(clippy::unwrap_used, reason = "tests: an error is a failure")]

mod brokers;
mod doctor;
mod emitting;
mod ending;
mod failing;
mod liar;
mod listing;
mod measuring;
mod support;
mod watching;
