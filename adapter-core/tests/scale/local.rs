//! Local sockets that count what they get, and nothing else.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use adapter_core::adapter::{Acks, LocalSocket, LocalSockets, Projection, Target};
use adapter_core::{Packet, Room};

#[derive(Clone, Debug, Default)]
pub(crate) struct Heard(Arc<AtomicUsize>);

impl Heard {
    /// How many broadcasts came.
    pub(crate) fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl LocalSockets for Heard {
    fn broadcast(&self, _: &Target, _: &Packet) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
    fn broadcast_with_ack(&self, _: &Target, _: &Packet, _: Duration, _: Acks) {}
    fn join(&self, _: &Target, _: &[Room]) {}
    fn leave(&self, _: &Target, _: &[Room]) {}
    fn disconnect(&self, _: &Target) {}
    fn sockets(&self, _: &Target, _: Projection) -> Vec<LocalSocket> {
        Vec::new()
    }
    fn rooms(&self, _: &Target) -> Vec<Room> {
        Vec::new()
    }
}
