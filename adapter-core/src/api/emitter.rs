//! An emitter: a process that emits and is no node.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;

use super::builder::check_max_message;
use crate::api::emitter_calls::Calls;
use crate::api::selection::Selection;
use crate::driver::{Traces, mark_failure};
use crate::engine::split;
use crate::model::{Error, ErrorKind, IntoRooms, Namespace, NodeId, Packet, Result, SocketChange, check_event_name};
use crate::seams::inbox;
use crate::seams::inbox::CloseOnDrop;
use crate::seams::{Backend, Channel, Connect, Inbox, Outgoing, Owner, PublishError, TracePropagator, cluster_name};
use crate::wire::{Content, Head, Message, Operation};

/// Emits into a cluster without being a node of it: for cron jobs, workers, and other services. Clones share one
/// connection.
///
/// When a call has returned, the broker has the message. Each socket gets it at most once. Order between calls, and
/// repair of what a broker loses, are not promised: an emitter may be gone before anybody could ask it again.
///
/// # Examples
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), roomcast_core::Error> {
/// use roomcast_core::{Emitter, Memory, Packet};
///
/// let emitter = Emitter::connect(Memory::named("shop")).await?;
/// emitter.of("/chat")?.to("lobby").emit(Packet::event("news", "we open at nine")?).await?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Emitter(Arc<Inner>);

struct Inner {
    backend: Arc<dyn Backend>,
    inbox: Inbox,
    channel: Channel,
    /// An emitter has an id as a node has, but is not counted among the nodes.
    id: NodeId,
    calls: Calls,
    traces: Traces,
    settings: EmitterBuilder,
}

/// Configures an emitter, then connects it.
#[derive(Clone, Debug)]
#[must_use]
pub struct EmitterBuilder {
    cluster: Option<String>,
    max_message: usize,
    timeout: Duration,
    trace_propagator: Option<Arc<dyn TracePropagator>>,
}

impl EmitterBuilder {
    /// The cluster's name, as its nodes have it. A name given here takes precedence over that of the backend's URL (`?cluster=NAME`).
    /// Without either it is `roomcast`.
    pub fn cluster(mut self, name: impl Into<String>) -> Self {
        self.cluster = Some(name.into());
        self
    }

    /// The largest packet in bytes, which must be the same as on the nodes; 16 MiB by default, 512 MiB at most.
    pub fn max_message(mut self, bytes: usize) -> Self {
        self.max_message = bytes;
        self
    }

    /// How long connecting may take, and then each call; 5 s by default. With zero [`connect`](Self::connect) returns `Config`.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Makes what this emitter sends part of the application's traces, as [`ClusterBuilder::trace_propagator`](crate::ClusterBuilder::trace_propagator)
    /// does for a node; by default nothing is.
    pub fn trace_propagator(mut self, propagator: impl TracePropagator) -> Self {
        self.trace_propagator = Some(Arc::new(propagator));
        self
    }

    /// Connects the emitter.
    ///
    /// # Errors
    /// The backend's error (`Config`, `Denied`, `Unavailable`); `Timeout`; `Config` for a bad name or limit.
    pub async fn connect(self, backend: impl Connect) -> Result<Emitter> {
        check_max_message(self.max_message)?;
        if self.timeout.is_zero() {
            return Err(Error::config("an emitter's timeout must not be zero: no publish could be confirmed in time"));
        }
        let cluster = cluster_name(self.cluster.as_deref(), &backend)?;
        // Nothing is subscribed: the inbox only hears about the link.
        let owner = Owner { cluster: cluster.clone(), node: None, name: String::new() };
        let inbox = Inbox::new(inbox::Bounds { messages: 1, bytes: 1, control: 1 }, Some(owner));
        let late = |_| Error::new(ErrorKind::Timeout, "connecting took longer than the emitter's timeout");
        let guard = CloseOnDrop::new(inbox.clone());
        let (channel, id) = (Channel::cluster(&cluster), NodeId::random()?);
        let backend = tokio::time::timeout(self.timeout, backend.connect(inbox.clone())).await.map_err(late)??;
        guard.disarm();
        let traces = Traces::new(self.trace_propagator.clone(), &cluster, id);
        Ok(Emitter(Arc::new(Inner { backend, inbox, channel, id, calls: Calls::default(), traces, settings: self })))
    }
}

impl Emitter {
    /// Connects to the cluster that the backend's URL names (`?cluster=NAME`), or to `roomcast`.
    ///
    /// # Errors
    /// Those of [`EmitterBuilder::connect`].
    pub async fn connect(backend: impl Connect) -> Result<Self> {
        Self::builder().connect(backend).await
    }

    /// Configures an emitter: the cluster's name, limit and timeout.
    pub fn builder() -> EmitterBuilder {
        EmitterBuilder { cluster: None, max_message: 16 << 20, timeout: Duration::from_secs(5), trace_propagator: None }
    }

    /// Selects every socket of a namespace. The operator's `to` and `except` select some of them.
    ///
    /// # Errors
    /// `Config` for a bad name.
    pub fn of<N>(&self, namespace: N) -> Result<EmitterOperator>
    where
        N: TryInto<Namespace, Error: Into<Error>>,
    {
        let namespace = namespace.try_into().map_err(Into::into)?;
        Ok(EmitterOperator { emitter: self.clone(), namespace, selection: Selection::default() })
    }

    /// Ends the connection. Calls after it fail with `Closed`.
    ///
    /// # Errors
    /// The backend's error, or `Timeout`. In both cases the connection has ended.
    pub async fn close(&self) -> Result<()> {
        self.0.inbox.close();
        let late = |_| Error::new(ErrorKind::Timeout, "the backend did not close within the timeout");
        tokio::time::timeout(self.0.settings.timeout, self.0.backend.close()).await.map_err(late)?
    }

    async fn send(&self, operation: Operation) -> Result<()> {
        let Inner { settings, inbox, traces, .. } = &*self.0;
        if inbox.is_closed() {
            return Err(Error::closed());
        }
        let mut content = operation.encode();
        if content.body.len().max(content.packet.len()) > settings.max_message {
            let text =
                format!("a message of {} bytes is over max_message, which is {}", content.len(), settings.max_message);
            return Err(Error::new(ErrorKind::TooLarge, text));
        }
        let late = |_| Error::new(ErrorKind::Timeout, "the broker did not confirm the message within the timeout");
        let span = traces.sending(&operation, &mut content); // until the broker has it
        let published = tokio::time::timeout(settings.timeout, self.publish(&content)).await;
        published.map_err(late).and_then(|published| published).map_err(|error| mark_failure(&span, error))
    }

    /// Publishes until the outcome is known. Receivers drop duplicates.
    async fn publish(&self, content: &Content) -> Result<()> {
        const RETRY: Duration = Duration::from_millis(100);
        let backend = &self.0.backend;
        let call = self.0.calls.begin().await;
        loop {
            let max_frame = backend.limits().max_frame;
            let frames = self.frames(content, call.counter, max_frame);
            match backend.publish(&frames).await {
                Ok(()) => return Ok(()),
                // The bound has shrunk since the message was cut. Receivers begin anew with the pieces of the next cut.
                Err(PublishError::Refused { kind: ErrorKind::TooLarge, .. })
                    if backend.limits().max_frame < max_frame => {}
                Err(PublishError::Refused { kind, .. }) => {
                    return Err(Error::new(kind, "the broker refuses the message"));
                }
                Err(PublishError::Unknown(cause) | PublishError::NotNow(cause)) => {
                    tracing::debug!(%cause, "the outcome of a publish is unknown; it is repeated");
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
    }

    fn frames(&self, Content { kind, body, packet, trace }: &Content, counter: u64, max_frame: usize) -> Vec<Outgoing> {
        let head = Head { trace: *trace, ..Head::new(*kind, self.0.id, counter) };
        let frame = |head: &Head, body: &[u8], packet: &[u8]| {
            Outgoing::new(self.0.channel.clone(), Message::of(head, body, packet))
        };
        let pieces = split(&head, body, packet, max_frame);
        let pieces = pieces.map(|pieces| pieces.iter().map(|(head, piece)| frame(head, &[], piece)).collect());
        pieces.unwrap_or_else(|| vec![frame(&head, body, packet)])
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.inbox.close();
    }
}

impl fmt::Debug for Emitter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Emitter").field("channel", &self.0.channel).finish_non_exhaustive()
    }
}

/// The sockets that an emitter's operation means. The operation consumes it, and reports a bad room name.
///
/// # Cancel safety
/// If the future of an operation is dropped, the message may have been sent or not.
#[derive(Clone, Debug)]
#[must_use = "nothing is sent until an operation is called and awaited"]
pub struct EmitterOperator {
    emitter: Emitter,
    namespace: Namespace,
    selection: Selection,
}

impl EmitterOperator {
    /// Selects the sockets in these rooms, in addition to those of earlier calls. An empty list adds nobody; alone it selects nobody.
    pub fn to(mut self, rooms: impl IntoRooms) -> Self {
        self.selection.to(rooms);
        self
    }

    /// Selects the sockets in these rooms, as [`to`](Self::to) does.
    pub fn within(self, rooms: impl IntoRooms) -> Self {
        self.to(rooms)
    }

    /// Leaves out the sockets in these rooms, whatever other rooms they are in.
    pub fn except(mut self, rooms: impl IntoRooms) -> Self {
        self.selection.except(rooms);
        self
    }

    /// Emits only to sockets that are ready. The packet may be lost.
    pub fn volatile(mut self) -> Self {
        self.selection.volatile();
        self
    }

    /// Emits the packet to the sockets. [`Packet::event`] makes one that every kind of server can read.
    ///
    /// # Errors
    /// `Config` (a bad room), `TooLarge`, `Denied`, `Timeout`, `Closed`.
    pub async fn emit(self, packet: impl Into<Packet>) -> Result<()> {
        let packet = packet.into();
        let target = self.selection.checked()?;
        self.emitter.send(Operation::Broadcast { namespace: self.namespace, target, packet }).await
    }

    /// Emits an event with one argument, which sockets of every kind of server can read.
    ///
    /// # Errors
    /// Those of [`emit`](Self::emit), and `Config` when the argument has no JSON form.
    pub async fn emit_event(self, event: &str, argument: impl Serialize) -> Result<()> {
        self.emit(Packet::event(event, argument)?).await
    }

    /// Puts the sockets into these rooms. Returns once the broker has the message; nobody confirms that it was done.
    ///
    /// # Errors
    /// Those of [`emit`](Self::emit).
    pub async fn join_sockets(self, rooms: impl IntoRooms) -> Result<()> {
        self.change(SocketChange::Join(rooms.into_rooms()?)).await
    }

    /// Takes the sockets out of these rooms. Returns once the broker has the message; nobody confirms that it was done.
    ///
    /// # Errors
    /// Those of [`emit`](Self::emit).
    pub async fn leave_sockets(self, rooms: impl IntoRooms) -> Result<()> {
        self.change(SocketChange::Leave(rooms.into_rooms()?)).await
    }

    /// Disconnects these sockets, on every node. Without a selection it disconnects every socket of the namespace.
    ///
    /// # Errors
    /// Those of [`emit`](Self::emit).
    pub async fn disconnect_sockets(self) -> Result<()> {
        self.change(SocketChange::Disconnect).await
    }

    async fn change(self, change: SocketChange) -> Result<()> {
        let target = self.selection.checked()?;
        self.emitter.send(Operation::Change { namespace: self.namespace, target, change }).await
    }

    /// Sends an event to every server that has a handler in the namespace. A selection of rooms has no effect.
    ///
    /// # Errors
    /// Those of [`emit`](Self::emit), and `Config` for an event name that is empty or over 1,024 bytes.
    pub async fn server_side_emit(self, event: &str, data: impl Into<Bytes>) -> Result<()> {
        check_event_name(event)?;
        let operation =
            Operation::ServerEvent { namespace: self.namespace, event: event.to_owned(), data: data.into() };
        self.emitter.send(operation).await
    }
}
