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

/// Which sockets an operation means; made by [`NamespaceHandle::to`](crate::NamespaceHandle::to) and its sisters,
/// ended by the operation. A bad name is reported there.
///
/// # Cancel safety
/// Every future that is made here may be dropped at any await: one that waits for capacity in the outgoing queue has then
/// done nothing, one that waits for answers has done its work and forgets the answers.
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

    /// The sockets in these rooms, beside those of earlier calls. An empty list adds nobody: alone, it means nobody.
    pub fn to(mut self, rooms: impl IntoRooms) -> Self {
        self.selection.to(rooms);
        self
    }

    /// The same as [`to`](Self::to).
    pub fn within(self, rooms: impl IntoRooms) -> Self {
        self.to(rooms)
    }

    /// Not the sockets in these rooms, whatever else they are in.
    pub fn except(mut self, rooms: impl IntoRooms) -> Self {
        self.selection.except(rooms);
        self
    }

    /// Only the sockets of this node, whatever the broker's state.
    pub fn local(mut self) -> Self {
        self.scope = Scope::Local;
        self
    }

    /// Only the sockets of that node.
    pub fn on(mut self, node: NodeId) -> Self {
        self.node = Some(node);
        self
    }

    /// Only to sockets that are ready, and only if the broker is: the packet may be lost, and may overtake others.
    /// Means nothing to the other operations.
    pub fn volatile(mut self) -> Self {
        self.selection.volatile();
        self
    }

    /// How long to wait for capacity in the outgoing queue, or for answers; 5 s by default. Zero means not to wait for
    /// capacity; for answers it is an error. More than a day is a day.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// [`join_sockets`](Self::join_sockets), [`leave_sockets`](Self::leave_sockets) and
    /// [`disconnect_sockets`](Self::disconnect_sockets) return once they are in the outgoing queue. They are still carried
    /// out in the order of the calls.
    pub fn no_wait(mut self) -> Self {
        self.no_wait = true;
        self
    }

    fn checked(self) -> Result<(Arc<dyn Adapter>, Address, Duration)> {
        let target = Target { node: self.node, ..self.selection.checked()? };
        let to = Address::new(self.namespace, target).scope(self.scope);
        Ok((self.adapter, to, self.timeout))
    }

    /// Gives the packet to the sockets, once each. This node's are served when it returns; for the others the packet is
    /// then in the outgoing queue ([`Cluster::flush`](crate::Cluster::flush) waits for the broker).
    ///
    /// # Errors
    /// `Config` (a bad room), `TooLarge`, `Unavailable` (the broker is away and the queue is full), `Timeout` (the queue
    /// was full for the whole time), `Closed`. [`Error::served_locally`](crate::Error::served_locally) says whether this node's sockets got it.
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

    /// The same, and gathers the sockets' answers as they come. Ends when all have answered or the time is up.
    ///
    /// # Errors
    /// As [`emit`](Self::emit), and `Config` for a zero timeout.
    pub async fn emit_with_ack(self, packet: impl Into<Packet>) -> Result<AckStream> {
        let packet = packet.into();
        let (adapter, to, timeout) = self.checked()?;
        adapter.broadcast_with_ack(to, packet, timeout).await
    }

    /// Puts the sockets into these rooms. When it returns, every node in `items` has done so: a later broadcast by any
    /// node sees it.
    ///
    /// # Errors
    /// As [`emit_with_ack`](Self::emit_with_ack).
    pub async fn join_sockets(self, rooms: impl IntoRooms) -> Result<Gathered<NodeId>> {
        self.change(SocketChange::Join(rooms.into_rooms()?)).await
    }

    /// Takes the sockets out of these rooms; returns as [`join_sockets`](Self::join_sockets) does.
    ///
    /// # Errors
    /// As [`emit_with_ack`](Self::emit_with_ack).
    pub async fn leave_sockets(self, rooms: impl IntoRooms) -> Result<Gathered<NodeId>> {
        self.change(SocketChange::Leave(rooms.into_rooms()?)).await
    }

    /// Disconnects all these sockets, on every node; what was emitted to them before is delivered first. Returns as [`join_sockets`](Self::join_sockets) does.
    ///
    /// # Errors
    /// As [`emit_with_ack`](Self::emit_with_ack).
    pub async fn disconnect_sockets(self) -> Result<Gathered<NodeId>> {
        self.change(SocketChange::Disconnect).await
    }

    async fn change(self, change: SocketChange) -> Result<Gathered<NodeId>> {
        let wait = if self.no_wait { WaitFor::Sent(self.timeout) } else { WaitFor::Applied(self.timeout) };
        let (adapter, to, _) = self.checked()?;
        adapter.change(to, change, wait).await
    }

    /// The sockets, with their rooms and data.
    ///
    /// # Errors
    /// As [`emit_with_ack`](Self::emit_with_ack). Nodes that did not answer are no error: `missing` names them.
    pub async fn fetch_sockets(self) -> Result<Gathered<SocketInfo>> {
        self.fetch(Projection::All).await
    }

    /// The sockets, as far as asked for.
    ///
    /// # Errors
    /// As [`fetch_sockets`](Self::fetch_sockets).
    pub async fn fetch(self, projection: Projection) -> Result<Gathered<SocketInfo>> {
        let (adapter, to, timeout) = self.checked()?;
        adapter.fetch_sockets(to, projection, timeout).await
    }

    /// How many sockets, for each node.
    ///
    /// # Errors
    /// As [`fetch_sockets`](Self::fetch_sockets).
    pub async fn count_sockets(self) -> Result<Gathered<(NodeId, u64)>> {
        let (adapter, to, timeout) = self.checked()?;
        adapter.count_sockets(to, timeout).await
    }

    /// The rooms that the sockets are in, each once; private ones are not among them.
    ///
    /// # Errors
    /// As [`fetch_sockets`](Self::fetch_sockets).
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
