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
        echo.heartbeat_sent(1, now);
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
        echo.heartbeat_sent(1, now);
        assert_eq!(verdicts(&mut echo, 36, true), [Verdict::Degraded]);
        assert_eq!(verdicts(&mut echo, 4, true), [Verdict::Dead]);
    }

    /// Sends heartbeat `2n` and probe `2n + 1` in second `n`, when this has those back that come then.
    fn each_second(back: impl Fn(&mut Echo, u64, Instant)) -> Vec<Verdict> {
        let now = Instant::now();
        let mut echo = Echo::new(now);
        let second = |n: u64| {
            let at = now + Duration::from_secs(n);
            echo.heartbeat_sent(2 * n, at);
            echo.probe_sent(2 * n + 1, at);
            back(&mut echo, n, at);
            verdicts(&mut echo, 4, true)
        };
        (0..20).flat_map(second).collect()
    }

    /// Every echo comes back so many seconds after what was sent.
    fn late(seconds: u64) -> impl Fn(&mut Echo, u64, Instant) {
        move |echo, n, at| {
            if let Some(n) = n.checked_sub(seconds) {
                echo.heartbeat(2 * n, at);
                echo.probe(2 * n + 1, at);
            }
        }
    }

    #[test]
    fn g07_a_link_whose_echoes_are_always_late_is_degraded_and_not_dead() {
        assert_eq!(each_second(late(3)), [Verdict::Degraded]);
    }

    #[test]
    fn g07_a_link_with_an_echo_always_on_its_way_is_slow_and_not_degraded() {
        assert_eq!(each_second(late(1)), []);
    }

    #[test]
    fn g07_a_link_that_is_late_for_a_while_recovers_although_an_echo_is_always_on_its_way() {
        let busy = |echo: &mut Echo, n: u64, at: Instant| match n {
            0..5 => late(3)(echo, n, at),
            5 => {} // those of three seconds come at once
            6 => (3..=5).for_each(|n| late(0)(echo, n, at)),
            _ => late(1)(echo, n, at),
        };
        assert_eq!(each_second(busy), [Verdict::Degraded, Verdict::Recovered]);
    }

    #[test]
    fn an_echo_that_is_lost_is_forgotten_with_the_next() {
        let lossy = |echo: &mut Echo, n: u64, at: Instant| {
            if n.is_multiple_of(2) {
                late(0)(echo, n, at);
            }
        };
        assert_eq!(each_second(lossy), []);
    }

    #[test]
    fn g07_a_link_of_which_one_channel_is_deaf_is_dead() {
        let probes = |echo: &mut Echo, n: u64, at: Instant| echo.probe(2 * n + 1, at);
        assert_eq!(each_second(probes), [Verdict::Degraded, Verdict::Dead, Verdict::Dead]);
    }

    #[test]
    fn g07_echoes_that_come_after_the_link_was_given_up_are_late_all_the_same() {
        assert_eq!(each_second(late(11)), [Verdict::Degraded, Verdict::Dead]);
    }

    #[test]
    fn g07_a_link_on_the_brink_is_degraded_once() {
        let unsteady = |echo: &mut Echo, n: u64, at: Instant| {
            if n >= 2 && n.is_multiple_of(2) {
                (n - 2..n).for_each(|n| late(0)(echo, n, at));
            }
        };
        assert_eq!(each_second(unsteady), [Verdict::Degraded]);
    }

    #[test]
    fn g07_of_a_deaf_channel_the_oldest_echo_is_remembered_however_much_is_sent() {
        let now = Instant::now();
        let mut echo = Echo::new(now);
        let tick = |n: u64| {
            (100 * n..100 * n + 100).for_each(|counter| echo.probe_sent(counter, now));
            echo.arrived();
            echo.tick(TICK, true, false)
        };
        let said: Vec<_> = (0..20).map(tick).filter(|verdict| *verdict != Verdict::Fine).collect();
        assert_eq!(said, [Verdict::Degraded]);
        echo.probe(1999, now);
        assert_eq!(verdicts(&mut echo, 1, true), [Verdict::Recovered]);
    }

    #[test]
    fn g07_what_waits_to_be_sent_is_overdue_unless_others_like_it_come_back() {
        let run = |comes_back: bool| {
            let now = Instant::now();
            let mut echo = Echo::new(now);
            let tick = |n: u64| {
                let verdict = echo.tick(TICK, true, true);
                if comes_back {
                    echo.heartbeat_sent(n, now);
                    echo.heartbeat(n, now);
                    echo.arrived();
                }
                verdict
            };
            (0..10).map(tick).filter(|verdict| *verdict != Verdict::Fine).collect::<Vec<_>>()
        };
        assert_eq!(run(true), []);
        assert_eq!(run(false), [Verdict::Degraded, Verdict::Dead]);
    }

    #[test]
    fn in_a_ring_a_heartbeat_that_is_lost_is_forgotten_by_what_arrives_after_it() {
        let now = Instant::now();
        let mut echo = Echo::new(now);
        echo.set_ring(true);
        echo.heartbeat_sent(1, now);
        assert_eq!(verdicts(&mut echo, 4, true), []);
        echo.arrived_on_cluster(now);
        assert_eq!(verdicts(&mut echo, 20, true), []);
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
                echo.probe_sent(2 * n, at);
                if heard(n) {
                    echo.arrived_on_cluster(at);
                } else {
                    echo.heartbeat_sent(2 * n + 1, at); // the channel is quiet: a heartbeat is sent to prove it
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
    fn an_outage_that_the_backend_reports_is_degraded_once_and_over_with_the_first_echo_on_each_channel() {
        let now = Instant::now();
        let mut echo = Echo::new(now);
        assert_eq!((echo.link_down(), echo.link_down()), (Verdict::Degraded, Verdict::Fine));
        assert_eq!(echo.tick(TICK, false, true), Verdict::Fine);
        echo.probe_sent(2, now);
        echo.probe(2, now);
        assert_eq!(verdicts(&mut echo, 2, true), [], "the other channel is not proved");
        echo.heartbeat_sent(3, now);
        assert_eq!(verdicts(&mut echo, 2, true), []);
        echo.heartbeat(3, now);
        assert_eq!(verdicts(&mut echo, 2, true), [Verdict::Recovered]);
    }
}
