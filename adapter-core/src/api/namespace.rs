//! A namespace as an application uses it.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc::{self, WeakSender};
use tokio::task::JoinHandle;

use crate::api::BroadcastOperator;
use crate::driver::panics;
use crate::model::{Gathered, IntoRooms, Namespace, Node, NodeId, Packet, Result, Room, SocketInfo};
use crate::seams::{AckStream, Adapter, AttachmentId, ServerEvent};

/// How long a call waits for queue capacity, or for answers, if it is not told.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(5);
/// How many server-side events wait for their handler.
const EVENTS: usize = 1024;

/// A namespace of the cluster: what to emit to, and whom to ask. Clones are the same handle.
///
/// Its operations mean every socket of the namespace, on every node. [`to`](Self::to), [`within`](Self::within),
/// [`except`](Self::except) and [`local`](Self::local) select some of them.
#[derive(Clone)]
#[must_use = "the local sockets are served only while a clone of the handle lives"]
pub struct NamespaceHandle(Arc<Inner>);

/// A handle that keeps neither sockets nor the node alive: for handlers, as [`NamespaceHandle::on_server_event`] shows.
#[derive(Clone)]
pub struct WeakNamespaceHandle(Weak<Inner>);

impl WeakNamespaceHandle {
    /// The handle, if a clone of it still lives.
    pub fn upgrade(&self) -> Option<NamespaceHandle> {
        self.0.upgrade().map(NamespaceHandle)
    }
}

impl std::fmt::Debug for WeakNamespaceHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("WeakNamespaceHandle")
    }
}

struct Inner {
    adapter: Arc<dyn Adapter>,
    name: Namespace,
    attachment: Option<AttachmentId>,
    /// Aborted with the handle.
    handler: Mutex<Option<Handler>>,
}

/// What runs a handler of server-side events.
struct Handler {
    task: JoinHandle<()>,
    /// Where its events come in.
    events: WeakSender<ServerEvent>,
}

impl NamespaceHandle {
    pub(crate) fn new(adapter: Arc<dyn Adapter>, name: Namespace, attachment: Option<AttachmentId>) -> Self {
        Self(Arc::new(Inner { adapter, name, attachment, handler: Mutex::default() }))
    }

    /// The namespace's name.
    pub fn name(&self) -> &Namespace {
        &self.0.name
    }

    /// A handle that keeps neither this namespace's sockets nor the node alive.
    pub fn downgrade(&self) -> WeakNamespaceHandle {
        WeakNamespaceHandle(Arc::downgrade(&self.0))
    }

    /// The node that this handle belongs to.
    pub fn node(&self) -> Node {
        self.0.adapter.node()
    }

    fn everyone(&self) -> BroadcastOperator {
        BroadcastOperator::new(Arc::clone(&self.0.adapter), self.0.name.clone())
    }

    /// Selects the sockets in these rooms. After several calls, it is the sockets in the rooms of any call.
    pub fn to(&self, rooms: impl IntoRooms) -> BroadcastOperator {
        self.everyone().to(rooms)
    }

    /// Selects the sockets in these rooms, as [`to`](Self::to) does. It reads better before `join_sockets`, `leave_sockets`,
    /// `disconnect_sockets` and questions.
    pub fn within(&self, rooms: impl IntoRooms) -> BroadcastOperator {
        self.everyone().to(rooms)
    }

    /// Selects all sockets but those in these rooms. A socket's id is a room, so `except(socket.id())` is everyone else.
    pub fn except(&self, rooms: impl IntoRooms) -> BroadcastOperator {
        self.everyone().except(rooms)
    }

    /// Selects only the sockets of this node. It needs no broker.
    pub fn local(&self) -> BroadcastOperator {
        self.everyone().local()
    }

    /// Emits only to sockets that are ready, and to other nodes only if the broker is there. The packet may be lost, and may overtake others.
    pub fn volatile(&self) -> BroadcastOperator {
        self.everyone().volatile()
    }

