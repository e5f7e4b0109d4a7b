//! The answers of sockets, which travel together: as many as there are when the writer looks.

use std::collections::{HashMap, VecDeque};

use super::ReplyTo;
use crate::model::SocketId;
use crate::wire::{AckBatch, Answer, SocketAck};

/// What waits to be taken. Bounded by its owner, who counts the bytes.
#[derive(Debug, Default)]
pub(super) struct WaitingAcks {
    batches: HashMap<ReplyTo, Waiting>,
    /// Whose batch is next: each stands here once while it waits.
    order: VecDeque<ReplyTo>,
    /// Batches that are as large as the asker takes.
    full: VecDeque<(ReplyTo, Waiting)>,
}

/// What a batch counts before anything is in it, an answer in it beside its bytes, and the name of a socket beside its own.
pub(super) const BATCH: usize = 384;
pub(super) const ACK: usize = 128;
pub(super) const NAME: usize = 48;

/// What one node waits for.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    batch: AckBatch,
    pub(super) bytes: usize,
    /// Whom it asked could not be said, for lack of room: the rest would look like all there is.
    broken: bool,
}

impl Waiting {
    pub(super) fn into_answer(self) -> Answer {
        if self.broken { Answer::NoHandler } else { Answer::Acks(self.batch) }
    }
}

impl WaitingAcks {
    /// Takes the list as it is: it may be long, and the engine is held.
    pub(super) fn expect(&mut self, to: ReplyTo, mut sockets: Vec<SocketId>, bytes: usize, limit: usize) {
        match &mut self.waiting(to, bytes, limit).batch.expected {
            Some(expected) => expected.append(&mut sockets),
            none => *none = Some(sockets),
        }
    }

    pub(super) fn ack(&mut self, to: ReplyTo, ack: SocketAck, bytes: usize, limit: usize) {
        self.waiting(to, bytes, limit).batch.acks.push(ack);
    }

    pub(super) fn end(&mut self, to: ReplyTo, bytes: usize) {
        self.waiting(to, bytes, usize::MAX).batch.done = true;
    }

    pub(super) fn break_off(&mut self, to: ReplyTo, bytes: usize) {
        self.waiting(to, bytes, usize::MAX).broken = true;
    }

    /// What has to be counted before anything for it may wait.
    pub(super) fn beginning(&self, to: ReplyTo) -> usize {
        if self.batches.contains_key(&to) { 0 } else { BATCH }
    }

    /// The batch that waits, or another one when the asker would not take both together.
    fn waiting(&mut self, to: ReplyTo, bytes: usize, limit: usize) -> &mut Waiting {
        let is_full = |waiting: &Waiting| waiting.bytes > 0 && waiting.bytes + bytes > limit;
        if self.batches.get(&to).is_some_and(is_full)
            && let Some(full) = self.batches.remove(&to)
        {
            self.full.push_back((to, full));
            self.order.retain(|waiting| *waiting != to);
        }
        let order = &mut self.order;
        let waiting = self.batches.entry(to).or_insert_with(|| {
            order.push_back(to);
            Waiting::default()
        });
        waiting.bytes += bytes;
        waiting
    }

    pub(super) fn take(&mut self) -> Option<(ReplyTo, Waiting)> {
        self.full.pop_front().or_else(|| {
            let to = self.order.pop_front()?;
            let waiting = self.batches.remove(&to).unwrap_or_default();
            if self.batches.is_empty() {
                (self.batches, self.order) = Default::default(); // a burst gives its memory back
            }
            Some((to, waiting))
        })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.full.is_empty() && self.order.is_empty()
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.full.len() + self.order.len()
    }
}
