//! The driver around the engine: one reader, one writer, and what they share.

mod capacity;
mod core;
mod events;
mod link_state;
mod listeners;
mod logging;
#[cfg(feature = "metrics")]
mod metrics;
#[cfg(not(feature = "metrics"))]
#[path = "metrics_off.rs"]
mod metrics;
#[cfg(feature = "metrics")]
mod metrics_table;
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
#[cfg(feature = "metrics")]
pub use metrics_table::{METRICS, Metric, MetricKind};
pub(crate) use registry::Here;
pub(crate) use send::{LocalAcks, Took, check_timeout};
pub(crate) use supervisor::start;
pub(crate) use traces::{Traces, mark_failure};
pub(crate) use waiters::Waiter;
