//! Which sockets, then what.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use crate::api::namespace::TIMEOUT;
use crate::api::selection::Selection;
use crate::model::{
    Gathered, IntoRooms, Namespace, NodeId, Packet, Projection, Result, Room, SocketChange, SocketInfo, Target,
};
use crate::seams::{AckStream, Adapter, Address, Scope, WaitFor};

/// The sockets that an operation means. [`NamespaceHandle::to`](crate::NamespaceHandle::to), `except`, `local` and the like make one,
/// and the operation consumes it. The operation also reports a bad room name.
///
/// # Cancel safety
/// Every future of an operation may be dropped at any await. One that waits for capacity in the outgoing queue has then
/// done nothing. One that waits for replies has done its work and forgets the replies.
#[derive(Clone)]
#[must_use = "nothing is sent until an operation is called and awaited"]
pub struct BroadcastOperator {
    adapter: Arc<dyn Adapter>,
    namespace: Namespace,
    selection: Selection,
    node: Option<NodeId>,
    scope: Scope,
    timeout: Duration,
    no_wait: bool,
}

impl BroadcastOperator {
    pub(crate) fn new(adapter: Arc<dyn Adapter>, namespace: Namespace) -> Self {
        let (selection, scope) = (Selection::default(), Scope::Cluster);
        Self { adapter, namespace, selection, node: None, scope, timeout: TIMEOUT, no_wait: false }
    }

    /// Selects the sockets in these rooms, in addition to those of earlier calls. An empty list adds nobody; alone it selects nobody.
    pub fn to(mut self, rooms: impl IntoRooms) -> Self {
        self.selection.to(rooms);
        self
    }

    /// Selects the sockets in these rooms, as [`to`](Self::to) does.
    pub fn within(self, rooms: impl IntoRooms) -> Self {
        self.to(rooms)
    }

    /// Leaves out the sockets in these rooms, whatever other rooms they are in. A socket's id is a room, too.
    pub fn except(mut self, rooms: impl IntoRooms) -> Self {
        self.selection.except(rooms);
        self
    }

    /// Selects only sockets of this node. It needs no broker.
    pub fn local(mut self) -> Self {
        self.scope = Scope::Local;
        self
    }

    /// Selects only sockets of the node with this id.
    pub fn on_node(mut self, node: NodeId) -> Self {
        self.node = Some(node);
        self
    }

    /// Emits only to sockets that are ready, and to other nodes only if the broker is there. The packet may be lost, and may overtake others.
    /// Operations other than emits ignore it.
    pub fn volatile(mut self) -> Self {
        self.selection.volatile();
        self
    }

    /// Sets the timeout: for `emit`, how long to wait while the outgoing queue is full; for questions, how long to wait for replies.
    /// 5 s by default, 24 h at most. With zero an `emit` does not wait, and a question is an error.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Makes [`join_sockets`](Self::join_sockets), [`leave_sockets`](Self::leave_sockets) and
    /// [`disconnect_sockets`](Self::disconnect_sockets) return once they are in the outgoing queue, without waiting for the other nodes.
    /// The nodes still carry them out in the order of the calls.
    pub fn no_wait(mut self) -> Self {
        self.no_wait = true;
        self
    }

    fn checked(self) -> Result<(Arc<dyn Adapter>, Address, Duration)> {
        let target = Target { node: self.node, ..self.selection.checked()? };
        let to = Address::new(self.namespace, target).scope(self.scope);
        Ok((self.adapter, to, self.timeout))
    }

    /// Emits the packet to the sockets, once to each. When it returns, this node's sockets have it, and for the others it is
    /// in the outgoing queue ([`Cluster::flush`](crate::Cluster::flush) waits for the broker).
    ///
    /// # Errors
    /// `Config` (a bad room), `TooLarge`, `Unavailable` (the broker is away and the queue is full), `Timeout` (the queue
    /// was full for the whole timeout), `Closed`. [`Error::served_locally`](crate::Error::served_locally) says whether this node's sockets got the packet.
    pub async fn emit(self, packet: impl Into<Packet>) -> Result<()> {
        let packet = packet.into();
        let (adapter, to, timeout) = self.checked()?;
        adapter.broadcast(to, packet, timeout).await
    }

