//! What came back from peers, and who is missing.

use std::fmt;

use serde::Serialize;

use crate::model::{NodeId, node};

/// The replies to a question that every node was asked, and the nodes that did not reply.
///
/// A partial result is data, not an error: `items` holds what came, `missing` names the nodes that did not reply, and why.
/// Nodes that joined after the question are in neither.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[must_use = "`missing` names the nodes that did not do what was asked, or did not reply"]
pub struct Gathered<T> {
    /// What the nodes replied, this node's own part first.
    pub items: Vec<T>,
    /// The nodes that did not reply.
    pub missing: Vec<MissingNode>,
}

/// A node that did not reply, and why. Serialised, it is `{"node": "32 hexadecimal digits", "reason": "timeout"}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[non_exhaustive]
pub struct MissingNode {
    /// The node; [`NodeId::UNKNOWN`] for all others together while this node has not met them yet.
    #[serde(serialize_with = "node::digits")]
    pub node: NodeId,
    /// Why it did not reply.
    pub reason: MissingReason,
}

/// Why a node's reply is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum MissingReason {
    /// It had not replied at the timeout.
    Timeout,
    /// It was found dead.
    Died,
    /// It left the cluster.
    Left,
    /// It runs a version that does not know the question.
    Unsupported,
    /// It has no handler for the event, or its queue for questions or replies is full, or its handler panicked.
    NoHandler,
    /// This node's link to the broker was down when it asked, so no reply could come. A question that changes something
    /// (`join_sockets`, `leave_sockets`, `disconnect_sockets`, an emit with acks, a server event) is still queued, and goes out when the
    /// link is back.
    Unreachable,
}

impl fmt::Display for MissingReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Timeout => "no reply in time",
            Self::Died => "the node died",
            Self::Left => "the node left the cluster",
            Self::Unsupported => "the node's version does not know the request",
            Self::NoHandler => "the node has no handler for the event, or its queue was full, or the handler panicked",
            Self::Unreachable => "this node's link to the broker was down",
        })
    }
}

impl fmt::Display for MissingNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "node {}: {}", self.node, self.reason)
    }
}

impl MissingNode {
    /// For implementations of [`Adapter`](crate::adapter::Adapter): this node, for this reason.
    pub const fn new(node: NodeId, reason: MissingReason) -> Self {
        Self { node, reason }
    }
}

impl<T> Gathered<T> {
    /// For implementations of [`Adapter`](crate::adapter::Adapter): these replies, without those of the nodes that are missing.
    pub const fn new(items: Vec<T>, missing: Vec<MissingNode>) -> Self {
        Self { items, missing }
    }

    /// Whether every node that was asked has replied.
    pub fn is_complete(&self) -> bool {
        self.missing.is_empty()
    }
}

impl Gathered<(NodeId, u64)> {
    /// The sum over the nodes that replied.
    pub fn total(&self) -> u64 {
        self.items.iter().map(|(_, count)| count).sum()
    }
}
