//! How a node is configured and started.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::oneshot;

use super::Cluster;
use super::cluster::Inner;
use crate::driver;
use crate::driver::{Bounds, Channels, Core, now};
use crate::engine::{Engine, Settings};
use crate::model::node::MAX_NODE_NAME;
use crate::model::{ClusterName, Error, ErrorKind, Node, NodeId, Result};
use crate::seams::inbox;
use crate::seams::inbox::CloseOnDrop;
use crate::seams::{Channel, Connect, Inbox};

/// Configures a node, then connects it.
#[derive(Clone, Debug)]
#[must_use]
pub struct ClusterBuilder {
    cluster: String,
    node_name: String,
    node_id: Option<NodeId>,
    max_message: usize,
    queue_bytes: usize,
    queue_age: Duration,
    connect_timeout: Duration,
    close_timeout: Duration,
}

impl Default for ClusterBuilder {
    fn default() -> Self {
        Self {
            cluster: "roomcast".to_owned(),
            node_name: String::new(),
            node_id: None,
            max_message: 16 << 20,
            queue_bytes: 64 << 20,
            queue_age: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(10),
            close_timeout: Duration::from_secs(5),
        }
    }
}

impl ClusterBuilder {
    /// The cluster's name: clusters of different names share a broker without seeing each other. Any UTF-8 of 1 to
    /// 1,024 bytes; `roomcast` by default.
    pub fn cluster(mut self, name: impl Into<String>) -> Self {
        self.cluster = name.into();
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

    /// While the broker is away and the oldest message has waited for so long, no more is queued: emitting says
    /// `Unavailable` at once. What is queued is kept all the same, and goes out in order. 30 s by default.
    pub fn queue_age(mut self, age: Duration) -> Self {
        self.queue_age = age;
        self
    }

    /// How long connecting may take in all; 10 s by default.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
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
    /// `Config` for a bad setting; what the backend says (`Config`, `Denied`, `Unavailable`); `Timeout`.
    ///
    /// # Cancel safety
    /// Dropped, nothing is left but what other nodes may have heard of this one.
    pub async fn connect(self, backend: impl Connect) -> Result<Cluster> {
        self.check()?;
        let late = |_| Error::new(ErrorKind::Timeout, "connecting took longer than the connect timeout");
        tokio::time::timeout(self.connect_timeout, self.start(&backend)).await.map_err(late)?
    }

    fn check(&self) -> Result<()> {
        if self.node_name.len() > MAX_NODE_NAME {
            return Err(Error::config("a node's name has at most 255 bytes"));
        }
        check_max_message(self.max_message)?;
        if !(1024..=u32::MAX as usize).contains(&self.queue_bytes) {
            return Err(Error::config("queue_bytes is from 1 KiB to 4 GiB"));
        }
        if self.connect_timeout.is_zero() {
            return Err(Error::config("a connect timeout of zero leaves no time to connect"));
        }
        Ok(())
    }

    async fn start(&self, connect: &impl Connect) -> Result<Cluster> {
        let name = ClusterName::new(self.cluster.as_str())?;
        let id = self.node_id.map_or_else(NodeId::random, Ok)?;
        let node = Node { id, name: self.node_name.clone() };
        let channels = Channels { cluster: Channel::cluster(&name), inbox: Channel::inbox(&name, node.id), name };
        let defaults = Settings::new(node.clone());
        let settings = Settings {
            max_message: self.max_message,
            held_bytes: defaults.held_bytes.max(3 * self.max_message),
            max_answers: defaults.max_answers.max(2 * self.max_message),
            ..defaults
        };
        let bounds =
            inbox::Bounds { messages: 65_536, bytes: settings.held_bytes.max(2 * self.max_message), control: 8192 };
        let inbox = Inbox::new(bounds, Some(node.id));
        let guard = CloseOnDrop::new(inbox.clone());
        let backend = connect.connect(inbox.clone()).await?;
        let wanted = [channels.cluster.clone(), channels.inbox.clone()];
        inbox.want(&wanted);
        backend.subscribe(&wanted).await?;

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
}

/// # Errors
/// `Config` for more than a frame's lengths can say.
pub(crate) fn check_max_message(bytes: usize) -> Result<()> {
    if bytes > 512 << 20 { Err(Error::config("max_message is at most 512 MiB")) } else { Ok(()) }
}
