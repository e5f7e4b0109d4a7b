//! The replies to a broadcast, as they come.

use std::collections::{HashMap, HashSet, VecDeque};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use futures_core::Stream;
use futures_core::stream::FusedStream;
use tokio::time::Sleep;

use crate::model::{AckError, MissingNode, MissingReason, NodeId, SocketId};
use crate::seams::AckSink;
use crate::seams::Acks;

/// One socket's reply to a broadcast.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ack {
    /// The node it is connected to.
    pub node: NodeId,
    /// The socket.
    pub socket: SocketId,
    /// The reply, or why there is none.
    pub answer: Result<Bytes, AckError>,
}

/// All replies to a broadcast.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[must_use = "`missing` names the nodes whose part is not complete"]
pub struct GatheredAcks {
    /// One for each socket that was asked, failures included.
    pub acks: Vec<Ack>,
    /// The nodes whose part is not complete, and why; which of their sockets did not reply is among `acks` as far
    /// as the node had named them.
    pub missing: Vec<MissingNode>,
}

/// The replies to a broadcast, as they come: one item for each socket that was asked, failures included. The stream ends when
/// the sockets of every live node have replied, or at the timeout.
///
/// Dropping it forgets the replies that are still to come.
#[must_use = "dropping it drops the replies that are still to come"]
pub struct AckStream {
    collector: Collector,
    deadline: Pin<Box<Sleep>>,
    _cancel: Box<dyn Send + Sync>,
}

impl AckStream {
    /// `cancel` is dropped with the stream.
    pub(crate) fn new(collector: Collector, deadline: Sleep, cancel: impl Send + Sync + 'static) -> Self {
        Self { collector, deadline: Box::pin(deadline), _cancel: Box::new(cancel) }
    }

    /// For implementations of [`Adapter`](crate::adapter::Adapter): the replies of these nodes within the timeout, and where each of them
    /// puts its own. A node's part ends when the last clone of its [`Acks`] is dropped.
    ///
    /// Has to be called inside a tokio runtime.
    pub fn of_nodes(nodes: &[NodeId], timeout: Duration) -> (Vec<(NodeId, Acks)>, Self) {
        let collector = Collector::default();
        collector.ask(nodes);
        let part = |&node| (node, Acks::new(Part { collector: collector.clone(), node }));
        let parts = nodes.iter().map(part).collect();
        (parts, Self::new(collector, tokio::time::sleep(timeout), ()))
    }

    /// How many sockets were asked, as far as their nodes have said by now.
    pub fn asked(&self) -> usize {
        self.collector.lock().asked
    }

    /// The sockets that have not replied yet, as far as their nodes have named them by now.
    pub fn expected(&self) -> Vec<(NodeId, SocketId)> {
        let state = self.collector.lock();
        let named =
            |(node, part): (&NodeId, &NodePart)| part.expected.iter().map(|s| (*node, s.clone())).collect::<Vec<_>>();
        state.parts.iter().flat_map(named).collect()
    }

    /// The nodes whose part has ended without being complete, and why.
    pub fn missing(&self) -> Vec<MissingNode> {
        self.collector.lock().missing.clone()
    }

    /// Waits for the next reply. Returns `None` when the sockets of every live node have replied, or at the timeout.
    ///
    /// # Cancel safety
    /// Safe: no reply is lost.
    pub async fn next(&mut self) -> Option<Ack> {
        std::future::poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }

    /// Waits for all replies.
    ///
    /// # Cancel safety
    /// Dropping the future drops the stream.
    pub async fn gather(mut self) -> GatheredAcks {
        let mut acks = Vec::new();
        while let Some(ack) = self.next().await {
            acks.push(ack);
        }
        GatheredAcks { acks, missing: self.missing() }
    }
}

impl Stream for AckStream {
    type Item = Ack;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Ack>> {
        if self.deadline.as_mut().poll(cx).is_ready() {
            self.collector.finish();
        }
        let mut state = self.collector.lock();
        if let Some(ack) = state.ready.pop_front() {
            return Poll::Ready(Some(ack));
        }
        if state.parts.is_empty() {
            return Poll::Ready(None);
        }
        let before = state.waker.replace(cx.waker().clone());
        drop(state);
        drop(before); // foreign code, so no lock is held
        Poll::Pending
    }
}

