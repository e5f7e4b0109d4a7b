//! After the goodbye: who may still miss something.

use std::collections::BTreeSet;

use crate::model::NodeId;
use crate::wire::{Mark, Nack};

/// A node that leaves stays until all that it sent has reached the others: nodes that miss something ask for it meanwhile.
#[derive(Debug)]
pub(in crate::engine) struct Farewell {
    /// The last that was sent to all.
    last: Mark,
    waiting: BTreeSet<NodeId>,
}

impl Farewell {
    pub(in crate::engine) fn new(last: Mark, waiting: BTreeSet<NodeId>) -> Self {
        Self { last, waiting }
    }

    /// A node says what it has; it says that it misses nothing once it has everything on both channels.
    pub(in crate::engine) fn confirm(&mut self, node: NodeId, nack: &Nack) {
        let all = self.last.n == 0 || nack.has.epoch == self.last.epoch && nack.has.n >= self.last.n;
        if all && !nack.inbox && nack.missing.is_empty() && nack.pieces.is_empty() {
            self.waiting.remove(&node);
        }
    }

    /// A node is gone.
    pub(in crate::engine) fn no_longer(&mut self, node: NodeId) {
        self.waiting.remove(&node);
    }

    pub(in crate::engine) fn is_over(&self) -> bool {
        self.waiting.is_empty()
    }
}
