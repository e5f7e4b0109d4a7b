//! When a newcomer may say that it is there.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::model::NodeId;

/// How long a newcomer waits for what.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Waits {
    /// Silence that means it is alone: after its own echo, and as long again as that was on its way.
    pub(crate) alone: Duration,
    /// For the nodes that others have named, and as long again as its own echo was on its way.
    pub(crate) named: Duration,
    /// Between two greetings.
    pub(crate) again: Duration,
}

/// A node is ready when everybody who was named in any list has introduced itself, or time is up; when nobody answers,
/// after its own echo and a silence. Only a node that is ready answers: another newcomer knows no more than we do.
#[derive(Debug)]
pub(crate) struct Readiness {
    waits: Waits,
    began: Instant,
    greets: Instant,
    pause: Duration,
    echoed: Option<Instant>,
    /// Somebody who is ready has answered.
    answered: bool,
    introduced: BTreeSet<NodeId>,
    /// Those who were named and have not introduced themselves.
    missing: BTreeSet<NodeId>,
    /// The most nodes that are believed in.
    most: usize,
    /// The lists that were announced, and which frames of each have come.
    lists: BTreeMap<NodeId, List>,
}

#[derive(Debug, Default)]
struct List {
    of: Option<u32>,
    come: BTreeSet<u32>,
}

impl List {
    fn is_complete(&self) -> bool {
        self.of.is_some_and(|of| self.come.range(..of).count() as u64 == u64::from(of))
    }
}

/// No list is in more frames, and no more lists are waited for.
const MOST_LISTS: usize = 64;
/// A broker is not believed to be farther away than this.
const FARTHEST: Duration = Duration::from_secs(2);

impl Readiness {
    pub(crate) fn new(waits: Waits, most: usize, now: Instant) -> Self {
        Self {
            waits,
            began: now,
            greets: now + waits.again,
            pause: waits.again,
            echoed: None,
            answered: false,
            introduced: BTreeSet::new(),
            missing: BTreeSet::new(),
            most,
            lists: BTreeMap::new(),
        }
    }

    /// Our own greeting came back: what is published from now on reaches us.
    pub(crate) fn echo(&mut self, now: Instant) {
        self.echoed.get_or_insert(now);
    }

    /// A node that is ready replies, and announces so many frames of its list.
    pub(crate) fn welcome(&mut self, from: NodeId, lists: u32) {
        self.answered = true;
        self.introduce(from);
        if lists > 0 && lists as usize <= MOST_LISTS {
            self.list(from, |list| list.of = Some(lists));
        }
    }

    /// One frame of a list has come.
    pub(crate) fn names(&mut self, from: NodeId, index: u32, names: impl IntoIterator<Item = NodeId>) {
        for name in names {
            if !self.introduced.contains(&name) && self.missing.len() < self.most {
                self.missing.insert(name);
            }
        }
        if (index as usize) < MOST_LISTS {
            self.list(from, |list| _ = list.come.insert(index));
        }
    }

    fn list(&mut self, of: NodeId, change: impl FnOnce(&mut List)) {
        if self.lists.len() < MOST_LISTS || self.lists.contains_key(&of) {
            change(self.lists.entry(of).or_default());
        }
    }

    /// A node has told its name, whether it answered us or not.
    pub(crate) fn introduce(&mut self, node: NodeId) {
        if self.introduced.len() < self.most {
            self.introduced.insert(node);
        }
        self.missing.remove(&node);
    }

    /// A node has left: nobody waits for its answer.
    pub(crate) fn gone(&mut self, node: NodeId) {
        self.missing.remove(&node);
        self.lists.remove(&node);
    }

    pub(crate) fn is_ready(&self, now: Instant) -> bool {
        let Some(echoed) = self.echoed else { return false };
        if !self.answered {
            return now >= self.alone(echoed);
        }
        let listed = !self.lists.is_empty() && self.lists.values().all(List::is_complete);
        listed && self.missing.is_empty() || now >= self.named(echoed)
    }

