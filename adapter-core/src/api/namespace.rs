//! A namespace as an application uses it.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::mpsc::WeakSender;
use tokio::task::JoinHandle;

use crate::api::BroadcastOperator;
use crate::model::{Gathered, IntoRooms, Namespace, Node, NodeId, Packet, Result, Room, SocketInfo};
use crate::seams::{AckStream, Adapter, AttachmentId, ServerEvent};

/// How long a call waits for queue capacity, or for answers, if it is not told.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(5);

/// A namespace of the cluster: emits to its sockets and asks its servers. Clones are the same handle.
///
/// Its operations mean every socket of the namespace, on every node. [`to`](Self::to), [`within`](Self::within),
/// [`except`](Self::except) and [`local`](Self::local) select some of them.
#[derive(Clone)]
#[must_use = "the local sockets are served only while a clone of the handle lives"]
pub struct NamespaceHandle(pub(super) Arc<Inner>);

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

pub(super) struct Inner {
    pub(super) adapter: Arc<dyn Adapter>,
    pub(super) name: Namespace,
    attachment: Option<AttachmentId>,
    /// Aborted with the handle.
    pub(super) handler: Mutex<Option<Handler>>,
}

/// What runs a handler of server-side events.
pub(super) struct Handler {
    pub(super) task: JoinHandle<()>,
    /// Where its events come in.
    pub(super) events: WeakSender<ServerEvent>,
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

    /// Emits an event with one argument to every socket of the namespace, as [`BroadcastOperator::emit_event`] does.
    ///
    /// # Errors
    /// Those of [`BroadcastOperator::emit_event`].
    pub async fn emit_event(&self, event: &str, argument: impl Serialize) -> Result<()> {
        self.everyone().emit_event(event, argument).await
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

impl std::fmt::Debug for NamespaceHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NamespaceHandle").field("name", &self.0.name).finish_non_exhaustive()
    }
}
