//! The driver around the engine: one reader, one writer, and what they share.

mod core;
mod link_state;
mod logging;
pub(crate) mod panics;
mod perform;
mod reader;
mod registry;
mod send;
mod supervisor;
mod tally;
mod writer;

pub(crate) use self::core::{Bounds, Channels, Core, Waiter, deadline, now};
pub(crate) use registry::Here;
pub(crate) use send::{LocalAcks, Took, check_timeout};
pub(crate) use supervisor::start;
