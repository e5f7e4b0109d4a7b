//! What all namespaces of a server share.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use adapter_core::Cluster;

use crate::peers::Peers;

/// The cluster under a socketioxide server, and the timeouts of its operations. `SocketIo::builder().with_adapter(..)` takes it.
/// Clones share the cluster and the counters.
///
/// `cluster.into()` makes one of a [`Cluster`], with the defaults.
#[derive(Clone)]
pub struct State {
    pub(crate) cluster: Arc<dyn adapter_core::adapter::Adapter>,
    pub(crate) emit_timeout: Duration,
    pub(crate) request_timeout: Duration,
    pub(crate) peers: Arc<Peers>,
    pub(crate) refused: Arc<AtomicU64>,
}

impl State {
    /// The cluster, with the defaults.
    pub fn new(cluster: Arc<dyn adapter_core::adapter::Adapter>) -> Self {
        Self {
            cluster,
            emit_timeout: Duration::from_secs(5),
            request_timeout: Duration::from_secs(5),
            peers: Arc::default(),
            refused: Arc::default(),
        }
    }

    /// How long an `emit` waits while the outgoing queue is full; default 5 s. A longer time keeps the
    /// caller longer while the broker is slow; a shorter one gives up earlier. An `emit` never waits for the broker itself.
    #[must_use]
    pub fn emit_timeout(mut self, timeout: Duration) -> Self {
        self.emit_timeout = timeout;
        self
    }

    /// How long `fetch_sockets`, `rooms`, `join`, `leave` and `disconnect` wait for the other nodes; default 5 s. After that they
    /// return what has come, and the missing nodes are logged. Emits with acks have socketioxide's own timeout.
    #[must_use]
    pub fn request_timeout(mut self, timeout: Duration) -> Self {
        self.request_timeout = timeout;
        self
    }

    /// The number of packets and replies of other nodes that were dropped because the parser of this node cannot read them.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }
}

impl From<Arc<dyn adapter_core::adapter::Adapter>> for State {
    fn from(cluster: Arc<dyn adapter_core::adapter::Adapter>) -> Self {
        Self::new(cluster)
    }
}

impl From<Cluster> for State {
    fn from(cluster: Cluster) -> Self {
        Self::new(cluster.into())
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State")
            .field("node", &self.cluster.node())
            .field("emit_timeout", &self.emit_timeout)
            .field("request_timeout", &self.request_timeout)
            .finish_non_exhaustive()
    }
}
