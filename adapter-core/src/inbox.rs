//! How a backend hands over what it received, and what became of its link.

use std::collections::{BTreeSet, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use tokio::sync::Notify;

use crate::protocol::is_control;
use crate::{Channel, Limits, Reason};

/// How a backend hands over what it received, and tells of its link. Clones are the same inbox.
///
/// # Contract
/// [`frame`](Self::frame) never waits. When it answers [`Full`], a backend that can pause its source waits for
/// [`ready`](Self::ready) and offers the frame again; one that cannot drops it, calls [`down`](Self::down) and, once
/// it receives again, [`up`](Self::up), so that the core knows that something is missing.
#[derive(Clone)]
pub struct Inbox(Arc<Shared>);

/// The inbox has no room for this message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the inbox is full")]
pub struct Full;

struct Shared {
    state: Mutex<State>,
    arrived: Notify,
    room: Notify,
    bounds: Bounds,
}

/// How much an inbox holds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) messages: usize,
    pub(crate) bytes: usize,
    pub(crate) control: usize,
}

#[derive(Default)]
struct State {
    /// Control messages, handled ahead of the others so that a flood never makes a node look dead.
    control: VecDeque<Arrival>,
    messages: VecDeque<Arrival>,
    bytes: usize,
    link: VecDeque<LinkChange>,
    channels: BTreeSet<Channel>,
    closed: bool,
}

/// A message as it came.
#[derive(Clone, Debug)]
pub(crate) struct Arrival {
    pub(crate) channel: Channel,
    pub(crate) payload: Bytes,
    pub(crate) at: Instant,
}

#[derive(Clone, Debug)]
pub(crate) enum LinkChange {
    Down(Reason),
    Up(Limits),
}

/// What waited, taken in one go.
#[derive(Default)]
pub(crate) struct Taken {
    pub(crate) link: VecDeque<LinkChange>,
    pub(crate) control: VecDeque<Arrival>,
    pub(crate) messages: VecDeque<Arrival>,
}

impl Inbox {
    pub(crate) fn new(bounds: Bounds) -> Self {
        Self(Arc::new(Shared { state: Mutex::default(), arrived: Notify::new(), room: Notify::new(), bounds }))
    }

    /// Takes a message that arrived on a channel. Never waits; messages for channels that nobody asked for are dropped.
    ///
    /// # Errors
    /// [`Full`] when the bound of messages or of bytes is reached; see the contract above.
    pub fn frame(&self, channel: &str, payload: Bytes) -> Result<(), Full> {
        let shared = &*self.0;
        let mut state = self.lock();
        let Some(channel) = state.channels.get(channel).cloned() else {
            return Ok(()); // unsubscribed meanwhile, or a stranger's
        };
        if state.closed {
            return Ok(());
        }
        let arrival = Arrival { channel, payload, at: Instant::now() };
        // Control is queued twice: ahead of everything for the signs of life, and in its place in the order for what
        // it says about the messages before it. The second copy is what may be missing when the inbox is full.
        let control = is_control(&arrival.payload);
        if control && state.control.len() < shared.bounds.control {
            state.control.push_back(arrival.clone());
        }
        let full = state.messages.len() >= shared.bounds.messages
            || !state.messages.is_empty() && state.bytes + arrival.payload.len() > shared.bounds.bytes;
        if full {
            drop(state);
            shared.arrived.notify_one();
            return if control { Ok(()) } else { Err(Full) };
        }
        state.bytes += arrival.payload.len();
        state.messages.push_back(arrival);
        drop(state);
        shared.arrived.notify_one();
        Ok(())
    }

    /// Waits until [`frame`](Self::frame) has room again, or the cluster is closed.
    ///
    /// # Cancel safety
    /// Safe: nothing is taken.
    pub async fn ready(&self) {
        loop {
            let room = self.0.room.notified();
            tokio::pin!(room);
            room.as_mut().enable();
            {
                let state = self.lock();
                let bounds = self.0.bounds;
                if state.closed || state.messages.len() < bounds.messages && state.bytes < bounds.bytes {
                    return;
                }
            }
            room.await;
        }
    }

    /// Tells that the link is down: what is published by others from now on may be missed.
    pub fn down(&self, reason: impl Into<Reason>) {
        self.change(LinkChange::Down(reason.into()));
    }

    /// Tells that the link is there again and that every channel of [`channels`](Self::channels) is confirmed on it.
    pub fn up(&self, limits: Limits) {
        self.change(LinkChange::Up(limits));
    }

    /// Every channel that is wanted now: what to subscribe to after connecting again.
    pub fn channels(&self) -> Vec<Channel> {
        self.lock().channels.iter().cloned().collect()
    }

    /// Waits until the cluster is closed, or its last handle dropped: what a backend's tasks end with.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn closed(&self) {
        loop {
            let changed = self.0.room.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if self.is_closed() {
                return;
            }
            changed.await;
        }
    }

    /// Whether the cluster was closed: nothing is taken any more, and a backend's tasks may end.
    pub fn is_closed(&self) -> bool {
        self.lock().closed
    }

    fn change(&self, change: LinkChange) {
        const KEPT: usize = 64;
        let mut state = self.lock();
        if state.link.len() == KEPT {
            state.link.pop_front(); // only the latest matters; the reader has not run for 64 changes
        }
        state.link.push_back(change);
        drop(state);
        self.0.arrived.notify_one();
    }

    pub(crate) fn want(&self, channels: &[Channel]) {
        self.lock().channels.extend(channels.iter().cloned());
    }

    pub(crate) fn unwant(&self, channels: &[Channel]) {
        self.lock().channels.retain(|wanted| !channels.contains(wanted));
    }

    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        drop(state);
        self.0.arrived.notify_one();
        self.0.room.notify_waiters();
    }

    /// Waits until something is there.
    pub(crate) async fn arrived(&self) {
        self.0.arrived.notified().await;
    }

    /// Takes everything that is there.
    pub(crate) fn take(&self) -> Taken {
        let mut state = self.lock();
        let taken = Taken {
            link: std::mem::take(&mut state.link),
            control: std::mem::take(&mut state.control),
            messages: std::mem::take(&mut state.messages),
        };
        state.bytes = 0;
        drop(state);
        if !taken.messages.is_empty() {
            self.0.room.notify_waiters();
        }
        taken
    }

    /// Takes the control messages alone.
    pub(crate) fn take_control(&self) -> VecDeque<Arrival> {
        std::mem::take(&mut self.lock().control)
    }

    // Guards all fields of `State`, which change together; nothing awaits or calls out while it is held.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Inbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.lock();
        f.debug_struct("Inbox")
            .field("messages", &state.messages.len())
            .field("bytes", &state.bytes)
            .field("closed", &state.closed)
            .finish_non_exhaustive()
    }
}
