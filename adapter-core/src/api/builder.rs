//! How a node is configured and started.

use std::sync::Arc;
use std::time::Duration;

use super::{Cluster, connecting};
use crate::model::node::MAX_NODE_NAME;
use crate::model::{Error, NodeId, Result};
use crate::seams::{Connect, TracePropagator};

/// Configures a node, then connects it.
#[derive(Clone, Debug)]
#[must_use]
pub struct ClusterBuilder {
    pub(super) cluster: Option<String>,
    pub(super) node_name: String,
    pub(super) node_id: Option<NodeId>,
    pub(super) max_message: usize,
    pub(super) queue_bytes: usize,
    pub(super) queue_age: Duration,
    pub(super) max_lag: Duration,
    pub(super) connect_timeout: Duration,
    pub(super) when_unreachable: WhenUnreachable,
    pub(super) close_timeout: Duration,
    pub(super) history_bytes: usize,
    pub(super) history_age: Duration,
    pub(super) trace_propagator: Option<Arc<dyn TracePropagator>>,
}

/// What [`ClusterBuilder::connect`] does when the broker cannot be reached.
///
/// This concerns only the start. A node that has connected once reconnects by itself, for ever.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum WhenUnreachable {
    /// Connecting fails with the error of the first failed attempt: `Unavailable`.
    #[default]
    Fail,
    /// Connecting tries again, with pauses of 50 ms that grow to a second, until the connect timeout has passed. Then it returns `Timeout`,
    /// with the last attempt's error as its source. It returns errors that waiting cannot mend, `Config` and `Denied`, at once.
    Wait,
    /// Connecting succeeds without the broker, and the node joins the cluster when the broker comes, without a restart. Connecting waits for the
    /// first attempt, for a second at most, so a node whose broker is there has joined when it returns.
    ///
    /// Until then the node behaves as in an outage. Its namespaces serve their local sockets. Emitted packets wait for the broker within
    /// [`queue_bytes`](ClusterBuilder::queue_bytes) and [`queue_age`](ClusterBuilder::queue_age); beyond that, emitting returns `Unavailable`. Questions
    /// return at once with this node's own part. The other nodes, none of which is known, are one missing
    /// [`NodeId::UNKNOWN`](crate::NodeId::UNKNOWN). [`Cluster::health`] is [`Duration::MAX`], and [`Cluster::events`] begins with
    /// [`Event::Degraded`](crate::Event::Degraded); [`Event::Recovered`](crate::Event::Recovered) tells that it has joined.
    ///
    /// Attempts go on for ever, with pauses of 50 ms that grow to 5 s; each takes the connect timeout at most. If waiting cannot mend the error of the first
    /// attempt, connecting returns it. If waiting cannot mend the error of a later attempt, the node logs it and tells
    /// [`Event::Refused`](crate::Event::Refused), and the pauses grow to 10 s.
    ServeLocally,
}

impl Default for ClusterBuilder {
    fn default() -> Self {
        Self {
            cluster: None,
            node_name: String::new(),
            node_id: None,
            max_message: 16 << 20,
            queue_bytes: 64 << 20,
            queue_age: Duration::from_secs(30),
            max_lag: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(10),
            when_unreachable: WhenUnreachable::default(),
            close_timeout: Duration::from_secs(5),
            history_bytes: 16 << 20,
            history_age: Duration::from_secs(30),
            trace_propagator: None,
        }
    }
}

impl ClusterBuilder {
    /// The cluster's name: any UTF-8 of 1 to 1,024 bytes. Clusters of different names share a broker without seeing each other.
    /// A name given here takes precedence over that of the backend's URL (`?cluster=NAME`). Without either it is `roomcast`.
    pub fn cluster(mut self, name: impl Into<String>) -> Self {
        self.cluster = Some(name.into());
        self
    }

    /// This node's name, for people: at most 255 bytes, empty by default, need not be unique.
    pub fn node_name(mut self, name: impl Into<String>) -> Self {
        self.node_name = name.into();
        self
    }

    /// For simulations, which a seed repeats: this node's id, random by default. Two nodes of one id are one node that
    /// contradicts itself.
    #[doc(hidden)]
    pub fn node_id(mut self, id: NodeId) -> Self {
        self.node_id = Some(id);
        self
    }

    /// The largest packet that is sent, or put together from parts, in bytes; 16 MiB by default, at most 512 MiB. It must be the
    /// same on every node. A receiver may hold several times as much for each sender whose messages come in pieces.
    pub fn max_message(mut self, bytes: usize) -> Self {
        self.max_message = bytes;
        self
    }

    /// The capacity of the outgoing queue in bytes, from 1 KiB to 4 GiB; 64 MiB by default. While it is full, emitting waits (backpressure).
    pub fn queue_bytes(mut self, bytes: usize) -> Self {
        self.queue_bytes = bytes;
        self
    }

    /// How long the oldest message may wait for a broker that is away; 30 s by default. After that nothing more is queued: emitting returns
    /// `Unavailable` at once. Messages that are queued already stay, and go out in order.
    pub fn queue_age(mut self, age: Duration) -> Self {
        self.queue_age = age;
        self
    }

