//! The bodies. A published one never changes: a new shape is a new kind, a small addition an extension.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::model::serial::{blob, list, text};
use crate::model::{AckError, LocalSocket, Namespace, NodeId, Projection, Room, SocketId, Target};

/// The newest number that a sender has used on a channel, and the epoch it belongs to. `n` 0: none yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Mark {
    pub(crate) epoch: u64,
    pub(crate) n: u64,
}

/// The mark of a sender on one node's inbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct InboxMark {
    pub(crate) node: NodeId,
    pub(crate) mark: Mark,
}

/// HELLO: a node that has just subscribed asks who is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Hello {
    #[serde(with = "text")]
    pub(crate) name: String,
    pub(crate) cluster: Mark,
}

/// WELCOME, to the newcomer's inbox: who replies, where its numbers stand, and how many NODES frames of it follow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Welcome {
    #[serde(with = "text")]
    pub(crate) name: String,
    pub(crate) cluster: Mark,
    /// As in [`Heartbeat`].
    pub(crate) period: u32,
    pub(crate) lists: u32,
}

/// NODES, to the newcomer's inbox: some of the nodes that the sender knows, itself not among them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Nodes {
    /// Which of the frames that the WELCOME has announced this is, from 0.
    pub(crate) index: u32,
    #[serde(with = "list")]
    pub(crate) nodes: Vec<NodeId>,
}

/// HEARTBEAT: a sign of life.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Heartbeat {
    #[serde(with = "text")]
    pub(crate) name: String,
    pub(crate) cluster: Mark,
    /// The longest time between two heartbeats of the sender on the cluster channel, in milliseconds.
    pub(crate) period: u32,
    /// The sender has been cut off, and asks who is there.
    pub(crate) asks: bool,
}

/// BYE: the last sign of life, with the marks of the inboxes that were written to last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Bye {
    pub(crate) cluster: Mark,
    #[serde(with = "list")]
    pub(crate) inboxes: Vec<InboxMark>,
}

/// MARK: the newest number that the sender has used on the channel that carries this.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tail {
    pub(crate) mark: Mark,
}

/// SUSPECT: the sender has not heard this node for too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Suspect {
    pub(crate) node: NodeId,
}

/// So many numbers, beginning with `first`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Range {
    pub(crate) first: u64,
    pub(crate) count: u64,
}

/// Which pieces of a large message are missing, of one that was cut in so many.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MissingPieces {
    pub(crate) n: u64,
    pub(crate) of: u32,
    #[serde(with = "list")]
    pub(crate) missing: Vec<Range>,
}

/// NACK: what the sender of this has, and misses, of what a node has sent. Without anything that is missing it says that all
/// is there up to the mark.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Nack {
    /// Whom it asks.
    pub(crate) node: NodeId,
    /// Whether it is about the asker's inbox, or the cluster channel.
    pub(crate) inbox: bool,
    /// Everything up to here was carried out or given up.
    pub(crate) has: Mark,
    #[serde(with = "list")]
    pub(crate) missing: Vec<Range>,
    #[serde(with = "list")]
    pub(crate) pieces: Vec<MissingPieces>,
}

/// RESEND: the frames behind it, in the same message, are sent again. They are of this channel, whichever carries them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Resend {
    /// Whether they are of the reader's inbox, or of the cluster channel.
    pub(crate) inbox: bool,
    pub(crate) epoch: u64,
    /// What was asked for and cannot be had any more.
    #[serde(with = "list")]
    pub(crate) gone: Vec<Range>,
}

/// BROADCAST; the packet follows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Broadcast {
    pub(crate) namespace: Namespace,
    pub(crate) target: Target,
    pub(crate) format: u8,
}

/// BROADCAST_WITH_ACK; the packet follows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BroadcastWithAck {
    pub(crate) namespace: Namespace,
    pub(crate) target: Target,
    pub(crate) format: u8,
    pub(crate) timeout_ms: u64,
}

/// JOIN and LEAVE.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RoomChange {
    pub(crate) namespace: Namespace,
    pub(crate) target: Target,
    #[serde(with = "list")]
    pub(crate) rooms: Vec<Room>,
}

/// DISCONNECT, COUNT_SOCKETS and LIST_ROOMS.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Selection {
    pub(crate) namespace: Namespace,
    pub(crate) target: Target,
}

/// FETCH_SOCKETS.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FetchSockets {
    pub(crate) namespace: Namespace,
    pub(crate) target: Target,
    pub(crate) projection: Projection,
}

/// SERVER_EVENT; its data follows as the packet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ServerEventBody {
    pub(crate) namespace: Namespace,
    #[serde(with = "text")]
    pub(crate) event: String,
}

/// SOCKETS: some of them, or all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sockets {
    #[serde(with = "list")]
    pub(crate) sockets: Vec<LocalSocket>,
    /// Nothing follows.
    pub(crate) done: bool,
}

/// COUNT.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Count {
    pub(crate) count: u64,
}

/// ROOMS: some of them, or all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Rooms {
    #[serde(with = "list")]
    pub(crate) rooms: Vec<Room>,
    /// Nothing follows.
    pub(crate) done: bool,
}

/// ACKS: what one node's sockets have answered since the last such frame. The first one names whom it asked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AckBatch {
    #[serde(with = "list::optional")]
    pub(crate) expected: Option<Vec<SocketId>>,
    #[serde(with = "list")]
    pub(crate) acks: Vec<SocketAck>,
    /// Nothing follows.
    pub(crate) done: bool,
}

/// One socket's answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SocketAck {
    pub(crate) socket: SocketId,
    pub(crate) answer: AckAnswer,
}

/// What a socket answered, or why it did not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum AckAnswer {
    Data(#[serde(with = "blob")] Bytes),
    Failed(AckError),
}

/// PROBE, APPLIED, SERVER_ANSWER (its data follows as the packet), NO_HANDLER and UNSUPPORTED: nothing to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Empty {}
