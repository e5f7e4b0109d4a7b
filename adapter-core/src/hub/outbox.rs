//! The bounded queue of one socket.

use std::cell::OnceCell;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;

use super::acks::{AckHandle, Question};
use super::few::Few;
use super::index::Key;
use super::socket::Delivery;
use crate::model::{Packet, SocketId};

/// What happens when a socket's queue is full and the next delivery comes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SlowPolicy {
    /// The socket is disconnected, and what waits for it is dropped. A client that reconnects and asks for the present state
    /// is better off than one that lacks something and does not know it.
    #[default]
    Disconnect,
    /// The new delivery is dropped.
    DropNewest,
    /// The delivery that has waited longest is dropped.
    DropOldest,
}

/// How much a socket's queue holds, and what happens then.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rule {
    pub(super) queue: usize,
    pub(super) bytes: usize,
    pub(super) slow: SlowPolicy,
}

/// What a waiting delivery counts beside its packet's bytes: its place in the queue, which doubles when it grows.
pub(super) const PLACE: usize = 128;
/// What a delivery counts beside that if it wants a reply: its question, if nobody else was asked.
const ASKED: usize = 512;

/// The queue of one socket, and the socket's data.
pub(super) struct Outbox {
    id: SocketId,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Delivery>,
    /// What the deliveries in the queue count in bytes.
    bytes: usize,
    /// The queue takes nothing more; what is in it may still be delivered.
    closed: bool,
    waker: Option<Waker>,
    /// The questions that this socket was asked and whose handles still exist, by number.
    asked: BTreeMap<u64, (Arc<Question>, usize)>,
    data: Bytes,
}

/// One broadcast's packet. It is a slice of the message that brought it, which may be hundreds of times as large. For
/// sockets in whose queues it has to wait it is copied, once for all of them.
pub(super) struct Parcel<'a> {
    packet: &'a Packet,
    copy: OnceCell<Packet>,
}

/// What an operation leaves to do until no lock is held. All of it may run foreign code: wakers,
/// and what is dropped with a delivery (a packet's owner, an unused ack).
#[derive(Default)]
pub(super) struct After {
    pub(super) wakers: Few<Option<Waker>, 4>,
    pub(super) discarded: Vec<Delivery>,
    pub(super) cleared: Vec<VecDeque<Delivery>>,
    pub(super) refused: Vec<AckHandle>,
    pub(super) unanswered: Vec<(Arc<Question>, usize)>,
    /// Sockets whose queue was full, by [`SlowPolicy::Disconnect`].
    pub(super) slow: Vec<Key>,
    pub(super) lost: Losses,
}

/// Deliveries that were lost, by cause.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Losses {
    /// The queue was full.
    pub(super) slow: u64,
    /// The packet was volatile, and the queue not empty.
    pub(super) volatile: u64,
    /// The socket was gone.
    pub(super) gone: u64,
}

impl<'a> Parcel<'a> {
    pub(super) fn new(packet: &'a Packet) -> Self {
        Self { packet, copy: OnceCell::new() }
    }

    /// The packet for a socket: the slice if the socket takes it at once, the copy if it has to wait.
    fn packet(&self, waits: bool) -> Packet {
        let copied = if waits && self.packet.pins_a_message() {
            Some(self.copy.get_or_init(|| self.packet.detached()))
        } else {
            self.copy.get()
        };
        copied.unwrap_or(self.packet).clone()
    }
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

    /// How many deliveries wait, and what they count in bytes.
    pub(super) fn queued(&self) -> (usize, usize) {
        let state = self.lock();
        (state.queue.len(), state.bytes)
    }

    /// Queues a packet. If the queue is full, does what the rule says with the packet or the socket. Never waits.
    pub(super) fn push(
        &self,
        key: Key,
        parcel: &Parcel<'_>,
        ack: Option<AckHandle>,
        volatile: bool,
        rule: Rule,
        after: &mut After,
    ) {
        let mut state = self.lock();
        if state.closed {
            after.lost.gone += 1;
            after.refused.extend(ack);
            return;
        }
        if volatile && !state.queue.is_empty() {
            after.lost.volatile += 1;
            after.refused.extend(ack);
            return;
        }
        while state.is_full(rule) {
            after.lost.slow += 1;
            if rule.slow == SlowPolicy::DropOldest {
                after.discarded.extend(state.pop());
                continue;
            }
            after.refused.extend(ack);
            if rule.slow == SlowPolicy::Disconnect {
                after.slow.push(key);
                after.lost.slow += state.clear(after);
            }
            return;
        }
        if let Some(ack) = &ack {
            state.asked.extend(ack.registration());
        }
        let packet = parcel.packet(state.waker.is_none());
        state.append(Delivery { packet, ack });
        if let Some(waker) = state.waker.take() {
            after.wakers.push(Some(waker));
        }
    }

    /// Closes the queue: it takes nothing more, and what is in it is still delivered.
    pub(super) fn close(&self, after: &mut After) {
        let mut state = self.lock();
        state.closed = true;
        after.wakers.push(state.waker.take());
    }

    /// Closes the queue and drops what is in it. A sender that waits for a reply is told that there will be none.
    pub(super) fn clear(&self, after: &mut After) {
        after.lost.gone += self.lock().clear(after);
    }

    /// Forgets a question that has its reply, or whose handle is gone.
    pub(super) fn forget(&self, question: u64) {
        let asked = self.lock().asked.remove(&question);
        drop(asked); // after the lock: it may be the last of its kind
    }

    /// The next delivery; `None` when the queue is closed and empty.
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

    /// Notes that nobody waits for the next delivery any more.
    pub(super) fn stop_waiting(&self) {
        let waker = self.lock().waker.take();
        drop(waker); // after the lock
    }

    // Guards all fields of `State`, which change together; nothing awaits or calls out while it is held.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Delivery {
    fn cost(&self) -> usize {
        PLACE + self.packet.data.len() + if self.ack.is_some() { ASKED } else { 0 }
    }
}

impl State {
    /// Whether the queue is full. An empty one never is, so that a packet above the bound passes, too.
    fn is_full(&self, rule: Rule) -> bool {
        self.queue.len() >= rule.queue || self.bytes >= rule.bytes
    }

    fn append(&mut self, delivery: Delivery) {
        if self.queue.capacity() == 0 {
            self.queue.reserve_exact(1); // most queues never hold more, and there is one for each socket
        }
        self.bytes += delivery.cost();
        self.queue.push_back(delivery);
    }

    /// Takes the next delivery, and gives back the memory of a burst while the burst is taken.
    fn pop(&mut self) -> Option<Delivery> {
        const KEPT: usize = 8;
        let delivery = self.queue.pop_front()?;
        self.bytes -= delivery.cost();
        let (len, capacity) = (self.queue.len(), self.queue.capacity());
        if len == 0 && capacity > KEPT {
            self.queue = VecDeque::new();
        } else if capacity > 4 * len + 4 * KEPT {
            self.queue.shrink_to(2 * len);
        }
        Some(delivery)
    }

    /// Closes and empties the queue; returns how many deliveries are lost.
    fn clear(&mut self, after: &mut After) -> u64 {
        self.closed = true;
        self.bytes = 0;
        let queue = std::mem::take(&mut self.queue);
        let lost = queue.len() as u64;
        after.cleared.push(queue);
        after.unanswered.extend(std::mem::take(&mut self.asked).into_values());
        after.wakers.push(self.waker.take());
        lost
    }
}

#[cfg(test)]
mod tests;
