//! The cluster operations, as a trait.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use crate::model::{
    Gathered, Namespace, Node, NodeId, Packet, Projection, Result, Room, SocketChange, SocketInfo, Target,
};
use crate::seams::{AckStream, LocalSockets, ServerEvents};

/// The cluster operations that an application calls. [`Cluster`](crate::Cluster) is the one implementation so far;
/// another wire dialect would be a second one, which is why bridges are written against this trait.
///
/// # Cancel safety
/// Every future may be dropped at any await. One that waits for capacity in the outgoing queue has then done nothing;
/// one that waits for replies has sent its request, and drops the replies.
#[async_trait]
pub trait Adapter: Send + Sync + 'static {
    /// This node.
    fn node(&self) -> Node;

    /// Every node that is alive, as far as this one knows, itself first.
    fn nodes(&self) -> Vec<Node>;

    /// Makes local sockets part of a namespace, at once. Several may have the same namespace: all are served.
    ///
    /// # Errors
    /// `Config` for sockets that are attached to this namespace already, as their [`key`](LocalSockets::key) tells.
    /// `Closed`.
    fn attach(&self, namespace: &Namespace, local: Arc<dyn LocalSockets>) -> Result<AttachmentId>;

    /// Takes local sockets out again, at once. An id that is not attached is nothing to do.
    fn detach(&self, attachment: AttachmentId);

    /// Sends the server-side events of a namespace to this queue from now on. With a name, the queue gets the events of that name; other
    /// queues that asked for the name still get them, too. Without a name, the queue gets the events that no named queue gets, and it
    /// replaces the queue that got them before.
    ///
    /// # Errors
    /// `Closed`.
    fn on_server_event(&self, namespace: &Namespace, event: Option<&str>, events: ServerEvents) -> Result<()>;

    /// Ends that, unless others have taken the place of these. Who has called [`on_server_event`](Self::on_server_event)
    /// calls this when its receiver is dropped, or the namespace is kept until the next event. Does nothing by default.
    fn forget_server_events(&self, namespace: &Namespace, events: &ServerEvents) {
        let _ = (namespace, events);
    }

    /// Ends it for everybody who has asked for events of this name. Does nothing by default.
    fn forget_server_events_named(&self, namespace: &Namespace, event: &str) {
        let _ = (namespace, event);
    }

    /// Counts a panic of a handler of server events, and tells it in the log and as an event; `said` is its message.
    /// The code that runs a handler catches its panics and calls this. Does nothing by default.
    fn handler_panicked(&self, namespace: &Namespace, said: &str) {
        let _ = (namespace, said);
    }

    /// What [`broadcast`](Self::broadcast) would refuse whatever the state of the broker. Who serves its own sockets itself
    /// ([`Scope::Beyond`]) asks it before that: what fails afterwards has been delivered here. Refuses nothing by default.
    ///
    /// # Errors
    /// `TooLarge`, `Config`.
    fn check_broadcast(&self, to: &Address, packet: &Packet) -> Result<()> {
        let _ = (to, packet);
        Ok(())
    }

    /// The same for [`change`](Self::change).
    ///
    /// # Errors
    /// `TooLarge`, `Config`.
    fn check_change(&self, to: &Address, change: &SocketChange, wait: WaitFor) -> Result<()> {
        let _ = (to, change, wait);
        Ok(())
    }

    /// Gives a packet to the sockets addressed. Returns once it is in the outgoing queue; a full one is waited for up
    /// to `wait`.
    ///
    /// # Errors
    /// `TooLarge`, `Unavailable`, `Timeout` (the queue was full all the time), `Closed`; `Config` when none of this node's
    /// own sockets in the namespace can read such a packet ([`LocalSockets::check`]).
    async fn broadcast(&self, to: Address, packet: Packet, wait: Duration) -> Result<()>;

    /// The same, and gathers the replies of the sockets as they come, for `timeout` at the most.
    ///
    /// # Errors
    /// As [`broadcast`](Self::broadcast), and `Config` for a zero timeout.
    async fn broadcast_with_ack(&self, to: Address, packet: Packet, timeout: Duration) -> Result<AckStream>;

    /// Changes the rooms or the life of the sockets addressed. Returns when every live node has done so, or at once.
    /// The items are the nodes that have.
    ///
    /// # Errors
    /// As [`broadcast`](Self::broadcast), and `Config` for a zero timeout.
    async fn change(&self, to: Address, change: SocketChange, wait: WaitFor) -> Result<Gathered<NodeId>>;

    /// Describes the sockets addressed.
    ///
    /// # Errors
    /// As [`change`](Self::change).
    async fn fetch_sockets(&self, to: Address, ask: Projection, timeout: Duration) -> Result<Gathered<SocketInfo>>;

    /// Counts the sockets addressed, for each node.
    ///
    /// # Errors
    /// As [`change`](Self::change).
    async fn count_sockets(&self, to: Address, timeout: Duration) -> Result<Gathered<(NodeId, u64)>>;

    /// The rooms that the sockets addressed are in, each once, in no order.
    ///
    /// # Errors
    /// As [`change`](Self::change).
    async fn rooms(&self, to: Address, timeout: Duration) -> Result<Gathered<Room>>;

    /// Sends an event to the other servers.
    ///
    /// # Errors
    /// As [`broadcast`](Self::broadcast).
    async fn server_side_emit(&self, namespace: &Namespace, event: &str, data: Bytes, wait: Duration) -> Result<()>;

    /// Sends an event to the other servers, and gathers one reply from each of them.
    ///
    /// # Errors
    /// As [`change`](Self::change).
    async fn server_side_emit_with_ack(
        &self,
        namespace: &Namespace,
        event: &str,
        data: Bytes,
        timeout: Duration,
    ) -> Result<Gathered<(NodeId, Bytes)>>;
}

/// Local sockets attached to a namespace of this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AttachmentId(pub(crate) u64);

impl AttachmentId {
    /// For implementations of [`Adapter`]: the id that this implementation gives to an attachment.
    pub const fn from_raw(id: u64) -> Self {
        Self(id)
    }
}

/// Where an operation goes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Address {
    /// The namespace.
    pub namespace: Namespace,
    /// The sockets in it.
    pub target: Target,
    /// The nodes.
    pub scope: Scope,
}

impl Address {
    /// These sockets, on every node.
    pub fn new(namespace: Namespace, target: Target) -> Self {
        Self { namespace, target, scope: Scope::Cluster }
    }

    /// Limits it to some nodes.
    #[must_use]
    pub fn scope(mut self, scope: Scope) -> Self {
        self.scope = scope;
        self
    }
}

/// On which nodes an operation is carried out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Scope {
    /// On all of them.
    #[default]
    Cluster,
    /// On this one alone, whatever the broker's state.
    Local,
    /// Everywhere but on these local sockets: their owner serves them itself.
    Beyond(AttachmentId),
}

/// What a change of sockets waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WaitFor {
    /// Until every live node has applied it, for so long at the most.
    Applied(Duration),
    /// Waits only for capacity in the outgoing queue, and at most this long.
    Sent(Duration),
}