    /// Sets the timeout: for `emit`, how long to wait while the outgoing queue is full; for questions, how long to wait for replies.
    /// 5 s by default.
    pub fn timeout(&self, timeout: Duration) -> BroadcastOperator {
        self.everyone().timeout(timeout)
    }

    /// Emits the packet to every socket of the namespace, as [`BroadcastOperator::emit`] does.
    ///
    /// # Errors
    /// Those of [`BroadcastOperator::emit`].
    pub async fn emit(&self, packet: impl Into<Packet>) -> Result<()> {
        self.everyone().emit(packet).await
    }

    /// Emits the packet to every socket of the namespace, and returns the stream of their acks, as [`BroadcastOperator::emit_with_ack`] does.
    ///
    /// # Errors
    /// Those of [`BroadcastOperator::emit_with_ack`].
    pub async fn emit_with_ack(&self, packet: impl Into<Packet>) -> Result<AckStream> {
        self.everyone().emit_with_ack(packet).await
    }

    /// Puts **every socket of the namespace, on every node**, into these rooms. To choose sockets, select them first:
    /// `chat.within("lobby").join_sockets("news")`. One socket of a [`Hub`](crate::Hub) joins by [`Socket::join`](crate::Socket::join).
    ///
    /// # Errors
    /// Those of [`BroadcastOperator::join_sockets`].
    pub async fn join_sockets(&self, rooms: impl IntoRooms) -> Result<Gathered<NodeId>> {
        self.everyone().join_sockets(rooms).await
    }

    /// Takes **every socket of the namespace, on every node**, out of these rooms. To choose sockets, select them first.
    ///
    /// # Errors
    /// Those of [`BroadcastOperator::leave_sockets`].
    pub async fn leave_sockets(&self, rooms: impl IntoRooms) -> Result<Gathered<NodeId>> {
        self.everyone().leave_sockets(rooms).await
    }

    /// Disconnects **every socket of the namespace, on every node**. This does not close the handle: dropping its last clone
    /// does. To choose sockets, select them first: `chat.within("lobby").disconnect_sockets()`.
    ///
    /// # Errors
    /// Those of [`BroadcastOperator::disconnect_sockets`].
    pub async fn disconnect_sockets(&self) -> Result<Gathered<NodeId>> {
        self.everyone().disconnect_sockets().await
    }

    /// Every socket of the namespace, with its rooms and data.
    ///
    /// # Errors
    /// Those of [`BroadcastOperator::fetch_sockets`].
    pub async fn fetch_sockets(&self) -> Result<Gathered<SocketInfo>> {
        self.everyone().fetch_sockets().await
    }

    /// The number of sockets in the namespace, by node. `total()` of the result adds them up.
    ///
    /// # Errors
    /// Those of [`BroadcastOperator::count_sockets`].
    pub async fn count_sockets(&self) -> Result<Gathered<(NodeId, u64)>> {
        self.everyone().count_sockets().await
    }

    /// The rooms of the namespace, each once, without the private rooms of sockets.
    ///
    /// # Errors
    /// Those of [`BroadcastOperator::rooms`].
    pub async fn rooms(&self) -> Result<Gathered<Room>> {
        self.everyone().rooms().await
    }

    /// Sends an event to the other servers, but not to this one. Returns once the event is in the outgoing queue.
    /// Servers handle it with [`on_server_event`](Self::on_server_event).
    ///
    /// # Errors
    /// Those of [`BroadcastOperator::emit`], and `Config` for a bad event name.
    pub async fn server_side_emit(&self, event: &str, data: impl Into<Bytes>) -> Result<()> {
        self.0.adapter.server_side_emit(&self.0.name, event, data.into(), TIMEOUT).await
    }

