//! The seam to a broker.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use crate::model::{BrokerInfo, ClusterName, Description, Error, ErrorKind, Limits, Result};
use crate::seams::{Channel, Inbox};

/// A backend's configuration: how to reach a broker.
#[async_trait]
pub trait Connect: Send + Sync + 'static {
    /// Connects, and hands what is received to the inbox from then on.
    ///
    /// # Contract
    /// - Returns once the broker has accepted the connection; nothing is subscribed yet.
    /// - The link reports its limits with the backend, by [`Backend::limits`].
    ///
    /// # Errors
    /// `Config`, `Denied` or `Unavailable`. A broker that cannot be reached is an error here; the backend restores by itself only a
    /// link that was up before.
    async fn connect(&self, inbox: Inbox) -> Result<Arc<dyn Backend>>;

    /// The cluster that this configuration names, if it names one. It is used where the caller of
    /// [`ClusterBuilder`](crate::ClusterBuilder) or [`EmitterBuilder`](crate::EmitterBuilder) gives no name.
    fn cluster(&self) -> Option<&str> {
        None
    }
}

/// The cluster's name: the caller's, else that of the backend's configuration, else the default.
pub(crate) fn cluster_name(given: Option<&str>, connect: &impl Connect) -> Result<ClusterName> {
    ClusterName::new(given.or_else(|| connect.cluster()).unwrap_or(ClusterName::DEFAULT))
}

#[async_trait]
impl<C: Connect + ?Sized> Connect for Box<C> {
    async fn connect(&self, inbox: Inbox) -> Result<Arc<dyn Backend>> {
        (**self).connect(inbox).await
    }

    fn cluster(&self) -> Option<&str> {
        (**self).cluster()
    }
}

/// Moves opaque frames between nodes. It knows no rooms, no requests and no node counts, never decodes a frame,
/// never retries a publish and queues nothing for later: the core does that once for all. A message is handed over once. Only a
/// broker that keeps what it was given replays it, to a link that comes back ([`Capabilities::replays`]).
///
/// # Contract
/// - It reconnects and subscribes again by itself, for ever, with jittered backoff of at most 1 s ([`Backoff`](crate::backend::Backoff)), and
///   tells the [`Inbox`]: `down(reason)` when the link breaks, `up(limits)` once the whole set [`Inbox::channels`] is confirmed
///   again. What was published in between may be lost; losing it without saying so is not allowed.
/// - Every future may be dropped at any await.
#[async_trait]
pub trait Backend: Send + Sync + 'static {
    /// What this backend promises beyond moving frames. Start from [`Capabilities::default`], which is nothing.
    fn capabilities(&self) -> Capabilities;

    /// The limits of the link as it is now.
    fn limits(&self) -> Limits;

    /// Which broker this is, as it said when the latest link was made; `None`, the default, when it did not say. Asks nobody.
    fn broker(&self) -> Option<BrokerInfo> {
        None
    }

    /// Asks the broker what is worth knowing about it: its version, clock, limits, and what should be mended. For people who look after
    /// it: no node ever asks. What it does not tell is left out of the description. By default that is everything but
    /// [`broker`](Self::broker).
    ///
    /// # Errors
    /// `Unavailable` when the link is down or breaks meanwhile. A question that the login may not ask is no error.
    async fn describe(&self) -> Result<Description> {
        Ok(Description { broker: self.broker(), ..Description::default() })
    }

    /// Returns once the connected server has confirmed the subscriptions: what is published after that is received.
    ///
    /// # Errors
    /// `Unavailable` when the link breaks meanwhile; the next `up` covers these channels.
    async fn subscribe(&self, channels: &[Channel]) -> Result<()>;

    /// Stops receiving; frames under way may still come.
    ///
    /// # Errors
    /// `Unavailable` when the link is broken, which ends the subscription as well.
    async fn unsubscribe(&self, channels: &[Channel]) -> Result<()>;

    /// Hands frames to the broker, in order; returns once the broker has them. A publisher receives its own
    /// frames too, if it is subscribed. A node publishes one batch at a time, or
    /// as many as the [`Limits`] say; an emitter's calls may overlap.
    ///
    /// A node that has nothing else under way polls this within the call of the application that emits, and other emits to the
    /// same namespace wait until it returns `Pending`. So a poll must neither block nor wait for a call to the cluster.
    ///
    /// A link that is only slow needs no time limit here: the core has one, two seconds and what the bytes take at 1 MiB/s. With a
    /// shorter one a large message would be sent again and again, and never be confirmed.
    ///
    /// # Errors
    /// See [`PublishError`].
    async fn publish(&self, frames: &[Outgoing]) -> Result<(), PublishError>;

    /// Drops the link and connects again: the core found it dead although the client thinks it lives.
    async fn reset(&self, reason: Reason) {
        let _ = reason;
    }

    /// Ends the link, and whatever this node left on the broker with it.
    ///
    /// # Errors
    /// What the broker said; the link is gone all the same.
    async fn close(&self) -> Result<()>;
}

