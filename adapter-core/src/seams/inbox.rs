//! How a backend hands over what it received, and what became of its link.

use std::collections::{BTreeSet, VecDeque};
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Notify;

use crate::model::{ClusterName, Error, Limits};
#[cfg(test)]
pub(crate) use crate::seams::arrival::PLACE;
pub(crate) use crate::seams::arrival::{Arrival, LinkChange, Taken};
use crate::seams::{Channel, Owner, Reason};
use crate::wire::Glance;

/// How a backend hands over what it received, and tells of its link. Clones are the same inbox.
///
/// # Contract
/// [`frame`](Self::frame) never waits. When it returns [`InboxFull`], a backend that can pause its source waits for
/// [`ready`](Self::ready) and offers the frame again; one that cannot drops it, calls [`dropped`](Self::dropped) and,
/// once it receives again, [`up`](Self::up), so that the core knows that something is missing.
#[derive(Clone)]
pub struct Inbox(Arc<Shared>);

/// The inbox is full: it takes no more messages now, and gives this one back.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the inbox is full")]
pub struct InboxFull(pub Bytes);

struct Shared {
    state: Mutex<State>,
    arrived: Notify,
    /// Somebody who was told that it is full may offer it again.
    capacity: Notify,
    /// The cluster was closed. Apart from `capacity`: a backend's task waits for this all the time.
    over: Notify,
    bounds: Bounds,
    owner: Option<Owner>,
    own: AtomicU64,
    /// Bytes of all messages that were taken, this node's own among them.
    bytes: AtomicU64,
    /// How often a link was to be made anew.
    attempts: AtomicU64,
    /// The counter of the newest frame that this node has given to the backend.
    written: AtomicU64,
    /// Bytes of a message that is not complete yet have arrived.
    alive: AtomicBool,
}

/// How much an inbox holds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) messages: usize,
    /// Those of the messages, and [`PLACE`] for each.
    pub(crate) bytes: usize,
    pub(crate) control: usize,
}

/// A message that the broker has kept for longer than this is no sign of life: nodes are taken for dead after 2.5 s.
const OLD: Duration = Duration::from_secs(2);

#[derive(Default)]
struct State {
    /// Control messages, handled ahead of the others so that a flood never makes a node look dead.
    control: VecDeque<Arrival>,
    control_bytes: usize,
    messages: VecDeque<Arrival>,
    bytes: usize,
    /// Somebody was told that it is full, and nothing was taken since.
    full: bool,
    link: VecDeque<LinkChange>,
    channels: BTreeSet<Channel>,
    closed: bool,
}

impl Inbox {
    /// An inbox; without an owner where there is no cluster.
    pub(crate) fn new(bounds: Bounds, owner: Option<Owner>) -> Self {
        Self(Arc::new(Shared {
            owner,
            own: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            attempts: AtomicU64::new(0),
            written: AtomicU64::new(0),
            state: Mutex::default(),
            arrived: Notify::new(),
            capacity: Notify::new(),
            over: Notify::new(),
            bounds,
            alive: AtomicBool::new(false),
        }))
    }

    /// Takes a message that arrived on a channel. Never waits; messages for channels that nobody asked for are dropped.
    ///
    /// # Errors
    /// [`InboxFull`] when the bound of messages or of bytes is reached; see the contract above. Never for the core's own control
    /// messages, which have a bound of their own.
    pub fn frame(&self, channel: &str, payload: Bytes) -> Result<(), InboxFull> {
        self.offer(channel, payload, Duration::ZERO)
    }

    /// As [`frame`](Self::frame), for a message that the broker has kept for `age`: a backend that goes on reading where its link broke
    /// off calls this ([`Capabilities::replays`](crate::backend::Capabilities::replays)). A message that is older than 2 s is carried out in its
    /// place in the order, but does not count as a sign of life: what a node sent before it died must not make it look alive.
    ///
    /// # Errors
    /// The same.
    pub fn frame_at(&self, channel: &str, payload: Bytes, age: Duration) -> Result<(), InboxFull> {
        self.offer(channel, payload, age)
    }

