//! Local sockets that count what they get, and take time for it if they are to.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::FutureExt as _;
use roomcast_core::adapter::{Acks, LocalSocket, LocalSockets, Projection, Target};
use roomcast_core::{Packet, Room};

/// Counts broadcasts. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Heard {
    count: Arc<AtomicUsize>,
    cost: Duration,
}

impl Heard {
    /// Each broadcast takes so long. The processor is busy meanwhile, by the paused clock: nothing else runs.
    pub(crate) fn at_a_cost(cost: Duration) -> Self {
        Self { cost, ..Self::default() }
    }

    /// How many broadcasts came.
    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }
}

impl LocalSockets for Heard {
    fn broadcast(&self, _: &Target, _: &Packet) {
        if !self.cost.is_zero() {
            // The first poll moves the clock; what it would wait for is that the others run.
            let _ = tokio::time::advance(self.cost).now_or_never();
        }
        self.count.fetch_add(1, Ordering::Relaxed);
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
