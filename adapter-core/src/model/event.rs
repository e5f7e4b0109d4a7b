//! What happens to the cluster, as seen by one node.

use crate::model::{Node, NodeId};

/// Something that happened to the cluster, as this node sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A node was seen for the first time, or again after it was thought dead.
    NodeUp(Node),
    /// A node said goodbye, or has been silent for too long.
    NodeDown(Node, Departure),
    /// Messages of a node were lost and cannot be had any more. They will never be delivered later.
    Gap {
        /// Whose messages.
        node: NodeId,
        /// Sent to whom.
        channel: GapChannel,
        /// How many; `None` when that cannot be known (a node died, and what it sent last was not heard).
        count: Option<u64>,
    },
    /// The link to the broker is down or silent: remote sockets get what is sent from now on later, or not.
    Degraded(String),
    /// The link is there again.
    Recovered,
    /// Somebody publishes frames in this node's name: a stranger who can write to the broker. This node says at once that it
    /// lives, and the others believe that. Told at most every ten seconds; [`Stats::impersonated`](crate::Stats::impersonated) counts the frames.
    Impersonated,
    /// The reader of these events was too slow, and this many were dropped.
    Missed(u64),
}

/// How a node went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Departure {
    /// It closed.
    Left,
    /// It fell silent.
    Died,
}

/// On which channel messages were lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum GapChannel {
    /// The channel of the whole cluster: broadcasts, joins, leaves, disconnects, questions.
    Cluster,
    /// This node's inbox: answers.
    Inbox,
}
