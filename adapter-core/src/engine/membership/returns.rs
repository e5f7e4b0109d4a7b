//! What a node has sent to itself on one channel, and what of it has come back.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The most heartbeats, and the most probes, that are awaited at a time.
const REMEMBERED: usize = 64;
/// How long an echo may be awaited before the node is degraded.
pub(super) const OVERDUE: Duration = Duration::from_millis(1500);
/// The number of echoes in time, one after the other, after which a degraded node has recovered although another one is awaited.
const STEADY: u32 = 3;
/// How long an echo is awaited in a ring after other messages have arrived.
const FORGOTTEN: Duration = Duration::from_secs(1);

/// What was sent to ourselves on one channel, and what of it has come back.
#[derive(Debug)]
pub(super) struct Returns {
    /// When the message was sent that came back last.
    pub(super) proof: Instant,
    /// Sent, and not back yet, the oldest first.
    awaited: VecDeque<Awaited>,
    /// For how long none has come back while one was awaited, or waited to be sent.
    pub(super) missed: Duration,
    /// Whether nothing has proved the channel since the link was made.
    unproved: bool,
    /// The number of those that have come back in time, one after the other.
    timely: u32,
}

#[derive(Debug)]
pub(super) struct Awaited {
    pub(super) counter: u64,
    pub(super) sent: Instant,
    /// The same in ticks.
    pub(super) at: Duration,
    /// Since when it is awaited, in ticks: it may have waited to be sent.
    pub(super) since: Duration,
}

impl Returns {
    pub(super) fn new(now: Instant) -> Self {
        Self { proof: now, awaited: VecDeque::new(), missed: Duration::ZERO, unproved: false, timely: 0 }
    }

    pub(super) fn sent(&mut self, awaited: Awaited) {
        if self.awaited.len() == REMEMBERED {
            self.awaited.remove(1); // the first tells for how long nothing has come back
        }
        self.awaited.push_back(awaited);
    }

    /// What was sent before it on the same channel will not come any more.
    pub(super) fn back(&mut self, counter: u64, ticked: Duration) -> Option<Awaited> {
        let place = self.awaited.iter().position(|awaited| awaited.counter == counter)?;
        let back = self.awaited.drain(..=place).next_back()?;
        self.timely = if ticked - back.since < OVERDUE { self.timely.saturating_add(1) } else { 0 };
        self.proved(back.sent);
        Some(back)
    }

    /// The others' messages prove the channel. What of ours is older than they are will not come any more.
    pub(super) fn proved_by_others(&mut self, at: Instant, ticked: Duration) {
        self.proved(at);
        self.timely = STEADY;
        self.awaited.retain(|awaited| ticked - awaited.since < FORGOTTEN);
    }

    fn proved(&mut self, at: Instant) {
        self.proof = self.proof.max(at);
        (self.missed, self.unproved) = (Duration::ZERO, false);
    }

    pub(super) fn link_down(&mut self) {
        self.awaited.clear();
        (self.missed, self.unproved, self.timely) = (Duration::ZERO, true, 0);
    }

    pub(super) fn tick(&mut self, passed: Duration, due: bool) {
        self.missed = if self.awaited.is_empty() && !due { Duration::ZERO } else { self.missed + passed };
    }

    pub(super) fn is_overdue(&self, ticked: Duration) -> bool {
        self.awaited.front().is_some_and(|oldest| ticked - oldest.since >= OVERDUE)
    }

    /// Whether the channel works, and nothing is overdue.
    pub(super) fn is_fine(&self, ticked: Duration) -> bool {
        !self.unproved && !self.is_overdue(ticked) && (self.awaited.is_empty() || self.timely >= STEADY)
    }
}