    fn offer(&self, channel: &str, payload: Bytes, age: Duration) -> Result<(), InboxFull> {
        let shared = &*self.0;
        let mut state = self.lock();
        let Some(channel) = state.channels.get(channel).cloned() else {
            return Ok(()); // unsubscribed meanwhile, or a stranger's
        };
        if state.closed {
            return Ok(());
        }
        let glance = Glance::at(&payload);
        let control = glance.is_some_and(|glance| glance.control);
        // One with a counter that this node has not come to is somebody else's, and is looked at.
        let me = shared.owner.as_ref().and_then(|owner| owner.node);
        let written = || shared.written.load(Ordering::Relaxed);
        if !control && glance.is_some_and(|glance| Some(glance.sender) == me && glance.counter <= written()) {
            drop(state);
            shared.bytes.fetch_add(payload.len() as u64, Ordering::Relaxed);
            shared.own.fetch_add(1, Ordering::Relaxed);
            shared.alive.store(true, Ordering::Relaxed);
            return Ok(());
        }
        let (now, replayed) = (tokio::time::Instant::now().into_std(), age > OLD);
        let at = if replayed { now } else { now.checked_sub(age).unwrap_or(now) };
        let arrival = Arrival { channel, payload, at, replayed };
        // Control is queued twice: ahead of everything for the signs of life, and in its place in the order for what
        // it says about the messages before it. There it has a place of its own behind a full inbox: a goodbye is said once.
        let Bounds { mut messages, mut bytes, control: reserve } = shared.bounds;
        if control {
            if !replayed && state.control.len() < reserve && state.control_bytes < bytes {
                state.control_bytes += arrival.cost();
                state.control.push_back(arrival.clone());
            }
            (messages, bytes) = (messages + reserve, bytes.saturating_mul(2));
        }
        let large = !state.messages.is_empty() && state.bytes + arrival.cost() > bytes;
        let full = state.messages.len() >= messages || large;
        if full {
            state.full |= !control;
            drop(state);
            shared.arrived.notify_one();
            return if control { Ok(()) } else { Err(InboxFull(arrival.payload)) };
        }
        state.bytes += arrival.cost();
        shared.bytes.fetch_add(arrival.payload.len() as u64, Ordering::Relaxed);
        state.messages.push_back(arrival);
        drop(state);
        shared.arrived.notify_one();
        Ok(())
    }

    /// Waits until [`frame`](Self::frame) takes messages again, or the cluster is closed.
    ///
    /// # Cancel safety
    /// Safe: nothing is taken.
    pub async fn ready(&self) {
        loop {
            let capacity = self.0.capacity.notified();
            tokio::pin!(capacity);
            capacity.as_mut().enable();
            {
                let state = self.lock();
                if state.closed || !state.full {
                    return;
                }
            }
            capacity.await;
        }
    }

    /// Tells that parts of a message have arrived: on a slow link a large message takes long, and the core would take the
    /// silence for a dead link. Optional. Replies to the client's own pings do not count: they prove nothing about subscriptions.
    pub fn alive(&self) {
        self.0.alive.store(true, Ordering::Relaxed);
    }

    /// Tells that the link is down: what others publish from now on may be missed.
    pub fn down(&self, reason: impl Into<Reason>) {
        self.change(LinkChange::Down(reason.into()));
    }

    /// Tells that this node did not take its messages in time, and that some were dropped for this node alone, by the client or by
    /// the broker. Otherwise it is as [`down`](Self::down), and [`up`](Self::up) has to follow. What was dropped is reported as lost. It is not
    /// asked for again, because that would slow down a node that is too slow already.
    pub fn dropped(&self, reason: impl Into<Reason>) {
        self.change(LinkChange::Dropped(reason.into()));
    }

    /// Tells that the link is up again and that every channel of [`channels`](Self::channels) is confirmed on it.
    pub fn up(&self, limits: Limits) {
        self.change(LinkChange::Up(limits));
    }

