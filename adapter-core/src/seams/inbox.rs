//! How a backend hands over what it received, and what became of its link.

use std::collections::{BTreeSet, VecDeque};
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use tokio::sync::Notify;

use crate::model::Limits;
use crate::seams::{Channel, Reason};
use crate::wire::is_control;

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
    /// Bytes of a message that is not complete yet have arrived.
    alive: AtomicBool,
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
    control_bytes: usize,
    messages: VecDeque<Arrival>,
    bytes: usize,
    /// Somebody was told that there is no room, and nothing was taken since.
    full: bool,
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
        Self(Arc::new(Shared {
            state: Mutex::default(),
            arrived: Notify::new(),
            room: Notify::new(),
            bounds,
            alive: AtomicBool::new(false),
        }))
    }

    /// Takes a message that arrived on a channel. Never waits; messages for channels that nobody asked for are dropped.
    ///
    /// # Errors
    /// [`Full`] when the bound of messages or of bytes is reached; see the contract above. Never for the core's own control
    /// messages, which have a bound of their own.
    pub fn frame(&self, channel: &str, payload: Bytes) -> Result<(), Full> {
        let shared = &*self.0;
        let mut state = self.lock();
        let Some(channel) = state.channels.get(channel).cloned() else {
            return Ok(()); // unsubscribed meanwhile, or a stranger's
        };
        if state.closed {
            return Ok(());
        }
        // The runtime's time, which tests may pause: signs of life are dated by it.
        let arrival = Arrival { channel, payload, at: tokio::time::Instant::now().into_std() };
        // Control is queued twice: ahead of everything for the signs of life, and in its place in the order for what
        // it says about the messages before it. There it has room of its own behind a full inbox: a goodbye is said once.
        let control = is_control(&arrival.payload);
        let Bounds { mut messages, mut bytes, control: reserve } = shared.bounds;
        if control {
            if state.control.len() < reserve && state.control_bytes < bytes {
                state.control_bytes += arrival.payload.len();
                state.control.push_back(arrival.clone());
            }
            (messages, bytes) = (messages + reserve, bytes.saturating_mul(2));
        }
        let large = !state.messages.is_empty() && state.bytes + arrival.payload.len() > bytes;
        let full = state.messages.len() >= messages || large;
        if full {
            state.full |= !control;
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
                if state.closed || !state.full {
                    return;
                }
            }
            room.await;
        }
    }

    /// Tells that parts of a message have arrived: on a thin link a large one takes its time, and the core would take the
    /// silence for death. Optional; not for answers to the client's own pings, which prove nothing about subscriptions.
    pub fn alive(&self) {
        self.0.alive.store(true, Ordering::Relaxed);
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

    /// Whether [`alive`](Self::alive) was called since the last time.
    pub(crate) fn was_alive(&self) -> bool {
        self.0.alive.swap(false, Ordering::Relaxed)
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
        (state.bytes, state.control_bytes) = (0, 0);
        state.full = false;
        drop(state);
        if !taken.messages.is_empty() {
            self.0.room.notify_waiters();
        }
        taken
    }

    /// Takes all but the ordinary messages.
    pub(crate) fn take_urgent(&self) -> Taken {
        let mut state = self.lock();
        let (link, control) = (std::mem::take(&mut state.link), std::mem::take(&mut state.control));
        state.control_bytes = 0;
        Taken { link, control, messages: VecDeque::new() }
    }

    // Guards all fields of `State`, which change together; nothing awaits or calls out while it is held.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells a backend's tasks to end when connecting is given up half-way.
pub(crate) struct CloseOnDrop(Option<Inbox>);

impl CloseOnDrop {
    pub(crate) fn new(inbox: Inbox) -> Self {
        Self(Some(inbox))
    }

    /// Whoever is connected closes the inbox from now on.
    pub(crate) fn disarm(mut self) {
        self.0 = None;
    }
}

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        if let Some(inbox) = &self.0 {
            inbox.close();
        }
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

#[cfg(test)]
mod tests {
    use bytes::BytesMut;

    use super::*;
    use crate::model::NodeId;
    use crate::wire::{Head, Kind};

    fn message(kind: Kind) -> Bytes {
        let sender = NodeId::from_bytes([1; 16]);
        let mut bytes = BytesMut::new();
        Head { kind, sender, counter: 1, number: None, part: None, request: None }.write(&mut bytes, &[0; 100], &[]);
        bytes.freeze()
    }

    #[test]
    fn a_goodbye_keeps_its_place_behind_a_full_inbox() {
        for bounds in [
            Bounds { messages: 2, bytes: 1 << 20, control: 1 },
            Bounds { messages: 100, bytes: 2 * message(Kind::BROADCAST).len(), control: 1 },
        ] {
            let inbox = Inbox::new(bounds);
            inbox.want(&[Channel::new("rc.a").expect("valid")]);
            for _ in 0..2 {
                inbox.frame("rc.a", message(Kind::BROADCAST)).expect("room");
            }
            inbox.frame("rc.a", message(Kind::BROADCAST)).expect_err("full");
            inbox.frame("rc.a", message(Kind::BYE)).expect("never full");
            let taken = inbox.take();
            assert_eq!((taken.control.len(), taken.messages.len()), (1, 3), "{bounds:?}");
        }
    }

    #[test]
    fn a_flood_of_goodbyes_is_bounded() {
        let bytes = 2 * message(Kind::BYE).len();
        for (bounds, left) in [
            (Bounds { messages: 2, bytes: 1 << 20, control: 3 }, (3, 5)),
            (Bounds { messages: 100, bytes, control: 100 }, (2, 4)),
        ] {
            let inbox = Inbox::new(bounds);
            inbox.want(&[Channel::new("rc.a").expect("valid")]);
            for _ in 0..100 {
                inbox.frame("rc.a", message(Kind::BYE)).expect("never full");
            }
            let taken = inbox.take();
            assert_eq!((taken.control.len(), taken.messages.len()), left, "{bounds:?}");
        }
    }
}
