//! What a node knows of itself and of its cluster.

use std::time::Duration;

use serde::Serialize;
use serde::ser::Serializer;

use crate::model::{BrokerInfo, LocalDropped, Node, Stats};

/// One snapshot of a node: its link to the broker, the other nodes, its queues and its counters.
///
/// It has no secrets: neither URLs nor passwords, nor names of rooms or sockets. Serialised, durations are seconds, and a node is
/// `{"id": "32 hexadecimal digits", "name": ".."}`.
///
/// # Examples
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> roomcast_core::Result<()> {
/// use roomcast_core::{Cluster, Memory, NodeState};
///
/// let cluster = Cluster::builder().node_name("web-1").connect(Memory::named("shop")).await?;
/// let status = cluster.status();
/// assert_eq!((status.state, status.node.name.as_str(), status.nodes.len()), (NodeState::Up, "web-1", 0));
/// println!("{}", serde_json::to_string_pretty(&status).expect("a status is JSON"));
/// # cluster.close().await }
/// ```
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Status {
    /// The cluster's name.
    pub cluster: String,
    /// This node.
    pub node: Node,
    /// How this node stands.
    pub state: NodeState,
    /// For how long it has been in this state.
    #[serde(rename = "state_seconds", serialize_with = "seconds")]
    pub state_for: Duration,
    /// The broker that this node is connected to, or was last, with its version; `None` when it did not say.
    pub broker: Option<BrokerInfo>,
    /// How often the link to the broker was down or silent since this node connected.
    pub outages: u64,
    /// Attempts to connect to the broker again, those that failed and those that succeeded. Backends that do not use
    /// [`Keeper`](crate::backend::Keeper) count none.
    pub connect_attempts: u64,
    /// Why the link was down last, or why connecting was refused last; `None` when neither has happened.
    pub last_error: Option<String>,
    /// [`Cluster::health`](crate::Cluster::health); `None` before the node has joined.
    #[serde(rename = "health_seconds", serialize_with = "maybe_seconds")]
    pub health: Option<Duration>,
    /// How long the newest heartbeat or probe took through the broker and back; `None` before the first one. This node sends one
    /// of each a second, in clusters of more than 64 nodes fewer heartbeats.
    #[serde(rename = "round_trip_seconds", serialize_with = "maybe_seconds")]
    pub round_trip: Option<Duration>,
    /// The other nodes that are alive, as far as this one knows.
    pub nodes: Vec<NodeStatus>,
    /// What waits for the broker.
    pub queue: QueueStatus,
    /// What was sent and delivered in each namespace. At most 100 namespaces are told apart; the later ones share one row whose
    /// namespace is `other`.
    pub namespaces: Vec<NamespaceStatus>,
    /// What was counted since this node connected.
    pub stats: Stats,
}

/// How a node stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum NodeState {
    /// It began without its broker ([`WhenUnreachable::ServeLocally`](crate::WhenUnreachable::ServeLocally)) and has not joined yet.
    Joining,
    /// It hears the cluster, and the cluster hears it.
    Up,
    /// The link to the broker is down or silent. Local sockets are served.
    Degraded,
    /// It has been closed.
    Closed,
}

/// Another node, as this one sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct NodeStatus {
    /// The node.
    #[serde(flatten)]
    pub node: Node,
    /// How long ago it was heard last, to a quarter of a second. The clock stands still while this node's own link is in doubt.
    #[serde(rename = "heard_seconds", serialize_with = "seconds")]
    pub heard: Duration,
}

/// What waits for the broker.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct QueueStatus {
    /// Messages that wait, or are under way.
    pub messages: u64,
    /// The bytes that they take of the queue.
    pub bytes: u64,
    /// The bytes that the queue takes ([`ClusterBuilder::queue_bytes`](crate::ClusterBuilder::queue_bytes)).
    pub max_bytes: u64,
    /// For how long the oldest of them has waited.
    #[serde(rename = "oldest_seconds", serialize_with = "seconds")]
    pub oldest: Duration,
}

/// What was sent and delivered in one namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct NamespaceStatus {
    /// Its name, or `other`.
    pub namespace: String,
    /// Operations that this node has queued for other nodes.
    pub sent: u64,
    /// Broadcasts of other nodes that were handed to this node's sockets.
    pub delivered: u64,
    /// Deliveries that this node's own sockets have not taken. A hub that is attached to several namespaces counts in each of them.
    pub dropped: LocalDropped,
}

fn seconds<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(duration.as_secs_f64())
}

fn maybe_seconds<S: Serializer>(duration: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    duration.map(|duration| duration.as_secs_f64()).serialize(serializer)
}
