//! The seam to a server's own sockets.

use std::sync::Arc;
use std::time::Duration;

use crate::model::{AckError, LocalDropped, LocalSocket, Packet, Projection, Result, Room, SocketId, Target};
use bytes::Bytes;

/// The sockets that one server holds in one namespace: socketioxide's, a [`Hub`](crate::Hub)'s, or your own.
///
/// # Contract
/// - Every method returns without waiting: they are called on the cluster's one reader, and a socket that does not
///   read must never hold up the others. What a socket cannot take at once goes into its own bounded queue, or is lost
///   by its declared policy.
/// - Calls come one after another for each sender, in the sender's order; calls for different senders may overlap.
/// - A method must not call back into the cluster and wait for it.
/// - `target.node` was already checked.
pub trait LocalSockets: Send + Sync + 'static {
    /// Gives the packet to every socket that the target means, once each.
    fn broadcast(&self, target: &Target, packet: &Packet);

    /// The same, and asks each of them for a reply. First tells `acks` which sockets it asks, then each reply as it comes;
    /// after `timeout` it gives up on the rest. The part of this node ends when the last clone of `acks` is dropped.
    fn broadcast_with_ack(&self, target: &Target, packet: &Packet, timeout: Duration, acks: Acks);

    /// Puts every socket that the target means into these rooms.
    fn join(&self, target: &Target, rooms: &[Room]);

    /// Takes every socket that the target means out of these rooms.
    fn leave(&self, target: &Target, rooms: &[Room]);

    /// Disconnects every socket that the target means. What was sent to them before is delivered first.
    fn disconnect(&self, target: &Target);

    /// Describes every socket that the target means, as far as asked for.
    fn sockets(&self, target: &Target, projection: Projection) -> Vec<LocalSocket>;

    /// How many sockets the target means.
    fn count(&self, target: &Target) -> u64 {
        self.sockets(target, Projection::Ids).len() as u64
    }

    /// The rooms that the sockets which the target means are in, each once.
    fn rooms(&self, target: &Target) -> Vec<Room>;

    /// How many deliveries these sockets have not taken since they were made, by cause. One packet for one socket is one
    /// delivery. The numbers only grow; [`Stats::local_dropped`](crate::Stats::local_dropped) adds them up.
    fn dropped(&self) -> LocalDropped {
        LocalDropped::default()
    }

    /// Whether these sockets can read such a packet at all. It is asked before this node sends the packet; if all local
    /// sockets of the namespace refuse it, nothing is sent, and the caller gets the error.
    ///
    /// # Errors
    /// `Config`, which says what to send instead.
    fn check(&self, packet: &Packet) -> Result<()> {
        let _ = packet;
        Ok(())
    }

    /// Tells these sockets from all others of the process: the same for every clone that stands for the same sockets.
    /// The address of what the clones share is one. Two with the same key cannot be attached to one namespace, since
    /// each socket would get everything twice. `None`, the default, is never the same.
    fn key(&self) -> Option<usize> {
        None
    }
}

/// Where the replies to a broadcast go: to the caller on this node, or to another node. Clones go to the same place.
#[derive(Clone)]
pub struct Acks(Arc<dyn AckSink>);

/// What is behind [`Acks`]. Dropping it ends this node's part.
pub(crate) trait AckSink: Send + Sync + 'static {
    fn expect(&self, sockets: Vec<SocketId>);
    fn ack(&self, socket: SocketId, answer: Result<Bytes, AckError>);
}

impl Acks {
    pub(crate) fn new(sink: impl AckSink) -> Self {
        Self(Arc::new(sink))
    }

    /// Says which sockets were asked. To be called once, before the first reply.
    pub fn expect(&self, sockets: Vec<SocketId>) {
        self.0.expect(sockets);
    }

    /// Hands over the reply of a socket; a second reply of the same socket is dropped.
    pub fn ack(&self, socket: SocketId, answer: Result<Bytes, AckError>) {
        self.0.ack(socket, answer);
    }
}

impl std::fmt::Debug for Acks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Acks")
    }
}
