//! Who is dead, in a cluster that is large enough to be a ring.
//!
//! Each node sends a heartbeat twice a second to the inboxes of the few nodes behind it in the order of the ids, and to all
//! only now and then. These few suspect a node that has fallen silent, and say so to all; it is dead unless it shows a sign
//! of life within a short time. A small cluster needs none of this: there every node hears every other each second.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::time::{Duration, Instant};

use crate::model::NodeId;

/// A watcher suspects a node after this much silence.
pub(super) const SUSPICIOUS: Duration = Duration::from_secs(2);
/// Within this time a suspect has to be heard.
const GRACE: Duration = Duration::from_millis(500);
/// A suspicion is told so many times, each so long after the one before: those who missed it would not know.
const SAID: u8 = 3;
const AGAIN: Duration = Duration::from_secs(1);

/// The nodes of a ring behind this one: the nearest first, each once, this one not among them.
pub(super) fn successors(ring: &BTreeSet<NodeId>, me: NodeId) -> impl Iterator<Item = NodeId> {
    let behind = ring.range((Bound::Excluded(me), Bound::Unbounded)).chain(ring.range(..me));
    behind.copied()
}

/// The same before it.
fn predecessors(ring: &BTreeSet<NodeId>, me: NodeId) -> impl Iterator<Item = NodeId> {
    let before = ring.range(..me).rev().chain(ring.range((Bound::Excluded(me), Bound::Unbounded)).rev());
    before.copied()
}

/// The nodes that this one watches, and those that are suspected. All times are the members' clock's, except `real`.
#[derive(Debug, Default)]
pub(crate) struct Detector {
    /// Since when each has been watched.
    watched: BTreeMap<NodeId, Duration>,
    suspects: BTreeMap<NodeId, Suspicion>,
}

#[derive(Clone, Copy, Debug)]
struct Suspicion {
    since: Duration,
    /// The same by the plain clock: a probe that was sent later proves that the suspect would have been heard.
    real: Instant,
    /// Judged already; only told of again.
    over: bool,
    /// How often this node has to say it still, and when the next time.
    left: u8,
    next: Duration,
}

/// What a detector has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Finding {
    /// This node is to be suspected, and everybody to be told.
    Suspect(NodeId),
    /// This node has shown no sign of life in time.
    Dead(NodeId),
}

impl Detector {
    /// Takes so many nodes before this one in the ring as those to watch.
    pub(crate) fn watch(&mut self, ring: &BTreeSet<NodeId>, me: NodeId, count: usize, clock: Duration) {
        let now: BTreeSet<_> = predecessors(ring, me).take(count).collect();
        self.watched.retain(|node, _| now.contains(node));
        for node in now {
            self.watched.entry(node).or_insert(clock);
        }
    }

    /// The nodes that are watched, each with the time since when.
    pub(crate) fn watched(&self) -> impl Iterator<Item = (NodeId, Duration)> {
        self.watched.iter().map(|(node, since)| (*node, *since))
    }

    /// A node is suspected: by another node, or, if it is to be told, by this one.
    pub(crate) fn suspect(&mut self, node: NodeId, since: Duration, real: Instant, told: bool) {
        let left = if told { SAID - 1 } else { 0 };
        let suspicion = Suspicion { since, real, over: false, left, next: since + AGAIN };
        let old = self.suspects.entry(node).or_insert(suspicion);
        if old.over || told && old.left == 0 {
            *old = suspicion;
        }
    }

    pub(crate) fn is_suspected(&self, node: NodeId) -> bool {
        self.suspects.get(&node).is_some_and(|suspicion| !suspicion.over)
    }

    /// What has come of the suspicions. `heard` says when a node was heard last, if it is live; `proven` when the probe was
    /// sent that came back last.
    pub(crate) fn judge(
        &mut self,
        clock: Duration,
        proven: Instant,
        heard: impl Fn(NodeId) -> Option<Duration>,
    ) -> Vec<Finding> {
        let mut found = Vec::new();
        self.suspects.retain(|node, suspicion| {
            let alive = heard(*node);
            // The reply to a suspicion may come before the suspicion does. Who is dead was heard long before.
            if alive.is_some_and(|heard| heard + GRACE >= suspicion.since) {
                return false;
            }
            if alive.is_some() && !suspicion.over && clock >= suspicion.since + GRACE && proven >= suspicion.real {
                found.push(Finding::Dead(*node));
                suspicion.over = true;
            }
            suspicion.over |= alive.is_none();
            if suspicion.left > 0 && clock >= suspicion.next {
                (suspicion.left, suspicion.next) = (suspicion.left - 1, clock + AGAIN);
                found.push(Finding::Suspect(*node));
            }
            !suspicion.over || suspicion.left > 0
        });
        found
    }

