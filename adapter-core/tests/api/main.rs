//! The cluster as an application sees it, over the embedded backend.

#![expect(clippy::unwrap_used, reason = "tests: an error is a failure")]

mod acks;
mod adversity;
mod away;
mod bad_input;
mod broadcast;
mod bursts;
mod emitter;
mod faulty;
mod full;
mod lag;
mod lifecycle;
mod locks;
mod logging;
mod observing;
mod order;
mod outage;
mod requests;
mod residue;
mod sending;
mod server_events;
mod soak;
mod starting;
mod status;
mod supervision;
mod support;
mod waits;
