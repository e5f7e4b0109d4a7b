//! The seam to observers, which see what passes and change nothing.

use bytes::Bytes;

use crate::model::{Namespace, NodeId, Packet, SocketChange, Target};

/// Sees what other nodes, emitters and SQL send to the sockets and the servers of every namespace: for tools that show a cluster.
/// [`Cluster::observe`](crate::Cluster::observe) attaches one.
///
/// # Contract
/// - [`saw`](Self::saw) returns without waiting: it is called on the cluster's one reader.
/// - Calls come one after another, and for each sender in the sender's order.
/// - A panic is counted ([`Stats::panics`](crate::Stats::panics)), and the cluster goes on.
pub trait Observer: Send + Sync + 'static {
    /// Something has arrived, and is about to be carried out here.
    fn saw(&self, passed: &Passed<'_>);
}

/// What an [`Observer`] sees. Questions that change nothing (who is in a room, say) are not among it.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Passed<'a> {
    /// Who sent it: a node or an emitter.
    pub from: NodeId,
    /// The namespace it was sent in.
    pub namespace: &'a Namespace,
    /// The sockets it is meant for; `None` if it is meant for the servers.
    pub target: Option<&'a Target>,
    /// What it is.
    pub what: Sight<'a>,
}

/// The kinds of what an [`Observer`] sees.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Sight<'a> {
    /// A packet for sockets.
    Broadcast(&'a Packet),
    /// A packet for sockets, for which the sender waits for acks.
    BroadcastWithAck(&'a Packet),
    /// Sockets join, leave or are disconnected.
    Change(&'a SocketChange),
    /// An event for the other servers.
    #[non_exhaustive]
    ServerEvent {
        /// Its name.
        event: &'a str,
        /// Its data.
        data: &'a Bytes,
    },
}