    /// Emits an event with one argument, which sockets of every kind of server can read: it makes the packet by
    /// [`Packet::event`], and [`emit`](Self::emit)s it.
    ///
    /// # Errors
    /// Those of [`emit`](Self::emit), and `Config` when the argument has no JSON form.
    pub async fn emit_event(self, event: &str, argument: impl Serialize) -> Result<()> {
        self.emit(Packet::event(event, argument)?).await
    }

    /// Emits the packet, as [`emit`](Self::emit) does, and returns the stream of the sockets' acks. The stream ends when all sockets have replied,
    /// or at the timeout.
    ///
    /// # Errors
    /// Those of [`emit`](Self::emit), and `Config` for a timeout of zero.
    pub async fn emit_with_ack(self, packet: impl Into<Packet>) -> Result<AckStream> {
        let packet = packet.into();
        let (adapter, to, timeout) = self.checked()?;
        adapter.broadcast_with_ack(to, packet, timeout).await
    }

    /// Puts the sockets into these rooms. When it returns, every node in `items` has done so, and a later broadcast by any
    /// node reaches them there. `missing` names the nodes that have not confirmed.
    ///
    /// # Errors
    /// Those of [`emit_with_ack`](Self::emit_with_ack).
    pub async fn join_sockets(self, rooms: impl IntoRooms) -> Result<Gathered<NodeId>> {
        self.change(SocketChange::Join(rooms.into_rooms()?)).await
    }

    /// Takes the sockets out of these rooms. When it returns, every node in `items` has done so; `missing` names the others.
    ///
    /// # Errors
    /// Those of [`emit_with_ack`](Self::emit_with_ack).
    pub async fn leave_sockets(self, rooms: impl IntoRooms) -> Result<Gathered<NodeId>> {
        self.change(SocketChange::Leave(rooms.into_rooms()?)).await
    }

    /// Disconnects these sockets, on every node. What was emitted to them before is delivered first. When it returns, every node in
    /// `items` has done so; `missing` names the others.
    ///
    /// A socket of a [`Hub`](crate::Hub) is the client's connection. A socket of socketioxide is the client's place in this namespace: the
    /// connection under it stays as long as the client has others, since socketioxide lets no adapter close it.
    ///
    /// # Errors
    /// Those of [`emit_with_ack`](Self::emit_with_ack).
    pub async fn disconnect_sockets(self) -> Result<Gathered<NodeId>> {
        self.change(SocketChange::Disconnect).await
    }

    async fn change(self, change: SocketChange) -> Result<Gathered<NodeId>> {
        let wait = if self.no_wait { WaitFor::Sent(self.timeout) } else { WaitFor::Applied(self.timeout) };
        let (adapter, to, _) = self.checked()?;
        adapter.change(to, change, wait).await
    }

    /// The selected sockets, with their rooms and data.
    ///
    /// # Errors
    /// Those of [`emit_with_ack`](Self::emit_with_ack). Nodes that did not reply are no error: `missing` names them.
    pub async fn fetch_sockets(self) -> Result<Gathered<SocketInfo>> {
        self.fetch(Projection::All).await
    }

    /// The selected sockets, with only what the projection asks for: ids, rooms or data.
    ///
    /// # Errors
    /// Those of [`fetch_sockets`](Self::fetch_sockets).
    pub async fn fetch(self, projection: Projection) -> Result<Gathered<SocketInfo>> {
        let (adapter, to, timeout) = self.checked()?;
        adapter.fetch_sockets(to, projection, timeout).await
    }

    /// The number of selected sockets, by node. `total()` of the result adds them up.
    ///
    /// # Errors
    /// Those of [`fetch_sockets`](Self::fetch_sockets).
    pub async fn count_sockets(self) -> Result<Gathered<(NodeId, u64)>> {
        let (adapter, to, timeout) = self.checked()?;
        adapter.count_sockets(to, timeout).await
    }

    /// The rooms that the selected sockets are in, each once, without their private rooms.
    ///
    /// # Errors
    /// Those of [`fetch_sockets`](Self::fetch_sockets).
    pub async fn rooms(self) -> Result<Gathered<Room>> {
        let (adapter, to, timeout) = self.checked()?;
        adapter.rooms(to, timeout).await
    }
}

impl std::fmt::Debug for BroadcastOperator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BroadcastOperator")
            .field("namespace", &self.namespace)
            .field("selection", &self.selection)
            .finish_non_exhaustive()
    }
}
