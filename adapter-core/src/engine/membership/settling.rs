//! After an outage: who is back.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::model::NodeId;

/// After an outage, for how long what has waited waits for the others at the most.
const PATIENCE: Duration = Duration::from_secs(1);

/// A node whose link is back before those of the others would send what it kept to nobody. So it greets, and keeps it
/// until every node that was live has been heard again, or the patience is over.
#[derive(Debug)]
pub(in crate::engine) struct Settling {
    until: Instant,
    waiting: BTreeSet<NodeId>,
}

impl Settling {
    pub(in crate::engine) fn new(waiting: impl IntoIterator<Item = NodeId>, now: Instant) -> Self {
        Self { until: now + PATIENCE, waiting: waiting.into_iter().collect() }
    }

    /// A node was heard, or is gone.
    pub(in crate::engine) fn no_longer(&mut self, node: NodeId) {
        self.waiting.remove(&node);
    }

    pub(in crate::engine) fn is_over(&self, now: Instant) -> bool {
        self.waiting.is_empty() || self.until <= now
    }

    pub(in crate::engine) fn until(&self) -> Instant {
        self.until
    }
}
