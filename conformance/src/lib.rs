//! What every Roomcast backend has to show, for ours and for a stranger's.
//!
//! An author of a backend writes a `tests/conformance.rs` with `harness = false` in its `Cargo.toml`:
//!
//! ```no_run
//! use roomcast_conformance::Subject;
//!
//! fn main() -> std::process::ExitCode {
//!     roomcast_conformance::main([Subject::new("memory", |url| Ok(roomcast_core::Memory::named(url)))])
//! }
//! ```
//!
//! Each case is named after the promise that it shows (`g01_...`: the first in
//! [docs/guarantees.md](https://github.com/roomcast/roomcast/blob/main/docs/guarantees.md)), has a cluster of its own, and runs
//! beside the others.
//! `cargo test g07`, `-- --list`, `-- --test-threads 1` work as ever, `CONFORMANCE_SUBJECTS` names the subjects to run, and
//! `CONFORMANCE_CASES` groups and guarantees, or `all`. What cannot be shown is listed as ignored, with the
//! reason. A broker that is missing is a failure; with `CONFORMANCE_REQUIRE=0` what needs it is ignored. What was seen goes as JSON lines to the folder
//! `$CONFORMANCE_REPORT`, or to `target/conformance`; the command `conformance` makes JUnit and the matrix of docs/conformance.md of it.

#[macro_use]
mod failure;
#[macro_use]
mod case;

#[doc(hidden)]
pub mod bare;
pub mod broker;
mod cases;
mod frame;
mod harness;
mod journal;
mod link;
pub mod nemesis;
mod node;
mod process;
pub mod proxy;
mod random;
pub mod report;
mod scene;
mod specimen;
mod stage;
mod stalled;
mod subject;

pub use broker::{Broker, MissingBroker, Provider, Recipe, recipes};
pub use harness::{Outcome, case_names, main, run_case, started_by_a_case};
pub use proxy::Proxy;
pub use subject::Subject;