impl FusedStream for AckStream {
    fn is_terminated(&self) -> bool {
        let state = self.collector.lock();
        state.ready.is_empty() && state.parts.is_empty()
    }
}

impl std::fmt::Debug for AckStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AckStream").field("asked", &self.asked()).finish_non_exhaustive()
    }
}

/// One node's part of the answers.
struct Part {
    collector: Collector,
    node: NodeId,
}

impl AckSink for Part {
    fn expect(&self, sockets: Vec<SocketId>) {
        self.collector.expect(self.node, sockets);
    }

    fn ack(&self, socket: SocketId, answer: Result<Bytes, AckError>) {
        self.collector.ack(self.node, socket, answer);
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        self.collector.end(self.node, None);
    }
}

/// Puts the parts of the nodes together. Holds at most one answer for each socket that a node named, so its size is
/// that of the question's reach.
#[derive(Clone, Default)]
pub(crate) struct Collector(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    parts: HashMap<NodeId, NodePart>,
    ready: VecDeque<Ack>,
    missing: Vec<MissingNode>,
    asked: usize,
    waker: Option<Waker>,
}

#[derive(Default)]
struct NodePart {
    /// It has said whom it asked.
    announced: bool,
    expected: HashSet<SocketId>,
}

impl Collector {
    /// Waits for this node's own part.
    pub(crate) fn new(me: NodeId) -> Self {
        let collector = Self::default();
        collector.ask(&[me]);
        collector
    }

    /// Waits for these nodes' parts, too.
    pub(crate) fn ask(&self, nodes: &[NodeId]) {
        self.lock().parts.extend(nodes.iter().map(|node| (*node, NodePart::default())));
    }

    pub(crate) fn expect(&self, node: NodeId, sockets: Vec<SocketId>) {
        let mut state = self.lock();
        if let Some(part) = state.parts.get_mut(&node) {
            part.announced = true;
            let before = part.expected.len();
            part.expected.extend(sockets);
            let more = part.expected.len() - before;
            state.asked += more;
        }
    }

    /// Takes a socket's answer if it was asked and has not answered yet.
    pub(crate) fn ack(&self, node: NodeId, socket: SocketId, answer: Result<Bytes, AckError>) {
        let mut state = self.lock();
        if state.parts.get_mut(&node).is_some_and(|part| part.expected.remove(&socket)) {
            state.ready.push_back(Ack { node, socket, answer });
            let waker = state.waker.take();
            drop(state);
            wake(waker);
        }
    }

    /// A node's part has ended: by itself, or because it will not answer any more.
    pub(crate) fn end(&self, node: NodeId, missing: Option<MissingReason>) {
        let mut state = self.lock();
        state.end(node, missing);
        let waker = state.waker.take();
        drop(state);
        wake(waker);
    }

    /// This node's own part has ended; not to have been asked is no loss.
    pub(crate) fn end_local(&self, me: NodeId) {
        self.expect(me, Vec::new());
        self.end(me, None);
    }

    /// The time is up.
    pub(crate) fn finish(&self) {
        let mut state = self.lock();
        for node in state.parts.keys().copied().collect::<Vec<_>>() {
            state.end(node, Some(MissingReason::Timeout));
        }
        let waker = state.waker.take();
        drop(state);
        wake(waker);
    }

    // Guards all fields of `State`, which change together; nothing awaits or calls out while it is held.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn end(&mut self, node: NodeId, missing: Option<MissingReason>) {
        let Some(part) = self.parts.remove(&node) else { return };
        // A node that has named its sockets is not missing when time is up: they are, and each says so. One that ended
        // without naming any had no capacity for the question.
        let missing = match missing {
            Some(MissingReason::Timeout) if part.announced => None,
            None if !part.announced => Some(MissingReason::NoHandler),
            reason => reason,
        };
        self.missing.extend(missing.map(|reason| MissingNode { node, reason }));
        let silent = if missing.is_none_or(|reason| reason == MissingReason::Timeout) {
            AckError::Timeout
        } else {
            AckError::Gone
        };
        let failed = |socket| Ack { node, socket, answer: Err(silent.clone()) };
        self.ready.extend(part.expected.into_iter().map(failed));
    }
}

/// Wakes who waits; foreign code, so no lock is held.
fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}