    /// When silence means that nobody is there: a reply takes the way through the broker once more than the echo.
    fn alone(&self, echoed: Instant) -> Instant {
        echoed + self.waits.alone + self.way(echoed)
    }

    /// When those who were named have had time enough.
    fn named(&self, echoed: Instant) -> Instant {
        (self.began + self.waits.named + self.way(echoed)).max(self.alone(echoed))
    }

    /// How far away the broker is, and how busy.
    fn way(&self, echoed: Instant) -> Duration {
        echoed.saturating_duration_since(self.began).min(FARTHEST)
    }

    /// Those who were named and have kept silent.
    pub(crate) fn silent(&self) -> impl Iterator<Item = NodeId> {
        self.missing.iter().copied()
    }

    /// Whether it is time to greet again; after a longer pause each time.
    pub(crate) fn greets(&mut self, now: Instant) -> bool {
        let due = self.greets <= now;
        if due {
            self.pause = (self.pause * 2).min(8 * self.waits.again);
            self.greets = now + self.pause;
        }
        due
    }

    /// When to look again.
    pub(crate) fn next(&self) -> Instant {
        let over = |echoed| if self.answered { self.named(echoed) } else { self.alone(echoed) };
        self.echoed.map(over).into_iter().fold(self.greets, Instant::min)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(n: u8) -> NodeId {
        NodeId::from_bytes([n; 16])
    }

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn newcomer(now: Instant) -> Readiness {
        Readiness::new(Waits { alone: ms(250), named: ms(1000), again: ms(250) }, 100, now)
    }

    #[test]
    fn g18_a_node_is_ready_when_all_who_were_named_have_said_who_they_are() {
        let now = Instant::now();
        let mut readiness = newcomer(now);
        readiness.welcome(node(1), 2);
        readiness.echo(now);
        readiness.names(node(1), 0, [node(2)]);
        readiness.introduce(node(2));
        assert!(!readiness.is_ready(now), "a part of the list has not come");
        readiness.names(node(1), 1, [node(3)]);
        assert!(!readiness.is_ready(now), "node 3 has not introduced itself");
        assert_eq!(readiness.silent().collect::<Vec<_>>(), [node(3)]);
        readiness.welcome(node(3), 0);
        assert!(readiness.is_ready(now));
    }

    #[test]
    fn g18_without_a_list_a_node_waits_for_one_and_alone_for_a_silence() {
        let now = Instant::now();
        let mut readiness = newcomer(now);
        assert!(!readiness.is_ready(now + ms(9000)), "its own greeting has not come back");
        readiness.echo(now);
        assert!(!readiness.is_ready(now + ms(249)) && readiness.is_ready(now + ms(250)));
        readiness.welcome(node(1), 0);
        assert!(!readiness.is_ready(now + ms(999)) && readiness.is_ready(now + ms(1000)));
    }

    #[test]
    fn g18_far_from_the_broker_silence_means_less() {
        let now = Instant::now();
        for (echo, alone) in [(0, 250), (300, 850), (5000, 7250)] {
            let mut readiness = newcomer(now);
            readiness.echo(now + ms(echo));
            let last = now + ms(alone) - ms(1);
            assert!(!readiness.is_ready(last) && readiness.is_ready(now + ms(alone)), "an echo after {echo} ms");
            while readiness.greets(last) {}
            assert_eq!(readiness.next(), now + ms(alone));
            readiness.welcome(node(1), 0);
            let named = now + ms(alone.max(1000 + echo));
            assert!(!readiness.is_ready(named - ms(1)) && readiness.is_ready(named), "an echo after {echo} ms");
        }
    }

    #[test]
    fn a_greeting_is_repeated_with_growing_pauses() {
        let now = Instant::now();
        let mut readiness = newcomer(now);
        let greets: Vec<_> = (0..8000).filter(|at| readiness.greets(now + ms(*at))).collect();
        assert_eq!(greets, [250, 750, 1750, 3750, 5750, 7750]);
    }
}