/// One message for the broker.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Outgoing {
    /// Where it goes.
    pub channel: Channel,
    /// What goes there: one frame or several, never looked into by a backend.
    pub payload: Bytes,
}

impl Outgoing {
    /// A message for this channel.
    pub fn new(channel: Channel, payload: Bytes) -> Self {
        Self { channel, payload }
    }
}

impl Limits {
    /// The messages of a batch before the first one over `max_frame`, and what to return once they are sent: the refusal of that
    /// message, or `Ok` where none is too large.
    ///
    /// # Examples
    /// ```
    /// # use roomcast_core::backend::{Channel, Limits, Outgoing, PublishError};
    /// # let channel = Channel::new("rc.a").expect("valid");
    /// let batch = [512, 513, 7].map(|size| Outgoing::new(channel.clone(), vec![0; size].into()));
    /// let (sendable, refused) = Limits::max_frame(512).sendable(&batch);
    /// assert_eq!(sendable, &batch[..1]);
    /// assert!(matches!(refused, Err(PublishError::Refused { index: 1, .. })));
    /// ```
    pub fn sendable<'a>(&self, batch: &'a [Outgoing]) -> (&'a [Outgoing], Result<(), PublishError>) {
        match batch.iter().position(|message| message.payload.len() > self.max_frame) {
            Some(index) => (&batch[..index], Err(PublishError::Refused { index, kind: ErrorKind::TooLarge })),
            None => (batch, Ok(())),
        }
    }
}

/// What a backend promises beyond moving frames; each claim arms more conformance cases.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Capabilities {
    /// One publisher's frames arrive in the order in which it published them, across channels too.
    pub ordered: bool,
    /// A link that comes back goes on where the one before broke off: the broker has kept what was published meanwhile, for some
    /// time and up to some size, and hands it over with its age ([`Inbox::frame_at`]).
    pub replays: bool,
}

impl Capabilities {
    /// What [`default`](Self::default) is, where a constant is needed.
    pub(crate) const NONE: Self = Self { ordered: false, replays: false };
    /// What [`ordered`](Self::ordered) makes of nothing, where a constant is needed.
    pub const ORDERED: Self = Self::NONE.ordered();

    /// Claims that one publisher's frames keep their order.
    #[must_use]
    pub const fn ordered(mut self) -> Self {
        self.ordered = true;
        self
    }

    /// Claims that a link that comes back misses nothing of what the broker has kept.
    #[must_use]
    pub const fn replays(mut self) -> Self {
        self.replays = true;
        self
    }
}

/// Why a link went down, for logs and events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason(pub(crate) String);

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<T: Into<String>> From<T> for Reason {
    fn from(text: T) -> Self {
        Self(text.into())
    }
}

/// Why a publish failed, and what became of its frames.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// The broker refuses one frame for good. Those before it were sent, it and those after it were not.
    #[error("the broker refuses message {index} of the batch")]
    Refused {
        /// Which of the frames, from 0.
        index: usize,
        /// Why: `TooLarge` or `Denied`.
        kind: ErrorKind,
    },
    /// Any of the frames may have been sent: the link broke, or the confirmation is overdue.
    #[error("the outcome of the publish is unknown")]
    Unknown(#[source] Error),
    /// The broker takes nothing from anybody now: its memory or its disk is full, say. Any of the frames may have been sent, and all are sent
    /// again in a while. The link is kept; after a moment the node says by [`Event::Degraded`](crate::Event::Degraded), unless it is degraded already, what this error says, so
    /// name what the operator should do. After several [`Unknown`](Self::Unknown) on a link that works, the core holds the frames to be the
    /// cause and drops some of them; after this error it drops none.
    #[error("the broker takes nothing now")]
    NotNow(#[source] Error),
}