    /// How long received messages may wait while this node's local sockets are too slow; 30 s by default, at least 1 ms.
    ///
    /// When the next message has waited for longer, the node drops everything that waits, requests, joins and replies included, and
    /// goes on with what comes next. [`Event::Gap`](crate::Event::Gap) says how many messages of each sender were missed;
    /// they are not asked for again. Time at the broker, while this node takes nothing more, does not count: a node takes up to
    /// 65,536 messages and 48 MiB. A longer time delivers more, and later.
    pub fn max_lag(mut self, lag: Duration) -> Self {
        self.max_lag = lag;
        self
    }

    /// How many bytes of sent messages are kept, for nodes that miss some and ask for them again; 16 MiB by default, at most 4 GiB. The
    /// oldest make room. A lost message that is not kept any more is reported by [`Event::Gap`](crate::Event::Gap); with 0 that is every lost one.
    pub fn history_bytes(mut self, bytes: usize) -> Self {
        self.history_bytes = bytes;
        self
    }

    /// How long sent messages are kept for repair; 30 s by default. [`history_bytes`](Self::history_bytes) bounds them as well.
    pub fn history_age(mut self, age: Duration) -> Self {
        self.history_age = age;
        self
    }

    /// How long [`connect`](Self::connect) may take in all; 10 s by default. Connecting may fail earlier:
    /// by default the first failed attempt ends it. [`when_unreachable`](Self::when_unreachable) changes that.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// What [`connect`](Self::connect) does when the broker cannot be reached; [`WhenUnreachable::Fail`] by default. With
    /// [`WhenUnreachable::Wait`], a server that starts before its broker waits for it, as long as
    /// [`connect_timeout`](Self::connect_timeout) says; with [`WhenUnreachable::ServeLocally`], it serves its local sockets meanwhile.
    ///
    /// # Examples
    /// ```
    /// # use std::time::Duration;
    /// use roomcast_core::{Cluster, WhenUnreachable};
    ///
    /// let patient = Cluster::builder().when_unreachable(WhenUnreachable::Wait).connect_timeout(Duration::from_secs(60));
    /// ```
    pub fn when_unreachable(mut self, choice: WhenUnreachable) -> Self {
        self.when_unreachable = choice;
        self
    }

    /// How long [`Cluster::close`] waits for the broker to take what is left; 5 s by default.
    pub fn close_timeout(mut self, timeout: Duration) -> Self {
        self.close_timeout = timeout;
        self
    }

    /// Makes what this node sends, and what it delivers, part of the application's traces; by default nothing is. Each message to other nodes then
    /// has a span, and takes the span's context with it: 28 bytes. What arrives with a context is delivered in a span that is the child of the
    /// sender's, if any socket here is meant, and handlers of server events run in it. Answers have no context.
    ///
    /// The caller's span is the one that is current when a call's future is polled first. All spans have the target `roomcast::trace` and the
    /// level `INFO`.
    pub fn trace_propagator(mut self, propagator: impl TracePropagator) -> Self {
        self.trace_propagator = Some(Arc::new(propagator));
        self
    }

    /// Connects. When it returns, this node receives, and knows the nodes that are there. With
    /// [`WhenUnreachable::ServeLocally`] that may come later.
    ///
    /// # Errors
    /// `Config` for a bad setting; the backend's error (`Config`, `Denied`, `Unavailable`); `Timeout` when the connect timeout
    /// has passed, with the last error of the backend as its source if there was one.
    ///
    /// # Cancel safety
    /// Dropping the future leaves nothing behind. Other nodes may have seen this one already; they find it dead.
    pub async fn connect(self, backend: impl Connect) -> Result<Cluster> {
        self.check()?;
        match self.when_unreachable {
            WhenUnreachable::ServeLocally => connecting::serve_locally(&self, backend).await,
            WhenUnreachable::Fail | WhenUnreachable::Wait => connecting::in_time(&self, &backend).await,
        }
    }

    fn check(&self) -> Result<()> {
        if self.node_name.len() > MAX_NODE_NAME {
            return Err(Error::config("a node's name has at most 255 bytes"));
        }
        check_max_message(self.max_message)?;
        if !(1024..=u32::MAX as usize).contains(&self.queue_bytes) {
            return Err(Error::config("queue_bytes is from 1 KiB to 4 GiB"));
        }
        if self.max_lag < Duration::from_millis(1) {
            return Err(Error::config("max_lag is at least 1 ms"));
        }
        if self.history_bytes > u32::MAX as usize {
            return Err(Error::config("history_bytes is at most 4 GiB"));
        }
        if self.connect_timeout.is_zero() {
            return Err(Error::config("a connect timeout of zero leaves no time to connect"));
        }
        Ok(())
    }
}

/// # Errors
/// `Config` for more than a frame's lengths can say.
pub(crate) fn check_max_message(bytes: usize) -> Result<()> {
    if bytes > 512 << 20 { Err(Error::config("max_message is at most 512 MiB")) } else { Ok(()) }
}
