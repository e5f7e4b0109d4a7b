//! When this node is to be heard: its heartbeats, by the size of the cluster, and those that others ask for.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::random::hash;
use crate::model::NodeId;

/// A ring that shrinks to this part of its threshold is one no more, so that the cluster does not change at every node.
const SHRUNK: (usize, usize) = (3, 4);
/// With so many heartbeats at the old pace a node tells that it is going to be heard less often.
const ANNOUNCED: u8 = 2;
/// Heartbeats that are asked for come no closer.
const CLOSEST: Duration = Duration::from_millis(100);
/// To no more askers than these a node replies one by one; to more with one heartbeat for all.
const ASKERS: usize = 3;
/// The longest period that is believed, and promised.
pub(crate) const LONGEST: Duration = Duration::from_secs(600);

/// How a cluster beats.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// Between two heartbeats of a node of a small cluster, and between two probes of any.
    pub(crate) heartbeat: Duration,
    /// Above so many nodes the cluster is a ring.
    pub(crate) ring: usize,
    /// So many heartbeats arrive in that time on the cluster channel of a ring, in all.
    pub(crate) beats: usize,
}

/// What is due.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Due {
    /// A probe of our own inbox.
    pub(crate) probe: bool,
    /// A heartbeat on the cluster channel.
    pub(crate) heartbeat: bool,
    /// Heartbeats to the inboxes of those who watch this node.
    pub(crate) beats: bool,
    /// Heartbeats to the inboxes of these, who have asked.
    pub(crate) askers: Vec<NodeId>,
}

#[derive(Debug)]
pub(crate) struct Rhythm {
    me: NodeId,
    pace: Pace,
    /// Nodes, with this one.
    nodes: usize,
    ring: bool,
    period: Duration,
    announced: u8,
    pulse: Instant,
    beat: Instant,
    /// The next heartbeat on the cluster channel of a ring.
    cluster: Instant,
    sent: Option<Instant>,
    /// The heartbeat that somebody wants.
    wanted: Option<Instant>,
    askers: BTreeSet<NodeId>,
    reply: Option<Instant>,
    replies: u64,
}

impl Rhythm {
    pub(crate) fn new(me: NodeId, pace: Pace, now: Instant) -> Self {
        // Nodes that start together do not beat together: in a ring one of them proves the cluster channel for all.
        let half = pace.heartbeat / 2;
        let due = now + half + part(half, hash(me, 0));
        Self {
            me,
            pace,
            nodes: 1,
            ring: false,
            period: pace.heartbeat,
            announced: 0,
            pulse: due,
            beat: due,
            cluster: due,
            sent: None,
            wanted: None,
            askers: BTreeSet::new(),
            reply: None,
            replies: 0,
        }
    }

    pub(crate) fn is_ring(&self) -> bool {
        self.ring
    }

    /// The longest time between two heartbeats on the cluster channel, as this node promises it.
    pub(crate) fn period(&self) -> Duration {
        self.period
    }

    /// So many nodes are live, with this one.
    pub(crate) fn resize(&mut self, nodes: usize, now: Instant) {
        let Pace { heartbeat, ring, beats } = self.pace;
        self.nodes = nodes;
        let shrunk = ring * SHRUNK.0 / SHRUNK.1;
        let is_ring = if self.ring { nodes > shrunk } else { nodes > ring };
        let period = (heartbeat * nodes as u32 / beats.max(1) as u32).clamp(heartbeat, LONGEST);
        self.period = if is_ring { period } else { heartbeat };
        if is_ring != std::mem::replace(&mut self.ring, is_ring) {
            self.announced = 0;
            self.beat = now + part(self.pace.heartbeat / 2, hash(self.me, 1));
            self.cluster = now;
            self.want(now);
        }
    }

    /// A heartbeat is wanted now: somebody suspects this node, or speaks in its name.
    pub(crate) fn want(&mut self, now: Instant) {
        let due = self.sent.map_or(now, |sent| now.max(sent + CLOSEST));
        self.wanted = Some(self.wanted.map_or(due, |earlier| earlier.min(due)));
    }

    /// A node that was cut off asks who is there. Many ask at the same time, when a broker is back: the larger the cluster, the
    /// longer a reply waits for more of them.
    pub(crate) fn asked(&mut self, by: NodeId, now: Instant) {
        if self.askers.len() <= ASKERS {
            self.askers.insert(by);
        }
        if self.reply.is_some() {
            return;
        }
        let share = |least: u64, each: u64, most: u64| (each * self.nodes as u64 / 10).clamp(least, most);
        let longest = share(20, 4, 400);
        self.replies += 1;
        let wait = longest / 2 + hash(self.me, self.replies) % (longest / 2 + 1);
        let apart = Duration::from_millis(share(20, 16, 800));
        let due = now + Duration::from_millis(wait);
        self.reply = Some(self.sent.map_or(due, |sent| due.max(sent + apart)));
    }

    /// What is due now. `quiet`: nothing has arrived on the cluster channel for as long as a heartbeat takes.
    pub(crate) fn due(&mut self, quiet: bool, now: Instant) -> Due {
        let mut due = Due { heartbeat: self.wanted.is_some_and(|wanted| wanted <= now), ..Due::default() };
        if self.pulse <= now {
            self.pulse = now + self.pace.heartbeat;
            due.probe = true;
            // In a ring: until all know that it will come less often, when it is due, and to prove a channel that says nothing.
            due.heartbeat |= !self.ring || self.announced < ANNOUNCED || self.cluster <= now || quiet;
        }
        if self.ring && self.beat <= now {
            self.beat = now + self.pace.heartbeat / 2;
            due.beats = true;
        }
        if self.reply.is_some_and(|reply| reply <= now) {
            self.reply = None;
            match self.askers.len() {
                0 => {}
                1..=ASKERS => due.askers = std::mem::take(&mut self.askers).into_iter().collect(),
                _ => due.heartbeat = true,
            }
        }
        if due.heartbeat {
            self.wanted = None;
        }
        due
    }

