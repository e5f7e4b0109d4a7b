//! The seam to a server's own sockets.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::protocol::{blob, list, text};
use crate::{NodeId, Packet, Result, Room, SocketId, Target};

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

    /// The same, and asks each of them for an answer. First tells `acks` whom it asks, then each answer as it comes;
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
}

/// Deliveries that local sockets have not taken, by cause. One packet for one socket is one delivery.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LocalDropped {
    /// The socket's queue was full, or the socket was not ready for a volatile packet. A [`Hub`](crate::Hub) counts all
    /// that it drops here.
    pub full: u64,
    /// The socket was gone.
    pub gone: u64,
    /// The packet is not readable for this kind of sockets; counted once for each packet.
    pub unreadable: u64,
}

impl std::ops::AddAssign for LocalDropped {
    fn add_assign(&mut self, other: Self) {
        self.full += other.full;
        self.gone += other.gone;
        self.unreadable += other.unreadable;
    }
}

/// What is asked about each socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Projection {
    /// Id, rooms and data.
    #[default]
    All,
    /// Only the id.
    Ids,
    /// Id and rooms.
    Rooms,
}

/// What local sockets say about one of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LocalSocket {
    /// Its id.
    pub id: SocketId,
    /// Its rooms, with [`Projection::All`] and [`Projection::Rooms`]; the private one is not among them.
    #[serde(with = "list")]
    pub rooms: Vec<Room>,
    /// What the server says of it, in the server's own encoding, with [`Projection::All`].
    #[serde(with = "blob")]
    pub data: Bytes,
}

/// A socket somewhere in the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SocketInfo {
    /// The node it is connected to.
    pub node: NodeId,
    /// Its id.
    pub id: SocketId,
    /// Its rooms, if asked for; the private one is not among them.
    pub rooms: Vec<Room>,
    /// What its server says of it, if asked for.
    pub data: Bytes,
}

/// Why a socket gave no answer, or what it answered instead.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum AckError {
    /// It did not answer in time.
    Timeout,
    /// It disconnected, or its node is gone.
    Gone,
    /// What the server says, in the server's own encoding.
    Other(#[serde(with = "text")] String),
}

/// Where a broadcast's answers go: to the caller here, or on their way to another node. Clones go to the same place.
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

    /// Says which sockets were asked. To be called once, before the first answer.
    pub fn expect(&self, sockets: Vec<SocketId>) {
        self.0.expect(sockets);
    }

    /// Hands over what a socket answered; a second answer of the same socket is dropped.
    pub fn ack(&self, socket: SocketId, answer: Result<Bytes, AckError>) {
        self.0.ack(socket, answer);
    }
}

impl std::fmt::Debug for Acks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Acks")
    }
}
