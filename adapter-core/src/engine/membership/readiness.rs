//! When a newcomer may say that it is there.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::model::NodeId;

/// How long a newcomer waits for what.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Waits {
    /// Silence after its own echo that means it is alone.
    pub(crate) alone: Duration,
    /// For the nodes that others have named.
    pub(crate) named: Duration,
    /// Between two greetings.
    pub(crate) again: Duration,
}

/// A node is ready when everybody who was named in any answer has introduced itself, or time is up; when nobody
/// answers, after its own echo and a silence. Only who is ready answers: another newcomer knows no more than we do.
#[derive(Debug)]
pub(crate) struct Readiness {
    waits: Waits,
    began: Instant,
    greeted: Instant,
    echoed: Option<Instant>,
    /// Somebody who is ready has answered.
    answered: bool,
    introduced: BTreeSet<NodeId>,
    named: BTreeSet<NodeId>,
}

impl Readiness {
    pub(crate) fn new(waits: Waits, now: Instant) -> Self {
        let (introduced, named) = (BTreeSet::new(), BTreeSet::new());
        Self { waits, began: now, greeted: now, echoed: None, answered: false, introduced, named }
    }

    /// Our own greeting came back: what is published from now on reaches us.
    pub(crate) fn echo(&mut self, now: Instant) {
        self.echoed.get_or_insert(now);
    }

    pub(crate) fn welcome(&mut self, from: NodeId, names: impl IntoIterator<Item = NodeId>) {
        self.answered = true;
        self.introduce(from);
        self.named.extend(names);
    }

    /// A node has told its name, whether it answered us or not.
    pub(crate) fn introduce(&mut self, node: NodeId) {
        self.introduced.insert(node);
    }

    /// Who has told its name while we were not ready.
    pub(crate) fn introduced(&self) -> impl Iterator<Item = NodeId> {
        self.introduced.iter().copied()
    }

    /// A node has left: nobody waits for its answer.
    pub(crate) fn gone(&mut self, node: NodeId) {
        self.named.remove(&node);
    }

    pub(crate) fn is_ready(&self, now: Instant) -> bool {
        let Some(echoed) = self.echoed else { return false };
        if !self.answered {
            return now.saturating_duration_since(echoed) >= self.waits.alone;
        }
        self.named.is_subset(&self.introduced) || now.saturating_duration_since(self.began) >= self.waits.named
    }

    /// Those who were named and have kept silent.
    pub(crate) fn silent(&self) -> impl Iterator<Item = NodeId> {
        self.named.difference(&self.introduced).copied()
    }

    /// Whether it is time to greet again.
    pub(crate) fn greets(&mut self, now: Instant) -> bool {
        let due = now.saturating_duration_since(self.greeted) >= self.waits.again;
        if due {
            self.greeted = now;
        }
        due
    }

    /// When to look again.
    pub(crate) fn next(&self) -> Instant {
        let again = self.greeted + self.waits.again;
        self.echoed.filter(|_| !self.answered).map_or(again, |echoed| again.min(echoed + self.waits.alone))
    }
}
