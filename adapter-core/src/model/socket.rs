//! What is said about sockets.

use std::fmt;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::model::serial::{blob, list, text};
use crate::model::{NodeId, Room, SocketId};

/// What a question asks about each socket.
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

/// A socket as its server describes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LocalSocket {
    /// Its id.
    pub id: SocketId,
    /// Its rooms without its private one, if asked for.
    #[serde(with = "list")]
    pub rooms: Vec<Room>,
    /// Its data, in the server's own encoding, if asked for.
    #[serde(with = "blob")]
    pub data: Bytes,
}

/// A socket somewhere in the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SocketInfo {
    /// The node it is connected to.
    pub node: NodeId,
    /// Its id.
    pub id: SocketId,
    /// Its rooms without its private one, if asked for.
    pub rooms: Vec<Room>,
    /// Its data, in its server's own encoding, if asked for.
    pub data: Bytes,
}

impl LocalSocket {
    /// A socket with these rooms, without its private one, and this data; both are empty if they are not asked for.
    pub const fn new(id: SocketId, rooms: Vec<Room>, data: Bytes) -> Self {
        Self { id, rooms, data }
    }
}

impl SocketInfo {
    /// For implementations of [`Adapter`](crate::adapter::Adapter): a socket of this node.
    pub fn new(node: NodeId, socket: LocalSocket) -> Self {
        let LocalSocket { id, rooms, data } = socket;
        Self { node, id, rooms, data }
    }
}

/// Why a socket gave no reply, or what its server said instead.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum AckError {
    /// It did not reply before the timeout.
    Timeout,
    /// It disconnected, or its node is gone.
    Gone,
    /// What the server says, in the server's own encoding.
    Other(#[serde(with = "text")] String),
}

impl fmt::Display for AckError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Timeout => f.write_str("the socket did not reply in time"),
            Self::Gone => f.write_str("the socket disconnected, or its node is gone"),
            Self::Other(said) => write!(f, "the socket's server says: {said}"),
        }
    }
}

impl std::error::Error for AckError {}

/// Deliveries to local sockets that were lost, by cause. One packet for one socket is one delivery.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct LocalDropped {
    /// The socket's queue was full, or the socket was not ready for a volatile packet. A [`Hub`](crate::Hub) counts all
    /// that it drops here.
    pub full: u64,
    /// The socket was gone.
    pub gone: u64,
    /// This kind of sockets cannot read the packet. Each packet is counted once, for however many sockets it is.
    pub unreadable: u64,
}

impl LocalDropped {
    /// What has come since then.
    pub(crate) fn since(self, then: Self) -> Self {
        Self {
            full: self.full.saturating_sub(then.full),
            gone: self.gone.saturating_sub(then.gone),
            unreadable: self.unreadable.saturating_sub(then.unreadable),
        }
    }
}

impl std::ops::AddAssign for LocalDropped {
    fn add_assign(&mut self, other: Self) {
        self.full += other.full;
        self.gone += other.gone;
        self.unreadable += other.unreadable;
    }
}
