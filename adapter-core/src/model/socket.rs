//! What is said about sockets.

use std::fmt;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::model::serial::{blob, list, text};
use crate::model::{NodeId, Room, SocketId};

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
    /// Id and data.
    Data,
}

impl Projection {
    /// Whether the rooms are asked for.
    pub fn has_rooms(self) -> bool {
        matches!(self, Self::All | Self::Rooms)
    }

    /// Whether the data is asked for.
    pub fn has_data(self) -> bool {
        matches!(self, Self::All | Self::Data)
    }
}

/// What local sockets say about one of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LocalSocket {
    /// Its id.
    pub id: SocketId,
    /// Its rooms, if asked for; the private one is not among them.
    #[serde(with = "list")]
    pub rooms: Vec<Room>,
    /// What the server says of it, in the server's own encoding, if asked for.
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

impl fmt::Display for AckError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Timeout => f.write_str("the socket did not answer in time"),
            Self::Gone => f.write_str("the socket disconnected, or its node is gone"),
            Self::Other(said) => write!(f, "the socket's server says: {said}"),
        }
    }
}

impl std::error::Error for AckError {}

/// Deliveries that local sockets have not taken, by cause. One packet for one socket is one delivery.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
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
