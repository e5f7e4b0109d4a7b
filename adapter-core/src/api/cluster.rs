//! The cluster as an application holds it.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

use super::{ClusterBuilder, Events, NamespaceHandle};
use crate::driver::{Core, deadline, now};
use crate::engine::Engine;
use crate::model::{Error, ErrorKind, Namespace, Node, Result, Stats, Status};
use crate::seams::{Adapter, Connect, LocalSockets, Observer};

/// How long the goodbye may take at least.
const GOODBYE: Duration = Duration::from_millis(200);
/// How long the others have, once it is said, to ask for what they miss.
const CONFIRMED: Duration = Duration::from_secs(1);

/// One node's connection to its cluster. Clones are the same connection.
///
/// Dropping the last clone (namespace handles count as clones) stops the node without a goodbye: the others notice its
/// silence within three seconds. [`close`](Self::close) is the clean end.
///
/// # Examples
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), roomcast_core::Error> {
/// use roomcast_core::{Cluster, Hub, Memory};
///
/// let cluster = Cluster::connect(Memory::named("shop")).await?;
/// let hub = Hub::new();
/// let chat = cluster.namespace("/chat", hub.clone()).await?;
///
/// let mut socket = hub.connect()?;
/// socket.join("lobby")?;
/// chat.to("lobby").emit("hello").await?; // reaches the lobby on every node
/// assert_eq!(socket.next().await.expect("connected").packet.data, "hello");
/// # cluster.close().await }
/// ```
#[derive(Clone)]
pub struct Cluster(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) core: Arc<Core>,
    /// The reader and the writer: ended by `close`, or with the last clone.
    pub(super) tasks: Mutex<Vec<JoinHandle<()>>>,
    pub(super) close_timeout: Duration,
    /// How far `close` has come. Held by the call that goes on with it.
    pub(super) farewell: tokio::sync::Mutex<Farewell>,
}

/// How far a node has left its cluster.
#[derive(Default)]
pub(super) enum Farewell {
    #[default]
    Unsaid,
    /// The others know, as far as they can be told.
    Said,
    /// Nothing of the node runs any more, and the backend is closed.
    Over,
}

impl Cluster {
    /// Connects with the defaults of [`ClusterBuilder`]. When it returns, this node receives, and knows the others.
    ///
    /// # Errors
    /// Those of [`ClusterBuilder::connect`].
    pub async fn connect(backend: impl Connect) -> Result<Self> {
        Self::builder().connect(backend).await
    }

    /// Configures a node: its name, the cluster's name, limits and timeouts.
    pub fn builder() -> ClusterBuilder {
        ClusterBuilder::default()
    }

