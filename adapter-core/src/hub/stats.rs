//! What a hub counts.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// What a [`Hub`](crate::Hub) holds now, and what became of its deliveries since it was made.
///
/// A delivery is one packet for one socket. Each is counted once: as delivered when the application takes it, as
/// dropped when it never will be; until then it waits in the socket's queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct HubStats {
    /// Sockets that are connected now.
    pub sockets: u64,
    /// Rooms that have a member now; the private rooms are not counted.
    pub rooms: u64,
    /// Deliveries that the application took.
    pub delivered: u64,
    /// Deliveries that were lost: the queue was full, the packet volatile and the socket not ready, or the socket gone.
    pub dropped: u64,
    /// Sockets that were disconnected because their queue was full.
    pub disconnected_slow: u64,
    /// Answers that are awaited now.
    pub acks_pending: u64,
}

/// The counters behind [`HubStats`]. None of them guards anything, so they need no order among each other.
#[derive(Default)]
pub(super) struct Counters {
    delivered: AtomicU64,
    dropped: AtomicU64,
    disconnected_slow: AtomicU64,
    acks_pending: AtomicU64,
}

impl Counters {
    pub(super) fn delivered(&self) {
        self.delivered.fetch_add(1, Relaxed);
    }

    pub(super) fn dropped(&self, deliveries: u64) {
        self.dropped.fetch_add(deliveries, Relaxed);
    }

    pub(super) fn disconnected_slow(&self) {
        self.disconnected_slow.fetch_add(1, Relaxed);
    }

    pub(super) fn asked(&self, sockets: usize) {
        self.acks_pending.fetch_add(sockets as u64, Relaxed);
    }

    pub(super) fn settled(&self, sockets: usize) {
        self.acks_pending.fetch_sub(sockets as u64, Relaxed);
    }

    pub(super) fn read(&self, sockets: usize, rooms: usize) -> HubStats {
        HubStats {
            sockets: sockets as u64,
            rooms: rooms as u64,
            delivered: self.delivered.load(Relaxed),
            dropped: self.dropped.load(Relaxed),
            disconnected_slow: self.disconnected_slow.load(Relaxed),
            acks_pending: self.acks_pending.load(Relaxed),
        }
    }
}
