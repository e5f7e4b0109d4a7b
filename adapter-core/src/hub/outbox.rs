//! The bounded queue of one socket.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;

use super::acks::{AckHandle, Question};
use super::index::Key;
use super::socket::Delivery;
use crate::model::{Packet, SocketId};

/// What becomes of a socket whose queue is full when the next delivery comes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SlowPolicy {
    /// It is disconnected, and what waits for it is dropped: a client that comes back and asks for the present state
    /// is better off than one that lacks something and does not know it.
    #[default]
    Disconnect,
    /// The delivery is dropped.
    DropNewest,
    /// The delivery that waits longest is dropped.
    DropOldest,
}

/// How much a socket's queue holds, and what happens then.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rule {
    pub(super) queue: usize,
    pub(super) slow: SlowPolicy,
}

/// What waits for one socket, and what is said of it.
pub(super) struct Outbox {
    id: SocketId,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Delivery>,
    /// Nothing is taken any more; what is there may still be delivered.
    closed: bool,
    waker: Option<Waker>,
    /// The questions that this socket was asked and whose handles are still about, by their numbers.
    asked: BTreeMap<u64, (Arc<Question>, usize)>,
    data: Bytes,
}

/// What an operation leaves to do when no lock is held any more. All of it may run code that is not ours: wakers,
/// and what is dropped with a delivery (a packet's owner, an unused ack).
#[derive(Default)]
pub(super) struct After {
    pub(super) wakers: Vec<Waker>,
    pub(super) discarded: Vec<Delivery>,
    pub(super) refused: Vec<AckHandle>,
    pub(super) unanswered: Vec<(Arc<Question>, usize)>,
    /// Sockets whose queue was full, by [`SlowPolicy::Disconnect`].
    pub(super) slow: Vec<Key>,
    pub(super) dropped: u64,
}

impl Outbox {
    pub(super) fn new(id: SocketId) -> Self {
        Self { id, state: Mutex::default() }
    }

    pub(super) fn id(&self) -> &SocketId {
        &self.id
    }

    pub(super) fn data(&self) -> Bytes {
        self.lock().data.clone()
    }

    pub(super) fn set_data(&self, data: Bytes) {
        let old = std::mem::replace(&mut self.lock().data, data);
        drop(old); // after the lock: bytes may have an owner
    }

    /// Queues a packet, or does with it, or with the socket, what the rule says. Never waits.
    pub(super) fn push(
        &self,
        key: Key,
        packet: &Packet,
        ack: Option<AckHandle>,
        volatile: bool,
        rule: Rule,
        after: &mut After,
    ) {
        let mut state = self.lock();
        let full = state.queue.len() >= rule.queue;
        let lost = state.closed || volatile && !state.queue.is_empty() || full && rule.slow != SlowPolicy::DropOldest;
        if lost {
            after.dropped += 1;
            after.refused.extend(ack);
            if !state.closed && !volatile && rule.slow == SlowPolicy::Disconnect {
                after.slow.push(key);
                state.clear(after);
            }
            return;
        }
        if full {
            after.dropped += 1;
            after.discarded.extend(state.queue.pop_front());
        }
        if let Some(ack) = &ack {
            state.asked.extend(ack.registration());
        }
        state.queue.push_back(Delivery { packet: packet.clone(), ack });
        after.wakers.extend(state.waker.take());
    }

    /// Takes nothing more; what is there is still delivered.
    pub(super) fn close(&self, after: &mut After) {
        let mut state = self.lock();
        state.closed = true;
        after.wakers.extend(state.waker.take());
    }

    /// Takes nothing more, and drops what is there. Who waits for an answer is told that there will be none.
    pub(super) fn clear(&self, after: &mut After) {
        self.lock().clear(after);
    }

    /// The question is settled, or its handle is gone.
    pub(super) fn forget(&self, question: u64) {
        let asked = self.lock().asked.remove(&question);
        drop(asked); // after the lock: it may be the last of its kind
    }

    /// The next delivery; `None` when it is closed and empty.
    pub(super) fn poll(&self, cx: &mut Context<'_>) -> Poll<Option<Delivery>> {
        let mut waker = None; // made and dropped while the lock is not held
        loop {
            let mut state = self.lock();
            if let Some(delivery) = state.pop() {
                return Poll::Ready(Some(delivery));
            }
            if state.closed {
                return Poll::Ready(None);
            }
            if state.waker.as_ref().is_some_and(|waiting| waiting.will_wake(cx.waker())) {
                return Poll::Pending;
            }
            if let Some(new) = waker.take() {
                waker = state.waker.replace(new);
                drop(state);
                drop(waker);
                return Poll::Pending;
            }
            drop(state);
            waker = Some(cx.waker().clone());
        }
    }

    // Guards all fields of `State`, which change together; nothing awaits or calls out while it is held.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn pop(&mut self) -> Option<Delivery> {
        const KEPT: usize = 32;
        let delivery = self.queue.pop_front()?;
        if self.queue.is_empty() && self.queue.capacity() > KEPT {
            self.queue = VecDeque::new(); // a burst must not cost memory for as long as the socket lives
        }
        Some(delivery)
    }

    fn clear(&mut self, after: &mut After) {
        self.closed = true;
        after.dropped += self.queue.len() as u64;
        after.discarded.extend(std::mem::take(&mut self.queue));
        after.unanswered.extend(std::mem::take(&mut self.asked).into_values());
        after.wakers.extend(self.waker.take());
    }
}

#[cfg(test)]
mod tests;