    /// Sends an event to the other servers, as [`server_side_emit`](Self::server_side_emit) does, and waits up to `timeout` for one reply from each.
    /// `missing` names the servers that did not reply.
    ///
    /// # Errors
    /// Those of [`BroadcastOperator::fetch_sockets`], and `Config` for a bad event name.
    pub async fn server_side_emit_with_ack(
        &self,
        event: &str,
        data: impl Into<Bytes>,
        timeout: Duration,
    ) -> Result<Gathered<(NodeId, Bytes)>> {
        self.0.adapter.server_side_emit_with_ack(&self.0.name, event, data.into(), timeout).await
    }

    /// Handles the server-side events that other nodes send in this namespace, one after the other. It replaces any previous handler of
    /// this node and namespace. It stops when the last clone of this handle is dropped.
    ///
    /// Up to 1,024 events wait for the handler. Further ones are dropped and counted, and a sender that waits for a
    /// reply learns that there is none. A handler that takes long should hand the event to a task of its own.
    ///
    /// After a panic the handler goes on with the next event. The panic is counted ([`Stats::panics`](crate::Stats::panics)),
    /// logged and told as [`Event::Panicked`](crate::Event::Panicked). A sender that waits for a reply to that event
    /// learns that there is none.
    ///
    /// A handler that captures the handle keeps the handle, and the node with it, alive until `close`. Capture a weak handle:
    /// ```
    /// # async fn example(chat: adapter_core::NamespaceHandle) -> adapter_core::Result<()> {
    /// let weak = chat.downgrade();
    /// chat.on_server_event(move |event| {
    ///     let chat = weak.upgrade(); // and not `chat.clone()` from outside
    ///     async move {
    ///         if let Some(chat) = chat {
    ///             chat.local().emit(event.data).await.ok();
    ///         }
    ///     }
    /// })
    /// # }
    /// ```
    ///
    /// # Errors
    /// `Closed` after [`Cluster::close`](crate::Cluster::close).
    pub fn on_server_event<F, Fut>(&self, mut handler: F) -> Result<()>
    where
        F: FnMut(ServerEvent) -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send,
    {
        let (sender, mut events) = mpsc::channel(EVENTS);
        self.0.adapter.on_server_event(&self.0.name, sender.clone())?;
        let (adapter, name) = (Arc::downgrade(&self.0.adapter), self.0.name.clone());
        let task = tokio::spawn(async move {
            while let Some(event) = events.recv().await {
                if let Err(said) = caught(|| handler(event)).await
                    && let Some(adapter) = adapter.upgrade()
                {
                    adapter.handler_panicked(&name, &said);
                }
            }
        });
        let new = Handler { task, events: sender.downgrade() };
        let before = self.0.handler.lock().unwrap_or_else(PoisonError::into_inner).replace(new);
        if let Some(before) = before {
            before.task.abort();
        }
        Ok(())
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Some(attachment) = self.attachment {
            self.adapter.detach(attachment);
        }
        if let Some(handler) = self.handler.get_mut().unwrap_or_else(PoisonError::into_inner).take() {
            if let Some(events) = handler.events.upgrade() {
                self.adapter.forget_server_events(&self.name, &events);
            }
            handler.task.abort();
        }
    }
}

/// Runs a call and its future to their end; an error is what a panic of one of them said.
async fn caught<F: Future<Output = ()>>(call: impl FnOnce() -> F) -> Result<(), String> {
    let said = |panic: Box<dyn std::any::Any + Send>| panics::message(&*panic);
    let mut future = pin!(catch_unwind(AssertUnwindSafe(call)).map_err(said)?);
    std::future::poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
        Ok(Poll::Pending) => Poll::Pending,
        Ok(Poll::Ready(())) => Poll::Ready(Ok(())),
        Err(panic) => Poll::Ready(Err(said(panic))),
    })
    .await
}

impl std::fmt::Debug for NamespaceHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NamespaceHandle").field("name", &self.0.name).finish_non_exhaustive()
    }
}