    /// A heartbeat on the cluster channel is being sent: it serves all who have asked so far.
    pub(crate) fn beaten(&mut self, now: Instant) {
        self.sent = Some(now);
        self.askers.clear();
        self.reply = None;
        if self.ring {
            self.announced = self.announced.saturating_add(1);
            // The first of the rare ones comes at any time within the period, so that those of all do not come together.
            let phase = part(self.period, hash(self.me, self.nodes as u64));
            self.cluster = now + if self.announced <= ANNOUNCED { phase } else { self.period };
        }
    }

    pub(crate) fn next(&self) -> Instant {
        let next = if self.ring { self.pulse.min(self.beat) } else { self.pulse };
        self.wanted.into_iter().chain(self.reply).fold(next, Instant::min)
    }
}

/// Any part of a time, by a number.
fn part(of: Duration, number: u64) -> Duration {
    Duration::from_micros(number % (of.as_micros() as u64).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn rhythm(n: u8, nodes: usize, now: Instant) -> Rhythm {
        let pace = Pace { heartbeat: ms(1000), ring: 64, beats: 8 };
        let mut rhythm = Rhythm::new(NodeId::from_bytes([n; 16]), pace, now);
        rhythm.resize(nodes, now);
        rhythm
    }

    /// The heartbeats on the cluster channel within a time, and the beats to each watcher.
    fn run(rhythm: &mut Rhythm, from: Instant, time: Duration) -> (Vec<Instant>, usize) {
        let (mut heartbeats, mut beats) = (Vec::new(), 0);
        while rhythm.next() <= from + time {
            let at = rhythm.next();
            let due = rhythm.due(false, at);
            beats += usize::from(due.beats);
            if due.heartbeat {
                rhythm.beaten(at);
                heartbeats.push(at);
            }
        }
        (heartbeats, beats)
    }

    #[test]
    fn g05_a_small_cluster_beats_each_second_and_a_ring_eight_times_a_second_in_all() {
        let now = Instant::now();
        let (heartbeats, beats) = run(&mut rhythm(1, 64, now), now, ms(60_000));
        assert_eq!((heartbeats.len(), beats), (60, 0), "the first one within the first second");
        let mut all = 0;
        for n in 0..100 {
            let mut rhythm = rhythm(n, 100, now);
            assert_eq!(rhythm.period(), ms(12_500));
            let (announced, _) = run(&mut rhythm, now, ms(3000));
            assert!((2..=3).contains(&announced.len()), "{announced:?}");
            let (heartbeats, beats) = run(&mut rhythm, now + ms(3000), ms(100_000));
            assert!((199..=201).contains(&beats), "{beats}");
            all += heartbeats.len();
            for pair in heartbeats.windows(2) {
                assert!(pair[1] - pair[0] <= ms(13_500), "what was promised");
            }
        }
        assert!((700..=900).contains(&all), "{all} in 100 seconds");
    }

    #[test]
    fn a_cluster_that_shrinks_a_little_stays_a_ring() {
        let now = Instant::now();
        let mut rhythm = rhythm(1, 65, now);
        for (nodes, ring) in [(65, true), (60, true), (49, true), (48, false), (64, false), (65, true)] {
            rhythm.resize(nodes, now);
            assert_eq!(rhythm.is_ring(), ring, "{nodes} nodes");
        }
    }

    #[test]
    fn g22_many_who_ask_are_served_by_one_heartbeat_and_few_one_by_one() {
        let now = Instant::now();
        let asker = |n: u8| NodeId::from_bytes([n; 16]);
        let mut rhythm = rhythm(1, 1000, now);
        run(&mut rhythm, now, ms(10_000));
        let then = now + ms(12_000);
        rhythm.asked(asker(2), then);
        let replies = |rhythm: &mut Rhythm| {
            let mut replies = Vec::new();
            while rhythm.next() <= then + ms(400) {
                let at = rhythm.next();
                let due = rhythm.due(false, at);
                if due.heartbeat || !due.askers.is_empty() {
                    replies.push((due.heartbeat, due.askers));
                }
            }
            replies
        };
        let mut other = rhythm_clone(&mut rhythm, then, 200);
        assert_eq!(replies(&mut rhythm), [(false, vec![asker(2)])]);
        assert_eq!(replies(&mut other), [(true, vec![])]);
    }

    /// One that so many have asked.
    fn rhythm_clone(like: &mut Rhythm, now: Instant, askers: u8) -> Rhythm {
        let mut other = rhythm(1, like.nodes, now - ms(10_000));
        run(&mut other, now - ms(10_000), ms(9000));
        (0..askers).for_each(|n| other.asked(NodeId::from_bytes([n; 16]), now));
        other
    }

    #[test]
    fn what_is_wanted_comes_at_once_and_then_ten_times_a_second_at_the_most() {
        let now = Instant::now();
        let mut rhythm = rhythm(1, 3, now);
        let mut sent = Vec::new();
        for at in 0..500 {
            let at = now + ms(at);
            rhythm.want(at);
            if rhythm.due(false, at).heartbeat {
                rhythm.beaten(at);
                sent.push(at - now);
            }
        }
        assert_eq!(sent, [ms(0), ms(100), ms(200), ms(300), ms(400)]);
    }
}
