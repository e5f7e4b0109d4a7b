//! What comes back of what we publish: the proof that the link works, both ways.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How many heartbeats and probes are remembered until they come back.
const REMEMBERED: usize = 64;
/// A node whose echo is overdue for so long is degraded.
const OVERDUE: Duration = Duration::from_millis(1500);
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
    /// When that heartbeat and that probe were sent that came back last.
    heartbeat: Instant,
    probe: Instant,
    /// Sent, and not back yet, by their counters.
    awaited: VecDeque<(u64, Instant)>,
    /// For so long we have been waiting for the one that is due next.
    waited: Duration,
    /// For so long no heartbeat, and no probe, has come back while some were awaited.
    missed: [Duration; 2],
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
            heartbeat: now,
            probe: now,
            awaited: VecDeque::new(),
            waited: Duration::ZERO,
            missed: [Duration::ZERO; 2],
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

    pub(in crate::engine) fn sent(&mut self, counter: u64, now: Instant) {
        self.awaited.push_back((counter, now));
        self.awaited.drain(..self.awaited.len().saturating_sub(REMEMBERED));
    }

    /// A heartbeat of ours came back.
    pub(in crate::engine) fn heartbeat(&mut self, counter: u64, at: Instant) {
        if let Some(sent) = self.back(counter, at) {
            self.heartbeat = sent.max(self.heartbeat);
            self.missed[0] = Duration::ZERO;
        }
    }

    /// A probe of ours came back.
    pub(in crate::engine) fn probe(&mut self, counter: u64, at: Instant) {
        if let Some(sent) = self.back(counter, at) {
            self.probe = sent.max(self.probe);
            self.missed[1] = Duration::ZERO;
        }
    }

    fn back(&mut self, counter: u64, at: Instant) -> Option<Instant> {
        let place = self.awaited.iter().position(|(awaited, _)| *awaited == counter)?;
        let (_, sent) = self.awaited.remove(place)?;
        // What was sent before it on the other channel may still come; what was sent long before it will not.
        self.awaited.retain(|(_, other)| sent.saturating_duration_since(*other) < Duration::from_secs(1));
        if self.awaited.is_empty() {
            self.waited = Duration::ZERO;
        }
        self.round_trip = Some(at.saturating_duration_since(sent));
        self.round_trips += 1;
        Some(sent)
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
            self.heartbeat = self.heartbeat.max(at);
            self.missed[0] = Duration::ZERO;
        }
    }

    /// For how long nothing has arrived on the cluster channel.
    pub(in crate::engine) fn quiet(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.heard)
    }

    /// When the probe was sent that came back last.
    pub(in crate::engine) fn probed(&self) -> Instant {
        self.probe
    }

    /// How old the proof is that this node hears what the others' lives are judged by: heartbeats on the cluster channel,
    /// in a ring those to the inbox, too.
    pub(in crate::engine) fn age(&self, now: Instant) -> Duration {
        if self.ring { self.health(now) } else { now.saturating_duration_since(self.heartbeat) }
    }

    /// How old the proof is that both channels work.
    pub(in crate::engine) fn health(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.heartbeat.min(self.probe))
    }

    /// The link is down, as the backend says: no echo is expected.
    pub(in crate::engine) fn link_down(&mut self) -> Verdict {
        self.awaited.clear();
        self.begin_anew();
        if std::mem::replace(&mut self.degraded, true) { Verdict::Fine } else { Verdict::Degraded }
    }

    /// The link works, and yet this node is of no use to others.
    pub(in crate::engine) fn stay_degraded(&mut self) {
        self.degraded = true;
    }

    fn begin_anew(&mut self) {
        (self.waited, self.missed, self.silent) = (Duration::ZERO, [Duration::ZERO; 2], Duration::ZERO);
    }

    /// Lets a tick pass. `due`: a heartbeat waits to be sent.
    pub(in crate::engine) fn tick(&mut self, passed: Duration, link_up: bool, due: bool) -> Verdict {
        if !link_up {
            return Verdict::Fine;
        }
        self.silent += passed;
        if self.awaited.is_empty() && !due {
            (self.waited, self.missed) = (Duration::ZERO, [Duration::ZERO; 2]);
            return if std::mem::replace(&mut self.degraded, false) { Verdict::Recovered } else { Verdict::Fine };
        }
        self.waited += passed;
        self.missed = self.missed.map(|missed| missed + passed);
        if self.missed.iter().any(|missed| *missed >= ONE_WAY) || self.waited >= OVERDUE && self.silent >= SILENT {
            // Not again before the backend has had time to make a new link.
            self.begin_anew();
            return Verdict::Dead;
        }
        if self.waited >= OVERDUE && !std::mem::replace(&mut self.degraded, true) {
            return Verdict::Degraded;
        }
        Verdict::Fine
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TICK: Duration = Duration::from_millis(250);

    fn verdicts(echo: &mut Echo, ticks: usize, busy: bool) -> Vec<Verdict> {
        let tick = |_| {
            if busy {
                echo.arrived();
            }
            echo.tick(TICK, true, false)
        };
        (0..ticks).map(tick).filter(|verdict| *verdict != Verdict::Fine).collect()
    }

    #[test]
    fn g07_a_link_from_which_nothing_comes_is_degraded_then_dead_and_recovers_with_an_echo() {
        let now = Instant::now();
        let mut echo = Echo::new(now);
        echo.sent(1, now);
        assert_eq!(verdicts(&mut echo, 5, false), []);
        assert_eq!(verdicts(&mut echo, 3, false), [Verdict::Degraded, Verdict::Dead]);
        echo.heartbeat(1, now);
        assert_eq!(verdicts(&mut echo, 1, false), [Verdict::Recovered]);
        assert_eq!(verdicts(&mut echo, 100, false), []);
    }

    #[test]
    fn g07_a_busy_link_is_not_dead_but_one_that_only_listens_is() {
        let now = Instant::now();
        let mut echo = Echo::new(now);
        echo.sent(1, now);
        assert_eq!(verdicts(&mut echo, 36, true), [Verdict::Degraded]);
        assert_eq!(verdicts(&mut echo, 4, true), [Verdict::Dead]);
    }

    /// Sends heartbeat `2n` and probe `2n + 1` in second `n`, when this has those back that come then.
    fn each_second(back: impl Fn(&mut Echo, u64, Instant)) -> Vec<Verdict> {
        let now = Instant::now();
        let mut echo = Echo::new(now);
        let second = |n: u64| {
            let at = now + Duration::from_secs(n);
            echo.sent(2 * n, at);
            echo.sent(2 * n + 1, at);
            back(&mut echo, n, at);
            verdicts(&mut echo, 4, true)
        };
        (0..20).flat_map(second).collect()
    }

    #[test]
    fn g07_a_link_whose_echoes_are_always_late_is_degraded_and_not_dead() {
        let late = |echo: &mut Echo, n: u64, at: Instant| {
            if let Some(n) = n.checked_sub(3) {
                echo.heartbeat(2 * n, at);
                echo.probe(2 * n + 1, at);
            }
        };
        assert_eq!(each_second(late), [Verdict::Degraded]);
    }

    #[test]
    fn g07_a_link_of_which_one_channel_is_deaf_is_dead() {
        let probes = |echo: &mut Echo, n: u64, at: Instant| echo.probe(2 * n + 1, at);
        assert_eq!(each_second(probes), [Verdict::Degraded, Verdict::Dead, Verdict::Dead]);
    }

    #[test]
    fn g07_in_a_ring_whatever_arrives_on_the_cluster_channel_proves_it_and_probes_prove_the_rest() {
        // Sends a probe in each second, as a ring does; the cluster channel is heard while this says so.
        let run = |heard: fn(u64) -> bool, back: fn(u64) -> bool| {
            let now = Instant::now();
            let mut echo = Echo::new(now);
            echo.set_ring(true);
            let second = |n: u64| {
                let at = now + Duration::from_secs(n);
                echo.sent(2 * n, at);
                if heard(n) {
                    echo.arrived_on_cluster(at);
                } else {
                    echo.sent(2 * n + 1, at); // the channel is quiet: a heartbeat is sent to prove it
                }
                if back(n) {
                    echo.probe(2 * n, at);
                }
                verdicts(&mut echo, 4, true)
            };
            let verdicts: Vec<_> = (0..20).flat_map(second).collect();
            (verdicts, echo.health(now + Duration::from_secs(20)))
        };
        assert_eq!(run(|_| true, |_| true), (vec![], Duration::from_secs(1)));
        let deaf = (vec![Verdict::Degraded, Verdict::Dead], Duration::from_secs(16));
        assert_eq!(run(|n| n < 5, |_| true), deaf);
        assert_eq!(run(|_| true, |n| n < 5), deaf);
    }

    #[test]
    fn an_outage_that_the_backend_reports_is_degraded_once_and_over_with_the_first_echo() {
        let now = Instant::now();
        let mut echo = Echo::new(now);
        assert_eq!((echo.link_down(), echo.link_down()), (Verdict::Degraded, Verdict::Fine));
        assert_eq!(echo.tick(TICK, false, true), Verdict::Fine);
        echo.sent(2, now);
        assert_eq!(verdicts(&mut echo, 2, true), []);
        echo.heartbeat(2, now);
        assert_eq!(verdicts(&mut echo, 2, true), [Verdict::Recovered]);
    }
}
