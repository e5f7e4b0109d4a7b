//! Who is in the cluster: how nodes meet, are heard, fall silent and leave, and what this node does to be heard itself.

mod clock;
mod control;
mod departures;
mod echo;
mod hearing;
mod link;
mod marks;
mod members;
mod readiness;
mod settling;

pub(super) use clock::Clock;
pub(super) use control::Control;
pub(super) use echo::{Echo, Verdict};
pub(super) use members::{Life, Members};
pub(super) use readiness::{Readiness, Waits};
pub(super) use settling::Settling;
