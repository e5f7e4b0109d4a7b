//! What comes back of what we publish: the proof that the link works, both ways.

use std::time::{Duration, Instant};

use super::returns::{Awaited, OVERDUE, Returns};

/// A link on which nothing at all has arrived for so long is dead, if an echo is overdue too.
const SILENT: Duration = Duration::from_secs(2);
/// A link on which much arrives, but for so long no echo, has lost its other direction. Long, since an echo queues behind what
/// others have sent: seconds of it on a thin link. Each that comes back is one, however late.
const ONE_WAY: Duration = Duration::from_secs(10);

/// The echoes of our own heartbeats (on the cluster channel) and probes (on our inbox).
///
/// Overdue and silent are measured in ticks, not by the clock: a stall of ours is no fault of the link.
#[derive(Debug)]
pub(in crate::engine) struct Echo {
    heartbeats: Returns,
    probes: Returns,
    /// The sum of all ticks in which the link was up.
    ticked: Duration,
    /// Since when something waits to be sent whose echo will be awaited, in ticks.
    due: Option<Duration>,
    /// For so long nothing has arrived.
    silent: Duration,
    degraded: bool,
    /// In a ring own heartbeats are rare: there whatever arrives on the cluster channel proves it.
    ring: bool,
    /// When something arrived there last.
    heard: Instant,
    /// How long the one that came back last has taken.
    round_trip: Option<Duration>,
    /// How many have come back.
    round_trips: u64,
}

/// What the echoes say about the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum Verdict {
    Fine,
    Degraded,
    Recovered,
    /// The link is dead although the backend thinks that it lives.
    Dead,
}

impl Echo {
    pub(in crate::engine) fn new(now: Instant) -> Self {
        Self {
            heartbeats: Returns::new(now),
            probes: Returns::new(now),
            ticked: Duration::ZERO,
            due: None,
            silent: Duration::ZERO,
            degraded: false,
            ring: false,
            heard: now,
            round_trip: None,
            round_trips: 0,
        }
    }

    /// Whether the cluster is a ring.
    pub(in crate::engine) fn set_ring(&mut self, ring: bool) {
        self.ring = ring;
    }

    /// A heartbeat, or a greeting, was sent on the cluster channel.
    pub(in crate::engine) fn heartbeat_sent(&mut self, counter: u64, now: Instant) {
        let awaited = self.awaited(counter, now);
        self.heartbeats.sent(awaited);
    }

    /// A probe was sent to our own inbox.
    pub(in crate::engine) fn probe_sent(&mut self, counter: u64, now: Instant) {
        let awaited = self.awaited(counter, now);
        self.probes.sent(awaited);
    }

    fn awaited(&self, counter: u64, sent: Instant) -> Awaited {
        Awaited { counter, sent, at: self.ticked, since: self.due.unwrap_or(self.ticked) }
    }

    /// A heartbeat of ours came back.
    pub(in crate::engine) fn heartbeat(&mut self, counter: u64, at: Instant) {
        let back = self.heartbeats.back(counter, self.ticked);
        self.back(back, at);
    }

    /// A probe of ours came back.
    pub(in crate::engine) fn probe(&mut self, counter: u64, at: Instant) {
        let back = self.probes.back(counter, self.ticked);
        self.back(back, at);
    }

    fn back(&mut self, back: Option<Awaited>, at: Instant) {
        let Some(back) = back else { return };
        self.due = self.due.map(|due| due.max(back.at)); // what waits now came after it
        self.round_trip = Some(at.saturating_duration_since(back.sent));
        self.round_trips += 1;
    }

    /// How long the heartbeat or the probe that came back last was on its way, through the broker and back.
    pub(in crate::engine) fn round_trip(&self) -> Option<Duration> {
        self.round_trip
    }

    /// How many have come back.
    pub(in crate::engine) fn round_trips(&self) -> u64 {
        self.round_trips
    }

    /// Something arrived, whatever it is.
    pub(in crate::engine) fn arrived(&mut self) {
        self.silent = Duration::ZERO;
    }

    /// The same on the cluster channel.
    pub(in crate::engine) fn arrived_on_cluster(&mut self, at: Instant) {
        self.arrived();
        self.heard = self.heard.max(at);
        if self.ring {
            self.heartbeats.proved_by_others(at, self.ticked);
        }
    }

    /// For how long nothing has arrived on the cluster channel.
    pub(in crate::engine) fn quiet(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.heard)
    }

    /// When the probe was sent that came back last.
    pub(in crate::engine) fn probed(&self) -> Instant {
        self.probes.proof
    }

    /// How old the proof is that this node hears what the others' lives are judged by: heartbeats on the cluster channel,
    /// in a ring those to the inbox, too.
    pub(in crate::engine) fn age(&self, now: Instant) -> Duration {
        if self.ring { self.health(now) } else { now.saturating_duration_since(self.heartbeats.proof) }
    }

    /// How old the proof is that both channels work.
    pub(in crate::engine) fn health(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.heartbeats.proof.min(self.probes.proof))
    }

    /// The link is down, as the backend says: no echo is expected.
    pub(in crate::engine) fn link_down(&mut self) -> Verdict {
        self.heartbeats.link_down();
        self.probes.link_down();
        (self.due, self.silent) = (None, Duration::ZERO);
        if std::mem::replace(&mut self.degraded, true) { Verdict::Fine } else { Verdict::Degraded }
    }

    /// The link works, and yet this node is of no use to others.
    pub(in crate::engine) fn stay_degraded(&mut self) {
        self.degraded = true;
    }

    /// Lets a tick pass. `due`: something waits to be sent whose echo will be awaited.
    pub(in crate::engine) fn tick(&mut self, passed: Duration, link_up: bool, due: bool) -> Verdict {
        if !link_up {
            return Verdict::Fine;
        }
        self.due = due.then(|| self.due.unwrap_or(self.ticked));
        self.ticked += passed;
        self.silent += passed;
        self.heartbeats.tick(passed, due);
        self.probes.tick(passed, due);
        let ticked = self.ticked;
        let channels = [&self.heartbeats, &self.probes];
        if !due && channels.iter().all(|channel| channel.is_fine(ticked)) {
            return if std::mem::replace(&mut self.degraded, false) { Verdict::Recovered } else { Verdict::Fine };
        }
        let waits = self.due.is_some_and(|since| ticked - since >= OVERDUE);
        let overdue = waits || channels.iter().any(|channel| channel.is_overdue(ticked));
        if overdue && !std::mem::replace(&mut self.degraded, true) {
            return Verdict::Degraded;
        }
        if channels.iter().any(|channel| channel.missed >= ONE_WAY) || overdue && self.silent >= SILENT {
            // Not again before the backend has had time to make a new link.
            self.silent = Duration::ZERO;
            (self.heartbeats.missed, self.probes.missed) = (Duration::ZERO, Duration::ZERO);
            return Verdict::Dead;
        }
        Verdict::Fine
    }
}

#[cfg(test)]
mod tests;
