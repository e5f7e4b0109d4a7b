//! Who is in the cluster: how nodes meet, are heard, fall silent and leave, and what this node does to be heard itself.
//!
//! The rules are in types that know no engine (`Members`, `Detector`, `Rhythm`, `Readiness`, `Greetings`, `Echo`, `Settling`,
//! `Tails`); what joins them to the engine is in `hearing`, `marks`, `suspicion`, `departures`, `control` and `link`.

mod absent;
mod clock;
mod control;
mod departures;
mod detector;
mod echo;
mod farewell;
mod greetings;
mod hearing;
mod link;
mod marks;
mod members;
mod milestones;
mod peer;
mod random;
mod readiness;
mod returns;
mod rhythm;
mod said;
mod settling;
mod suspicion;
mod tails;
#[cfg(test)]
mod tests;

pub(super) use clock::Clock;
pub(super) use control::Control;
pub(super) use detector::Detector;
pub(super) use echo::{Echo, Verdict};
pub(super) use farewell::Farewell;
pub(super) use greetings::Greetings;
pub(super) use members::Members;
pub(super) use milestones::Milestones;
pub(super) use peer::Life;
pub(super) use readiness::{Readiness, Waits};
pub(super) use rhythm::{Pace, Rhythm};
pub(super) use settling::Settling;
pub(super) use tails::Tails;