    /// Makes local sockets part of a namespace, and returns the handle to emit with. The sockets are served until every clone
    /// of the handle is dropped.
    ///
    /// Call it once for each set of sockets, and clone the handle for every place that emits. If a set were attached twice, each socket would
    /// get everything twice, so that is refused:
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> roomcast_core::Result<()> {
    /// use roomcast_core::{Cluster, ErrorKind, Hub, Memory};
    ///
    /// let (cluster, hub) = (Cluster::connect(Memory::new()).await?, Hub::new());
    /// let chat = cluster.namespace("/chat", hub.clone()).await?;
    /// let for_a_handler = chat.clone(); // and not another `cluster.namespace("/chat", hub.clone())`
    /// let only_to_emit = cluster.of("/chat")?; // also a way, where no handle is at hand
    ///
    /// let twice = cluster.namespace("/chat", hub.clone()).await;
    /// assert_eq!(twice.expect_err("refused").kind(), ErrorKind::Config);
    /// # Ok(()) }
    /// ```
    /// Different sets of sockets may share a namespace: all are served.
    ///
    /// # Errors
    /// `Config` for a bad name, or for sockets that are attached to this namespace already (as their
    /// [`key`](LocalSockets::key) tells). `Closed` after [`close`](Self::close).
    pub async fn namespace<N>(&self, name: N, local: impl LocalSockets) -> Result<NamespaceHandle>
    where
        N: TryInto<Namespace, Error: Into<Error>>,
    {
        let name = name.try_into().map_err(Into::into)?;
        let attachment = self.attach(&name, Arc::new(local))?;
        Ok(NamespaceHandle::new(Arc::new(self.clone()), name, Some(attachment)))
    }

    /// A handle to a namespace that attaches no sockets: this node has none there, or they are attached elsewhere.
    ///
    /// # Errors
    /// `Config` for a bad name.
    pub fn of<N>(&self, name: N) -> Result<NamespaceHandle>
    where
        N: TryInto<Namespace, Error: Into<Error>>,
    {
        let name = name.try_into().map_err(Into::into)?;
        Ok(NamespaceHandle::new(Arc::new(self.clone()), name, None))
    }

    /// Shows what the others send, in every namespace and also to sockets of one node alone, to an observer: for tools such as the
    /// command `roomcast watch`. What this node sends itself is not shown. The observer is kept as long as the node is.
    ///
    /// A node that observes is a node all the same: the others see it come and go, and count it.
    ///
    /// # Errors
    /// `Config` when there is one already. `Closed`.
    pub fn observe(&self, observer: impl Observer) -> Result<()> {
        self.core().check_open()?;
        let twice = |_| Error::config("this node has an observer already");
        self.core().observer.set(Box::new(observer)).map_err(twice)
    }

    /// This node.
    pub fn node(&self) -> Node {
        Adapter::node(self)
    }

    /// The live nodes, as far as this one knows; this node first.
    pub fn nodes(&self) -> Vec<Node> {
        Adapter::nodes(self)
    }

    /// What happens to the cluster from now on. If the node is degraded already, the first event says so
    /// ([`Event::Degraded`](crate::Event::Degraded)). Each reader has a queue of its own, of 256 events. A reader that is too slow
    /// is told how many it missed ([`Event::Missed`](crate::Event::Missed)).
    pub fn events(&self) -> Events {
        let (first, events) = self.core().read_events();
        Events::new(first, events)
    }

    /// The time since this node last received its own heartbeat and its own probe through the broker; the older of the two.
    /// Below 1.5 s all is well. It grows while the broker is away, and is [`Duration::MAX`] before a node
    /// that began without its broker has joined.
    pub fn health(&self) -> Duration {
        let engine = self.core().engine();
        if engine.is_joining() { Duration::MAX } else { engine.health(now()) }
    }

    /// One snapshot of this node: the state of its link, the other nodes, its queues and its counters. It can be serialised, and
    /// also tells what happened before anybody read [`events`](Self::events). Works after [`close`](Self::close) as well.
    pub fn status(&self) -> Status {
        self.core().status()
    }

    /// What this node has counted since it connected.
    pub fn stats(&self) -> Stats {
        self.core().stats()
    }

    /// Waits until the broker has every message that was emitted before this call, or has refused it for good
    /// ([`Stats::refused`] counts those).
    ///
    /// # Errors
    /// `Timeout` when that takes longer than `timeout`; the messages still wait, and are sent. `Closed` after [`close`](Self::close).
    ///
    /// # Cancel safety
    /// Safe: the messages are sent in any case.
    pub async fn flush(&self, timeout: Duration) -> Result<()> {
        self.core().check_open()?;
        self.flush_until(deadline(timeout)).await
    }

    async fn flush_until(&self, until: Instant) -> Result<()> {
        let core = self.core();
        let (all, _) = core.engine().progress();
        let sent = async {
            loop {
                let sent = core.sent.notified();
                tokio::pin!(sent);
                sent.as_mut().enable();
                if core.engine().progress().1 >= all {
                    return;
                }
                sent.await;
            }
        };
        let late = |_| Error::new(ErrorKind::Timeout, "the broker did not take everything within the timeout");
        tokio::time::timeout_at(until.into(), sent).await.map_err(late)
    }

    /// Leaves the cluster. It hands what waits to the broker, says goodbye, and waits until every live node has confirmed that it misses
    /// nothing of what this node has sent (for a second at most). Then it ends everything that this node has here and on the broker.
    /// Other calls fail with `Closed` from then on. Closing again waits for the end of the first call, and does nothing else.
    ///
    /// # Errors
    /// `Timeout` when the broker did not take everything within the close timeout (5 s by default), or the backend's error.
    /// In both cases the node is closed.
    ///
    /// # Cancel safety
    /// If the future is dropped half-way, the node refuses calls. Another `close` continues where it stopped. Without one the node's tasks end
    /// with the last clone.
    pub async fn close(&self) -> Result<()> {
        let core = self.core();
        core.close();
        core.stop_reserving();
        let mut farewell = self.0.farewell.lock().await;
        let until = deadline(self.0.close_timeout);
        let mut said = Ok(());
        match *farewell {
            Farewell::Unsaid => {
                said = self.say_farewell(until).await;
                *farewell = Farewell::Said;
            }
            Farewell::Said => {}
            Farewell::Over => return Ok(()),
        }
        self.end_tasks().await;
        let patience = until.max(now() + Duration::from_secs(1));
        let late = |_| Error::new(ErrorKind::Timeout, "the backend did not close within the timeout");
        let closed = tokio::time::timeout_at(patience.into(), core.backend.close())
            .await
            .map_err(late)
            .and_then(|closed| closed);
        *farewell = Farewell::Over;
        said.and(closed)
    }

    /// Hands what waits to the broker, and then the goodbye.
    async fn say_farewell(&self, until: Instant) -> Result<()> {
        let core = self.core();
        let flushed = self.flush_until(until).await;
        if core.engine().is_joining() {
            return flushed; // nobody knows this node
        }
        core.engine().say_bye(now());
        core.work.notify_one();
        core.sooner.notify_one(); // what this node waited for is lost now, and told
        // However long flushing took, the goodbye gets its time: without it the others wait for us.
        let until = until.max(now() + GOODBYE);
        let said = self.wait_until(until, Engine::has_said_bye).await;
        if said.is_ok() {
            // Who has not confirmed by then reports what it misses.
            let _ = self.wait_until(until.min(now() + CONFIRMED), Engine::has_left).await;
        }
        flushed.and(said)
    }

    /// Ends what runs for this node, and whatever waits for it.
    async fn end_tasks(&self) {
        let core = self.core();
        core.registry.clear();
        let tasks = std::mem::take(&mut *self.0.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        for task in &tasks {
            task.abort();
        }
        for task in tasks {
            let _ = task.await; // aborted, or ended
        }
        core.end_questions();
        core.log_left(now());
        core.inbox.close();
        core.end_events();
    }

    /// Waits until this is true of the goodbye.
    async fn wait_until(&self, until: Instant, is_true: impl Fn(&Engine) -> bool) -> Result<()> {
        let core = self.core();
        let idle = async {
            loop {
                let sent = core.sent.notified();
                tokio::pin!(sent);
                sent.as_mut().enable();
                if is_true(&core.engine()) {
                    return;
                }
                sent.await;
            }
        };
        let late = |_| Error::new(ErrorKind::Timeout, "the broker did not take the goodbye within the timeout");
        tokio::time::timeout_at(until.into(), idle).await.map_err(late)
    }

    pub(super) fn core(&self) -> &Arc<Core> {
        &self.0.core
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.core.inbox.close();
        for task in self.tasks.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            task.abort();
        }
    }
}

impl From<Cluster> for Arc<dyn Adapter> {
    fn from(cluster: Cluster) -> Self {
        Arc::new(cluster)
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster").field("name", &self.core().channels.name).field("node", &self.core().node).finish()
    }
}
