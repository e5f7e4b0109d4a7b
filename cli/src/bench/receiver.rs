//! Local sockets that only count.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use roomcast::adapter::{Acks, LocalSocket, LocalSockets, Projection, Target};
use roomcast::{Bytes, Packet, Room};
use tokio::sync::Notify;

/// The bytes of a stamp.
const STAMP: usize = 16;
/// So many latencies are kept.
const KEPT: usize = 1_000_000;

/// What the stamps count from.
static BEGINNING: LazyLock<Instant> = LazyLock::new(Instant::now);

/// A packet of this size that says when it was made.
pub(super) fn stamp(size: usize) -> Bytes {
    let mut bytes = vec![b'.'; size.max(STAMP)];
    bytes[..STAMP].copy_from_slice(&BEGINNING.elapsed().as_nanos().to_le_bytes());
    bytes.into()
}

/// Counts what arrives, and keeps how long it took.
#[derive(Clone, Debug, Default)]
pub(super) struct Receiver(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    count: AtomicU64,
    took: Mutex<Vec<Duration>>,
    more: Notify,
}

impl Receiver {
    /// How many have arrived.
    pub(super) fn received(&self) -> u64 {
        self.0.count.load(Ordering::Acquire)
    }

    /// Waits until so many have.
    ///
    /// # Cancel safety
    /// Safe.
    pub(super) async fn reaches(&self, count: u64) {
        loop {
            let more = self.0.more.notified();
            tokio::pin!(more);
            more.as_mut().enable();
            if self.received() >= count {
                return;
            }
            more.await;
        }
    }

    /// How long each took since the last call; a million of them at the most.
    pub(super) fn forget(&self) -> Vec<Duration> {
        std::mem::take(&mut self.0.took.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl LocalSockets for Receiver {
    fn broadcast(&self, _: &Target, packet: &Packet) {
        let made = packet.data.first_chunk().map_or(0, |stamp: &[u8; STAMP]| u128::from_le_bytes(*stamp));
        let took = BEGINNING.elapsed().saturating_sub(Duration::from_nanos(u64::try_from(made).unwrap_or(u64::MAX)));
        let mut all = self.0.took.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() < KEPT {
            all.push(took);
        }
        drop(all);
        self.0.count.fetch_add(1, Ordering::AcqRel);
        self.0.more.notify_waiters();
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
