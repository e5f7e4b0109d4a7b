//! Nodes that have fallen silent, and may come back with what is missing of them.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::model::NodeId;

/// So many are waited for; beyond that the one that fell silent first is given up.
const MOST: usize = 256;

/// Who has fallen silent, since when by the members' clock, and who is waited for no longer.
#[derive(Debug, Default)]
pub(super) struct Absent {
    since: BTreeMap<NodeId, Duration>,
    given_up: Vec<NodeId>,
}

impl Absent {
    /// A node has fallen silent.
    pub(super) fn add(&mut self, node: NodeId, clock: Duration) {
        self.since.insert(node, clock);
        if self.since.len() > MOST
            && let Some(first) = self.since.iter().min_by_key(|(_, since)| **since).map(|(node, _)| *node)
        {
            self.give_up(first);
        }
    }

    /// It was heard, or has said goodbye.
    pub(super) fn is_back(&mut self, node: NodeId) {
        self.since.remove(&node);
    }

    /// It is waited for no longer, if it was.
    pub(super) fn give_up(&mut self, node: NodeId) {
        if self.since.remove(&node).is_some() {
            self.given_up.push(node);
        }
    }

    /// Who is waited for no longer, each told once: given up, or silent for longer than this.
    pub(super) fn take_given_up(&mut self, clock: Duration, wait: Duration) -> Vec<NodeId> {
        let given_up = &mut self.given_up;
        self.since.retain(|node, since| {
            let waits = clock.saturating_sub(*since) <= wait;
            given_up.extend((!waits).then_some(*node));
            waits
        });
        std::mem::take(&mut self.given_up)
    }

    /// The same for all at once.
    pub(super) fn take_all(&mut self) -> Vec<NodeId> {
        self.given_up.extend(std::mem::take(&mut self.since).into_keys());
        std::mem::take(&mut self.given_up)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(n: usize) -> NodeId {
        NodeId::from_bytes((n as u128).to_be_bytes())
    }

    fn s(s: u64) -> Duration {
        Duration::from_secs(s)
    }

    #[test]
    fn who_does_not_come_back_in_time_is_given_up_once() {
        let mut absent = Absent::default();
        (1..=3).for_each(|n| absent.add(node(n), s(n as u64)));
        absent.is_back(node(1));
        assert_eq!(absent.take_given_up(s(12), s(10)), []);
        assert_eq!(absent.take_given_up(s(13), s(10)), [node(2)]);
        absent.give_up(node(3));
        absent.give_up(node(4)); // was never absent
        assert_eq!(absent.take_given_up(s(13), s(10)), [node(3)]);
        assert_eq!(absent.take_given_up(s(99), s(10)), []);
    }

    #[test]
    fn at_the_end_all_are() {
        let mut absent = Absent::default();
        (1..=3).for_each(|n| absent.add(node(n), s(0)));
        absent.give_up(node(2));
        assert_eq!(absent.take_all(), [node(2), node(1), node(3)]);
        assert_eq!(absent.take_all(), []);
    }

    #[test]
    fn g12_of_many_who_fall_silent_the_first_are_given_up() {
        let mut absent = Absent::default();
        (0..=MOST).for_each(|n| absent.add(node(n), s(if n == 7 { 0 } else { 1 })));
        assert_eq!(absent.take_given_up(s(1), s(10)), [node(7)]);
    }
}