    /// When to judge again, as far as suspicions go. A probe that is late is looked at with each tick.
    pub(crate) fn next(&self) -> Option<Duration> {
        let next = |suspicion: &Suspicion| {
            let judged = (!suspicion.over).then_some(suspicion.since + GRACE);
            let told = (suspicion.left > 0).then_some(suspicion.next);
            judged.into_iter().chain(told).min()
        };
        self.suspects.values().filter_map(next).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(n: u8) -> NodeId {
        NodeId::from_bytes([n; 16])
    }

    fn ring(nodes: impl IntoIterator<Item = u8>) -> BTreeSet<NodeId> {
        nodes.into_iter().map(node).collect()
    }

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    const WATCHERS: usize = 3;

    #[test]
    fn g22_a_node_is_watched_by_those_that_it_beats_to() {
        let all: BTreeSet<u8> = (0..10).collect();
        let others = |me: u8| ring(all.iter().copied().filter(|other| *other != me));
        for a in 0..10 {
            let beats: BTreeSet<_> = successors(&others(a), node(a)).take(WATCHERS).collect();
            assert_eq!(beats.len(), WATCHERS);
            for b in (0..10).filter(|b| *b != a) {
                let watches = predecessors(&others(b), node(b)).take(WATCHERS).any(|watched| watched == node(a));
                assert_eq!(watches, beats.contains(&node(b)), "{a} and {b}");
            }
        }
        assert_eq!(successors(&ring([7]), node(3)).collect::<Vec<_>>(), [node(7)]);
    }

    #[test]
    fn g05_a_suspect_that_is_not_heard_is_dead_after_the_grace_and_one_that_is_heard_lives() {
        let real = Instant::now();
        let mut detector = Detector::default();
        detector.suspect(node(1), ms(2000), real, false);
        detector.suspect(node(2), ms(2000), real, false);
        let heard = |of| Some(if of == node(2) { ms(2300) } else { ms(0) });
        assert_eq!(detector.next(), Some(ms(2500)));
        assert_eq!(detector.judge(ms(2499), real, heard), []);
        assert_eq!(detector.judge(ms(2500), real, heard), [Finding::Dead(node(1))]);
        assert_eq!((detector.judge(ms(9000), real, heard), detector.next()), (vec![], None));
    }

    #[test]
    fn g05_a_reply_that_came_before_the_suspicion_counts() {
        let real = Instant::now();
        let mut detector = Detector::default();
        detector.suspect(node(1), ms(900), real, false);
        detector.suspect(node(2), ms(900), real, false);
        let heard = |of| Some(if of == node(2) { ms(400) } else { ms(399) });
        assert_eq!(detector.judge(ms(1400), real, heard), [Finding::Dead(node(1))]);
    }

    #[test]
    fn g08_nobody_is_condemned_before_this_node_has_proof_of_its_own_link() {
        let real = Instant::now();
        let mut detector = Detector::default();
        detector.suspect(node(1), ms(2000), real + ms(100), false);
        let heard = |_| Some(ms(0));
        assert_eq!(detector.judge(ms(5000), real + ms(99), heard), []);
        assert_eq!(detector.judge(ms(5250), real + ms(100), heard), [Finding::Dead(node(1))]);
    }

    #[test]
    fn a_suspicion_of_ones_own_is_told_three_times_also_when_it_was_right() {
        let real = Instant::now();
        let mut detector = Detector::default();
        detector.suspect(node(1), ms(0), real, true);
        // The first one was said with the suspicion.
        let mut says = |at| detector.judge(ms(at), real, |_| None);
        assert_eq!(says(999), []);
        assert_eq!(says(1000), [Finding::Suspect(node(1))]);
        assert_eq!(says(2000), [Finding::Suspect(node(1))]);
        assert_eq!(says(3000), []);
    }
}
