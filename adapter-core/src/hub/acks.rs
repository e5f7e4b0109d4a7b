//! Questions to sockets, and their replies.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep_until};

use super::outbox::Outbox;
use super::stats::Counters;
use crate::model::{AckError, SocketId};
use crate::seams::Acks;

/// Sends the reply of one socket to a delivery that asks for one.
///
/// # Contract
/// If the handle is dropped unused, the asker learns at once that this socket is gone: [`AckError::Gone`]. So keep it until the
/// client has replied, or until the timeout. A reply that comes too late is dropped.
pub struct AckHandle(Option<Ask>);

struct Ask {
    question: Arc<Question>,
    place: usize,
    socket: Weak<Outbox>,
}

/// One broadcast that wants a reply from each of its sockets. It ends when each of them has replied or is gone, or at the timeout.
/// Then it drops the sink of the replies.
pub(super) struct Question {
    number: u64,
    state: Mutex<State>,
    counters: Arc<Counters>,
}

struct State {
    acks: Option<Acks>,
    /// The sockets that were asked; `None` in the place of one that has replied.
    open: Vec<Option<SocketId>>,
    left: usize,
    /// The task that ends the question at its timeout; the question owns it.
    timer: Option<AbortHandle>,
}

impl Question {
    /// Begins to wait for these sockets. Without a tokio runtime nothing ends the question at its timeout.
    pub(super) fn new(
        number: u64,
        sockets: Vec<SocketId>,
        acks: Acks,
        timeout: Duration,
        counters: Arc<Counters>,
    ) -> Arc<Self> {
        let left = sockets.len();
        counters.asked(left);
        let open = sockets.into_iter().map(Some).collect();
        let state = Mutex::new(State { acks: Some(acks), open, left, timer: None });
        let question = Arc::new(Self { number, state, counters });
        if let (Ok(runtime), Some(deadline)) = (Handle::try_current(), Instant::now().checked_add(timeout)) {
            let end = expire(Arc::downgrade(&question), deadline);
            question.lock().timer = Some(runtime.spawn(end).abort_handle());
        }
        question
    }

    /// The handle by which the socket in this place replies.
    pub(super) fn handle(self: &Arc<Self>, place: usize, socket: &Arc<Outbox>) -> AckHandle {
        AckHandle(Some(Ask { question: Arc::clone(self), place, socket: Arc::downgrade(socket) }))
    }

    /// Hands over one socket's reply, unless it has replied already.
    pub(super) fn resolve(&self, place: usize, answer: Result<Bytes, AckError>) {
        let (socket, acks, timer) = {
            let mut state = self.lock();
            let Some(socket) = state.open.get_mut(place).and_then(Option::take) else { return };
            state.left -= 1;
            match state.left {
                0 => {
                    state.open = Vec::new();
                    (socket, state.acks.take(), state.timer.take())
                }
                _ => (socket, state.acks.clone(), None),
            }
        };
        self.counters.resolved(1);
        if let Some(timer) = timer {
            timer.abort();
        }
        if let Some(acks) = acks {
            acks.ack(socket, answer);
        }
    }

    /// Ends the question at its timeout.
    fn expire(&self) {
        let (silent, acks) = {
            let mut state = self.lock();
            state.left = 0;
            state.timer = None;
            (std::mem::take(&mut state.open), state.acks.take())
        };
        for socket in silent.into_iter().flatten() {
            self.counters.resolved(1);
            if let Some(acks) = &acks {
                acks.ack(socket, Err(AckError::Timeout));
            }
        }
    }

    // Guards all fields of `State`, which change together; nothing awaits or calls out while it is held.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn expire(question: Weak<Question>, deadline: Instant) {
    sleep_until(deadline).await;
    if let Some(question) = question.upgrade() {
        question.expire();
    }
}

impl AckHandle {
    /// Sends the reply. Never waits.
    pub fn send(mut self, answer: impl Into<Bytes>) {
        if let Some(ask) = self.0.take() {
            ask.resolve(Ok(answer.into()));
        }
    }

    /// The entry that the socket's outbox keeps, so that the question ends with the socket.
    pub(super) fn registration(&self) -> Option<(u64, (Arc<Question>, usize))> {
        self.0.as_ref().map(|ask| (ask.question.number, (Arc::clone(&ask.question), ask.place)))
    }
}

impl Ask {
    fn resolve(self, answer: Result<Bytes, AckError>) {
        if let Some(socket) = self.socket.upgrade() {
            socket.forget(self.question.number);
        }
        self.question.resolve(self.place, answer);
    }
}

impl Drop for AckHandle {
    fn drop(&mut self) {
        if let Some(ask) = self.0.take() {
            ask.resolve(Err(AckError::Gone));
        }
    }
}

impl fmt::Debug for AckHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AckHandle")
    }
}

#[cfg(test)]
mod tests;
