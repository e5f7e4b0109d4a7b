//! How a node is configured and started.

use std::time::Duration;

use super::{Cluster, connecting};
use crate::model::node::MAX_NODE_NAME;
use crate::model::{Error, NodeId, Result};
use crate::seams::Connect;

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
}

/// What [`ClusterBuilder::connect`] does when the broker cannot be reached.
///
/// It is about the start alone. A node that has connected once reconnects by itself, for ever.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum WhenUnreachable {
    /// The first attempt that fails is the result: `Unavailable`.
    #[default]
    Fail,
    /// Tries again, with pauses of 50 ms that grow to a second, until the connect timeout has passed: then `Timeout`, with the
    /// last attempt's error as its source. Errors that waiting cannot mend, `Config` and `Denied`, are the result at once.
    Wait,
    /// Connecting returns all the same, and the node joins the cluster when the broker comes, without a restart. It waits for the
    /// first attempt, a second at the most; a broker that is there is joined before it returns.
    ///
    /// Until then the node is as in an outage. Its namespaces serve their local sockets. What is emitted waits for the broker within
    /// [`queue_bytes`](ClusterBuilder::queue_bytes) and [`queue_age`](ClusterBuilder::queue_age), then is `Unavailable`. Questions
    /// return at once with this node's own part, and the others, none of which is known, as one missing
    /// [`NodeId::UNKNOWN`](crate::NodeId::UNKNOWN). [`Cluster::health`] is [`Duration::MAX`], and [`Cluster::events`] begins with
    /// [`Event::Degraded`](crate::Event::Degraded); [`Event::Recovered`](crate::Event::Recovered) tells that it has joined.
    ///
    /// Attempts go on for ever, with pauses of 50 ms that grow to 5 s, each for the connect timeout at the most. An error of the first
    /// attempt that waiting cannot mend is the result of connecting; that of a later one is an
    /// [`Event::Refused`](crate::Event::Refused) and in the log, and the pauses are then up to 10 s.
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
        }
    }
}

impl ClusterBuilder {
    /// The cluster's name: clusters of different names share a broker without seeing each other. Any UTF-8 of 1 to
    /// 1,024 bytes. Without it, the name comes from the backend's URL (`?cluster=NAME`), and is `roomcast` if the URL has none.
    /// A name given here counts more than that of the URL.
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

    /// The largest packet that is sent, or put together from parts, in bytes; 16 MiB by default, at most 512 MiB. Must be the
    /// same on every node. A receiver may hold several times as much for each sender whose messages come in pieces.
    pub fn max_message(mut self, bytes: usize) -> Self {
        self.max_message = bytes;
        self
    }

    /// How many bytes wait for the broker at the most, from 1 KiB to 4 GiB; 64 MiB by default. When they do, emitting waits.
    pub fn queue_bytes(mut self, bytes: usize) -> Self {
        self.queue_bytes = bytes;
        self
    }

    /// While the broker is away and the oldest message has waited this long, no more is queued: emitting says
    /// `Unavailable` at once. What is queued is kept all the same, and goes out in order. 30 s by default.
    pub fn queue_age(mut self, age: Duration) -> Self {
        self.queue_age = age;
        self
    }

    /// How long what has arrived may wait here because this node's local sockets take too long; 30 s by default, at least 1 ms.
    ///
    /// When the next message has waited for longer, everything that waits is dropped, questions, joins and answers among it, and
    /// the node goes on with what comes next. [`Event::Gap`](crate::Event::Gap) says of each sender how many messages were missed;
    /// they are not asked for again. What waits at the broker, while this node takes nothing more, is not counted: the bounds of a
    /// node are 65,536 messages and 48 MiB. A longer time delivers more, and later.
    pub fn max_lag(mut self, lag: Duration) -> Self {
        self.max_lag = lag;
        self
    }

    /// How many bytes of what was sent are kept for nodes that miss it and ask for it again; 16 MiB by default, at most 4 GiB. The
    /// oldest make room. What is not kept any more is reported by [`Event::Gap`](crate::Event::Gap); with 0, all that is lost is.
    pub fn history_bytes(mut self, bytes: usize) -> Self {
        self.history_bytes = bytes;
        self
    }

    /// For how long it is kept; 30 s by default.
    pub fn history_age(mut self, age: Duration) -> Self {
        self.history_age = age;
        self
    }

    /// How long [`connect`](Self::connect) may take in all; 10 s by default. It is a limit, and connecting may fail earlier:
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
    /// use adapter_core::{Cluster, WhenUnreachable};
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

    /// Connects. When it returns, this node receives, and knows the nodes that were there; with
    /// [`WhenUnreachable::ServeLocally`] that may come later.
    ///
    /// # Errors
    /// `Config` for a bad setting; what the backend says (`Config`, `Denied`, `Unavailable`); `Timeout` when the connect timeout
    /// has passed, with the last error of the backend as its source if there was one.
    ///
    /// # Cancel safety
    /// Dropped, nothing is left but what other nodes may have heard of this one.
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
