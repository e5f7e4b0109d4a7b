//! How a node is configured and started.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::oneshot;

use super::Cluster;
use super::cluster::Inner;
use crate::driver;
use crate::driver::{Bounds, Channels, Core, now};
use crate::engine::{Engine, Keep, Settings};
use crate::kit::Backoff;
use crate::model::node::MAX_NODE_NAME;
use crate::model::{Error, ErrorKind, Node, NodeId, Result, causes};
use crate::seams::inbox;
use crate::seams::inbox::CloseOnDrop;
use crate::seams::{Backend, Channel, Connect, Inbox, cluster_name};

/// Configures a node, then connects it.
#[derive(Clone, Debug)]
#[must_use]
pub struct ClusterBuilder {
    cluster: Option<String>,
    node_name: String,
    node_id: Option<NodeId>,
    max_message: usize,
    queue_bytes: usize,
    queue_age: Duration,
    connect_timeout: Duration,
    when_unreachable: WhenUnreachable,
    close_timeout: Duration,
    history_bytes: usize,
    history_age: Duration,
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
    /// [`connect_timeout`](Self::connect_timeout) says.
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

    /// Connects. When it returns, this node receives, and knows the nodes that were there.
    ///
    /// # Errors
    /// `Config` for a bad setting; what the backend says (`Config`, `Denied`, `Unavailable`); `Timeout` when the connect timeout
    /// has passed, with the last error of the backend as its source if there was one.
    ///
    /// # Cancel safety
    /// Dropped, nothing is left but what other nodes may have heard of this one.
    pub async fn connect(self, backend: impl Connect) -> Result<Cluster> {
        self.check()?;
        let mut failed = None;
        let connected = tokio::time::timeout(self.connect_timeout, self.start(&backend, &mut failed)).await;
        connected.unwrap_or_else(|_| {
            let late = Error::new(ErrorKind::Timeout, "connecting took longer than the connect timeout");
            Err(match failed {
                Some(cause) => late.with_source(cause),
                None => late,
            })
        })
    }

    fn check(&self) -> Result<()> {
        if self.node_name.len() > MAX_NODE_NAME {
            return Err(Error::config("a node's name has at most 255 bytes"));
        }
        check_max_message(self.max_message)?;
        if !(1024..=u32::MAX as usize).contains(&self.queue_bytes) {
            return Err(Error::config("queue_bytes is from 1 KiB to 4 GiB"));
        }
        if self.history_bytes > u32::MAX as usize {
            return Err(Error::config("history_bytes is at most 4 GiB"));
        }
        if self.connect_timeout.is_zero() {
            return Err(Error::config("a connect timeout of zero leaves no time to connect"));
        }
        Ok(())
    }

    /// `failed` takes the error of each attempt after which another one is made.
    async fn start(&self, connect: &impl Connect, failed: &mut Option<Error>) -> Result<Cluster> {
        let name = cluster_name(self.cluster.as_deref(), connect)?;
        let id = self.node_id.map_or_else(NodeId::random, Ok)?;
        let node = Node { id, name: self.node_name.clone() };
        let channels = Channels { cluster: Channel::cluster(&name), inbox: Channel::inbox(&name, node.id), name };
        let defaults = Settings::new(node.clone());
        let settings = Settings {
            max_message: self.max_message,
            held_bytes: defaults.held_bytes.max(3 * self.max_message),
            max_answers: defaults.max_answers.max(2 * self.max_message),
            keep_sent: Keep { bytes: self.history_bytes, age: self.history_age },
            ..defaults
        };
        let bounds =
            inbox::Bounds { messages: 65_536, bytes: settings.held_bytes.max(2 * self.max_message), control: 8192 };
        let wanted = [channels.cluster.clone(), channels.inbox.clone()];
        let (backend, inbox, guard) = self.reach(connect, node.id, bounds, &wanted, failed).await?;

        let settings = Settings { ordered: backend.capabilities().ordered, ..settings };
        let engine = Engine::new(settings, backend.limits(), now());
        let bounds = Bounds { max_message: self.max_message, queue: self.queue_bytes, queue_age: self.queue_age };
        let (ready, is_ready) = oneshot::channel();
        let core = Arc::new(Core::new(node, channels, bounds, 256, backend, inbox.clone(), engine, ready));
        let tasks = driver::start(&core);
        let inner =
            Inner { core, tasks: Mutex::new(tasks), close_timeout: self.close_timeout, farewell: Default::default() };
        guard.disarm(); // the cluster closes the inbox from now on
        let cluster = Cluster(Arc::new(inner));
        is_ready.await.map_err(|_| Error::unexpected("the node's reader has ended"))?;
        Ok(cluster)
    }

    /// Connects and subscribes, in as many attempts as `when_unreachable` says.
    async fn reach(
        &self,
        connect: &impl Connect,
        me: NodeId,
        bounds: inbox::Bounds,
        wanted: &[Channel],
        failed: &mut Option<Error>,
    ) -> Result<(Arc<dyn Backend>, Inbox, CloseOnDrop)> {
        let mut backoff = Backoff::default();
        loop {
            // A new inbox each time: the old one has heard of a link that is gone.
            let inbox = Inbox::new(bounds, Some(me));
            let guard = CloseOnDrop::new(inbox.clone());
            let attempt = async {
                let backend = connect.connect(inbox.clone()).await?;
                inbox.want(wanted);
                backend.subscribe(wanted).await?;
                Ok(backend)
            };
            match attempt.await {
                Ok(backend) => return Ok((backend, inbox, guard)),
                Err(error) if self.waits_after(&error) => {
                    if failed.is_none() {
                        let cause = causes(&error).last().map(ToString::to_string).unwrap_or_default();
                        tracing::warn!(%cause, "connecting is tried again: {error}");
                    }
                    *failed = Some(error);
                }
                Err(error) => return Err(error),
            }
            drop(guard);
            backoff.wait().await;
        }
    }

    fn waits_after(&self, error: &Error) -> bool {
        self.when_unreachable == WhenUnreachable::Wait
            && matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Timeout)
    }
}

/// # Errors
/// `Config` for more than a frame's lengths can say.
pub(crate) fn check_max_message(bytes: usize) -> Result<()> {
    if bytes > 512 << 20 { Err(Error::config("max_message is at most 512 MiB")) } else { Ok(()) }
}