    /// Tells that a link cannot be made, for a reason that waiting alone may not mend.
    pub(crate) fn refused(&self, error: &Error) {
        self.change(LinkChange::Refused(error.kind(), Reason::from(error.to_string())));
    }

    /// The name of the cluster, for a backend that keeps something for it on the broker: a stream, say. `roomcast` where there is
    /// no cluster.
    pub fn cluster(&self) -> &str {
        self.0.owner.as_ref().map_or(ClusterName::DEFAULT, |owner| owner.cluster.as_str())
    }

    /// Every channel that is wanted now: what to subscribe to after connecting again.
    pub fn channels(&self) -> Vec<Channel> {
        self.lock().channels.iter().cloned().collect()
    }

    /// Waits until the cluster is closed, or its last handle is dropped. A backend's tasks end then.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn closed(&self) {
        loop {
            let over = self.0.over.notified();
            tokio::pin!(over);
            over.as_mut().enable();
            if self.is_closed() {
                return;
            }
            over.await;
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
        self.0.capacity.notify_waiters();
        self.0.over.notify_waiters();
    }

    /// This node has written frames up to this counter.
    pub(crate) fn wrote(&self, counter: u64) {
        self.0.written.fetch_max(counter, Ordering::Relaxed);
    }

    /// How many of this node's own messages came back.
    pub(crate) fn own(&self) -> u64 {
        self.0.own.load(Ordering::Relaxed)
    }

    /// The name to give a connection on the broker, so that an operator can tell whose connection it is: `roomcast-` and the node's name,
    /// or the first digits of its id where it has no name. At most 63 characters, of `[A-Za-z0-9._-]`.
    pub fn client_name(&self) -> String {
        Owner::client_name(self.0.owner.as_ref())
    }

    /// A link is to be made anew.
    pub(crate) fn attempt(&self) {
        self.0.attempts.fetch_add(1, Ordering::Relaxed);
    }

    /// How often that was so.
    pub(crate) fn attempts(&self) -> u64 {
        self.0.attempts.load(Ordering::Relaxed)
    }

    /// How many bytes were taken.
    pub(crate) fn received_bytes(&self) -> u64 {
        self.0.bytes.load(Ordering::Relaxed)
    }

    /// What the messages that wait count, control among them.
    #[cfg(test)]
    pub(crate) fn bytes(&self) -> usize {
        let state = self.lock();
        state.bytes + state.control_bytes
    }

    /// Whether [`alive`](Self::alive) was called since the last time.
    pub(crate) fn was_alive(&self) -> bool {
        self.0.alive.swap(false, Ordering::Relaxed)
    }

    /// Waits until something is there.
    pub(crate) async fn arrived(&self) {
        self.0.arrived.notified().await;
    }

    /// Takes what is there: of the messages, if any are wanted, as many as are handled in a short time. The bounds hold for the
    /// rest.
    pub(crate) fn take(&self, messages: bool) -> Taken {
        const MOST: usize = 64;
        let mut state = self.lock();
        let messages: VecDeque<_> = if !messages {
            VecDeque::new()
        } else if state.messages.len() <= MOST {
            std::mem::take(&mut state.messages)
        } else {
            state.messages.drain(..MOST).collect()
        };
        let taken =
            Taken { link: std::mem::take(&mut state.link), control: std::mem::take(&mut state.control), messages };
        state.bytes -= taken.messages.iter().map(Arrival::cost).sum::<usize>();
        state.control_bytes = 0;
        let waited_for = !taken.messages.is_empty() && std::mem::take(&mut state.full);
        drop(state);
        if waited_for {
            self.0.capacity.notify_waiters();
        }
        taken
    }

    /// Drops what waits, and takes what is not dropped.
    pub(crate) fn skip(&self) -> VecDeque<Arrival> {
        let mut state = self.lock();
        let mut messages = std::mem::take(&mut state.messages);
        (state.bytes, state.full) = (0, false);
        drop(state);
        self.0.capacity.notify_waiters();
        messages.retain(|arrival| !arrival.may_be_skipped());
        messages
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

    /// From now on the connected node closes the inbox.
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
#[path = "inbox_tests.rs"]
mod tests;
