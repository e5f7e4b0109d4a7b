//! The driver around the engine: one reader, one writer, and what they share.

mod capacity;
mod core;
mod events;
mod link_state;
mod listeners;
mod logging;
#[cfg_attr(not(feature = "metrics"), path = "metrics_off.rs")]
pub(crate) mod metrics;
pub(crate) mod panics;
mod perform;
mod reader;
mod registry;
mod send;
mod status;
mod supervisor;
mod tally;
mod traces;
mod waiters;
mod writer;

pub(crate) use self::core::{Bounds, Channels, Core, deadline, now};
pub(crate) use registry::Here;
pub(crate) use send::{LocalAcks, Took, check_timeout};
pub(crate) use supervisor::start;
pub(crate) use traces::{Traces, mark_failure};
pub(crate) use waiters::Waiter;
