//! What a hub counts.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::outbox::Losses;

/// What a [`Hub`](crate::Hub) holds now, and what has become of its deliveries since it was made.
///
/// A delivery is one packet for one socket. Each is counted once: as delivered when the application takes it, or as
/// dropped. Until then it waits in the socket's queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct HubStats {
    /// Sockets that are connected now.
    pub sockets: u64,
    /// Rooms that have a member now; the private rooms are not counted.
    pub rooms: u64,
    /// Deliveries that the application took.
    pub delivered: u64,
    /// Deliveries that wait in the queues of the connected sockets now.
    pub queued: u64,
    /// The bytes of the queued deliveries, counted as [`HubBuilder::queue_bytes`](crate::HubBuilder::queue_bytes) counts them. A packet counts
    /// for each socket that it waits for, although it is in memory once.
    pub queued_bytes: u64,
    /// Deliveries that were lost because the socket's queue was full: the newest, the oldest, or all in the queue of a socket
    /// that was disconnected for it, as the [`SlowPolicy`](crate::SlowPolicy) says.
    pub dropped_slow: u64,
    /// Deliveries of volatile packets that were lost because the socket was not ready.
    pub dropped_volatile: u64,
    /// Deliveries that were lost because the socket was dropped while they waited.
    pub dropped_gone: u64,
    /// Sockets that were disconnected because their queue was full.
    pub disconnected_slow: u64,
    /// Replies of sockets that are awaited now.
    pub acks_pending: u64,
}

impl HubStats {
    /// Deliveries that were lost, whatever the cause.
    pub fn dropped(&self) -> u64 {
        self.dropped_slow + self.dropped_volatile + self.dropped_gone
    }
}

/// The counters behind [`HubStats`]. None of them guards anything, so they need no order among each other.
#[derive(Default)]
pub(super) struct Counters {
    delivered: AtomicU64,
    slow: AtomicU64,
    volatile: AtomicU64,
    gone: AtomicU64,
    disconnected_slow: AtomicU64,
    acks_pending: AtomicU64,
}

impl Counters {
    pub(super) fn delivered(&self) {
        self.delivered.fetch_add(1, Relaxed);
    }

    pub(super) fn lost(&self, lost: Losses) {
        self.slow.fetch_add(lost.slow, Relaxed);
        self.volatile.fetch_add(lost.volatile, Relaxed);
        self.gone.fetch_add(lost.gone, Relaxed);
    }

    pub(super) fn disconnected_slow(&self) {
        self.disconnected_slow.fetch_add(1, Relaxed);
    }

    pub(super) fn asked(&self, sockets: usize) {
        self.acks_pending.fetch_add(sockets as u64, Relaxed);
    }

    pub(super) fn resolved(&self, sockets: usize) {
        self.acks_pending.fetch_sub(sockets as u64, Relaxed);
    }

    /// The counters' part of the stats; the hub fills in the rest.
    pub(super) fn read(&self) -> HubStats {
        HubStats {
            delivered: self.delivered.load(Relaxed),
            dropped_slow: self.slow.load(Relaxed),
            dropped_volatile: self.volatile.load(Relaxed),
            dropped_gone: self.gone.load(Relaxed),
            disconnected_slow: self.disconnected_slow.load(Relaxed),
            acks_pending: self.acks_pending.load(Relaxed),
            ..HubStats::default()
        }
    }
}
