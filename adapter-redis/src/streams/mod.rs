//! Redis Streams: a link that reads on where the one before has stopped.

mod backend;
mod entry;
mod intake;

pub(crate) use backend::{Log, Reading};
