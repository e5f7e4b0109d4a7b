//! Emitting without being a node.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;

use super::builder::check_max_message;
use crate::api::emitter_calls::Calls;
use crate::api::selection::Selection;
use crate::engine::split;
use crate::model::{Error, ErrorKind, IntoRooms, Namespace, NodeId, Packet, Result, SocketChange, check_event_name};
use crate::seams::inbox;
use crate::seams::inbox::CloseOnDrop;
use crate::seams::{Backend, Channel, Connect, Inbox, Outgoing, PublishError, cluster_name};
use crate::wire::{Content, Head, Message, Operation};

/// Emits into a cluster without being a node of it: for cron jobs, workers, and other services. Clones share one
/// connection.
///
/// When a call has returned, the broker has the message. Every socket gets one copy at the most; order between calls and
/// repair of what a broker loses are not promised, since an emitter may be gone before anybody could ask it again.
///
/// # Examples
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), adapter_core::Error> {
/// use adapter_core::{Emitter, Memory, Packet};
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
    /// Emitters are told apart as nodes are, but nobody counts them among the nodes.
    id: NodeId,
    calls: Calls,
    settings: EmitterBuilder,
}

/// Configures an emitter, then connects it.
#[derive(Clone, Debug)]
#[must_use]
pub struct EmitterBuilder {
    cluster: Option<String>,
    max_message: usize,
    timeout: Duration,
}

impl EmitterBuilder {
    /// The cluster's name, as its nodes have it. Without it, the name comes from the backend's URL (`?cluster=NAME`), and is
    /// `roomcast` if the URL has none. A name given here counts more than that of the URL.
    pub fn cluster(mut self, name: impl Into<String>) -> Self {
        self.cluster = Some(name.into());
        self
    }

    /// The largest packet, in bytes, as the nodes have it; 16 MiB by default, 512 MiB at the most.
    pub fn max_message(mut self, bytes: usize) -> Self {
        self.max_message = bytes;
        self
    }

    /// How long connecting, and then each call, may take; 5 s by default. Zero is refused by [`connect`](Self::connect).
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Connects.
    ///
    /// # Errors
    /// What the backend says (`Config`, `Denied`, `Unavailable`); `Timeout`; `Config` for a bad name or bound.
    pub async fn connect(self, backend: impl Connect) -> Result<Emitter> {
        check_max_message(self.max_message)?;
        if self.timeout.is_zero() {
            return Err(Error::config("an emitter's timeout is more than nothing"));
        }
        let cluster = cluster_name(self.cluster.as_deref(), &backend)?;
        // Nothing is subscribed: the inbox only hears about the link.
        let owner = inbox::Owner { cluster: cluster.clone(), node: None };
        let inbox = Inbox::new(inbox::Bounds { messages: 1, bytes: 1, control: 1 }, Some(owner));
        let late = |_| Error::new(ErrorKind::Timeout, "connecting took longer than the emitter's timeout");
        let guard = CloseOnDrop::new(inbox.clone());
        let (channel, id) = (Channel::cluster(&cluster), NodeId::random()?);
        let backend = tokio::time::timeout(self.timeout, backend.connect(inbox.clone())).await.map_err(late)??;
        guard.disarm();
        Ok(Emitter(Arc::new(Inner { backend, inbox, channel, id, calls: Calls::default(), settings: self })))
    }
}

impl Emitter {
    /// Connects to the cluster that the backend's URL names (`?cluster=NAME`), or to `roomcast`.
    ///
    /// # Errors
    /// As [`EmitterBuilder::connect`].
    pub async fn connect(backend: impl Connect) -> Result<Self> {
        Self::builder().connect(backend).await
    }

    /// For everything but the defaults.
    pub fn builder() -> EmitterBuilder {
        EmitterBuilder { cluster: None, max_message: 16 << 20, timeout: Duration::from_secs(5) }
    }

    /// Every socket of a namespace, to be narrowed down.
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

    /// Ends the connection.
    ///
    /// # Errors
    /// What the backend said; `Timeout`. The connection is gone all the same.
    pub async fn close(&self) -> Result<()> {
        self.0.inbox.close();
        let late = |_| Error::new(ErrorKind::Timeout, "the backend has not closed in the time given");
        tokio::time::timeout(self.0.settings.timeout, self.0.backend.close()).await.map_err(late)?
    }

    async fn send(&self, operation: Operation) -> Result<()> {
        let Inner { settings, inbox, .. } = &*self.0;
        if inbox.is_closed() {
            return Err(Error::closed());
        }
        let content = operation.encode();
        if content.body.len().max(content.packet.len()) > settings.max_message {
            let text =
                format!("a message of {} bytes is over max_message, which is {}", content.len(), settings.max_message);
            return Err(Error::new(ErrorKind::TooLarge, text));
        }
        let late = |_| Error::new(ErrorKind::Timeout, "the broker has not confirmed the message in the time given");
        tokio::time::timeout(settings.timeout, self.publish(&content)).await.map_err(late)?
    }

    /// Publishes until the outcome is known: copies are dropped by the receivers.
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
                Err(PublishError::Unknown(cause)) => {
                    tracing::debug!(%cause, "the outcome of a publish is unknown; it is repeated");
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
    }

    fn frames(&self, Content { kind, body, packet }: &Content, counter: u64, max_frame: usize) -> Vec<Outgoing> {
        let head = Head { kind: *kind, sender: self.0.id, counter, number: None, part: None, request: None };
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

/// Which sockets an emitter's operation means, then what.
///
/// # Cancel safety
/// A future that is dropped may have sent its message or not.
#[derive(Clone, Debug)]
#[must_use = "nothing is sent until an operation is called and awaited"]
pub struct EmitterOperator {
    emitter: Emitter,
    namespace: Namespace,
    selection: Selection,
}

impl EmitterOperator {
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

    /// Only to sockets that are ready.
    pub fn volatile(mut self) -> Self {
        self.selection.volatile();
        self
    }

    /// Gives the packet to the sockets. [`Packet::event`] makes one that every kind of server can read.
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

    /// Puts the sockets into these rooms.
    ///
    /// # Errors
    /// As [`emit`](Self::emit).
    pub async fn join_sockets(self, rooms: impl IntoRooms) -> Result<()> {
        self.change(SocketChange::Join(rooms.into_rooms()?)).await
    }

    /// Takes the sockets out of these rooms.
    ///
    /// # Errors
    /// As [`emit`](Self::emit).
    pub async fn leave_sockets(self, rooms: impl IntoRooms) -> Result<()> {
        self.change(SocketChange::Leave(rooms.into_rooms()?)).await
    }

    /// Disconnects all these sockets, on every node; without a selection, every socket of the namespace.
    ///
    /// # Errors
    /// As [`emit`](Self::emit).
    pub async fn disconnect_sockets(self) -> Result<()> {
        self.change(SocketChange::Disconnect).await
    }

    async fn change(self, change: SocketChange) -> Result<()> {
        let target = self.selection.checked()?;
        self.emitter.send(Operation::Change { namespace: self.namespace, target, change }).await
    }

    /// Sends an event to every server of the namespace; rooms mean nothing to it.
    ///
    /// # Errors
    /// As [`emit`](Self::emit); `Config` for an event name that is empty or over 1,024 bytes.
    pub async fn server_side_emit(self, event: &str, data: impl Into<Bytes>) -> Result<()> {
        check_event_name(event)?;
        let operation =
            Operation::ServerEvent { namespace: self.namespace, event: event.to_owned(), data: data.into() };
        self.emitter.send(operation).await
    }
}
