//! What nodes ask of each other and answer, between the types of the API and the bodies on the wire.

use std::time::Duration;

use bytes::Bytes;

use super::body::{self, AckBatch};
use super::codec::{Malformed, decode, encode};
use super::frame::Frame;
use super::kind::Kind;
use crate::model::{
    LocalSocket, MissingReason, Namespace, Packet, PacketFormat, Projection, Room, SocketChange, Target, TraceContext,
};

/// A kind with its body and what follows it: a message without its place in the sequence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Content {
    pub(crate) kind: Kind,
    pub(crate) body: Bytes,
    pub(crate) packet: Bytes,
    /// The span that sends it.
    pub(crate) trace: Option<TraceContext>,
}

impl Content {
    pub(crate) fn new(kind: Kind, body: &impl serde::Serialize) -> Self {
        Self { kind, body: encode(body), packet: Bytes::new(), trace: None }
    }

    fn with_packet(mut self, packet: &Bytes) -> Self {
        self.packet = packet.clone();
        self
    }

    /// Bytes behind the header.
    pub(crate) fn len(&self) -> usize {
        self.body.len() + self.packet.len()
    }
}

/// What one node asks of others. What arrives and what is called here become the same value and take the same path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Broadcast { namespace: Namespace, target: Target, packet: Packet },
    BroadcastWithAck { namespace: Namespace, target: Target, packet: Packet, timeout: Duration },
    Change { namespace: Namespace, target: Target, change: SocketChange },
    FetchSockets { namespace: Namespace, target: Target, projection: Projection },
    CountSockets { namespace: Namespace, target: Target },
    ListRooms { namespace: Namespace, target: Target },
    ServerEvent { namespace: Namespace, event: String, data: Bytes },
}

/// Why a frame holds no operation or answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unreadable {
    UnknownKind,
    Malformed,
}

impl From<Malformed> for Unreadable {
    fn from(_: Malformed) -> Self {
        Self::Malformed
    }
}

impl Operation {
    /// Whether it changes nothing and gives nobody anything: without its answers it is worth nothing.
    pub(crate) fn only_asks(&self) -> bool {
        matches!(self, Self::FetchSockets { .. } | Self::CountSockets { .. } | Self::ListRooms { .. })
    }

    /// The name of the call that makes it, for those who measure.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Broadcast { .. } => "emit",
            Self::BroadcastWithAck { .. } => "emit_with_ack",
            Self::Change { change: SocketChange::Join(_), .. } => "join_sockets",
            Self::Change { change: SocketChange::Leave(_), .. } => "leave_sockets",
            Self::Change { change: SocketChange::Disconnect, .. } => "disconnect_sockets",
            Self::FetchSockets { .. } => "fetch_sockets",
            Self::CountSockets { .. } => "count_sockets",
            Self::ListRooms { .. } => "rooms",
            Self::ServerEvent { .. } => "server_side_emit_with_ack",
        }
    }

    /// Which sockets it means, if it means sockets.
    pub(crate) fn target(&self) -> Option<&Target> {
        match self {
            Self::Broadcast { target, .. }
            | Self::BroadcastWithAck { target, .. }
            | Self::Change { target, .. }
            | Self::FetchSockets { target, .. }
            | Self::CountSockets { target, .. }
            | Self::ListRooms { target, .. } => Some(target),
            Self::ServerEvent { .. } => None,
        }
    }

    pub(crate) fn namespace(&self) -> &Namespace {
        match self {
            Self::Broadcast { namespace, .. }
            | Self::BroadcastWithAck { namespace, .. }
            | Self::Change { namespace, .. }
            | Self::FetchSockets { namespace, .. }
            | Self::CountSockets { namespace, .. }
            | Self::ListRooms { namespace, .. }
            | Self::ServerEvent { namespace, .. } => namespace,
        }
    }

    /// May be lost on the way: no number, no repair.
    pub(crate) fn is_volatile(&self) -> bool {
        matches!(self, Self::Broadcast { target, .. } if target.flags.is_volatile())
    }

    /// A body is its fields one behind the other, so a tuple of references encodes as the body does.
    pub(crate) fn encode(&self) -> Content {
        match self {
            Self::Broadcast { namespace, target, packet: Packet { format, data, .. } } => {
                Content::new(Kind::BROADCAST, &(namespace, target, format.tag())).with_packet(data)
            }
            Self::BroadcastWithAck { namespace, target, packet: Packet { format, data, .. }, timeout } => {
                let timeout_ms = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
                Content::new(Kind::BROADCAST_WITH_ACK, &(namespace, target, format.tag(), timeout_ms)).with_packet(data)
            }
            Self::Change { namespace, target, change: SocketChange::Join(rooms) } => {
                Content::new(Kind::JOIN, &(namespace, target, rooms))
            }
            Self::Change { namespace, target, change: SocketChange::Leave(rooms) } => {
                Content::new(Kind::LEAVE, &(namespace, target, rooms))
            }
            Self::Change { namespace, target, change: SocketChange::Disconnect } => {
                Content::new(Kind::DISCONNECT, &(namespace, target))
            }
            Self::FetchSockets { namespace, target, projection } => {
                Content::new(Kind::FETCH_SOCKETS, &(namespace, target, projection))
            }
            Self::CountSockets { namespace, target } => Content::new(Kind::COUNT_SOCKETS, &(namespace, target)),
            Self::ListRooms { namespace, target } => Content::new(Kind::LIST_ROOMS, &(namespace, target)),
            Self::ServerEvent { namespace, event, data } => {
                Content::new(Kind::SERVER_EVENT, &(namespace, event)).with_packet(data)
            }
        }
    }

    pub(crate) fn decode(frame: Frame) -> Result<Self, Unreadable> {
        let Frame { head, body, packet } = frame;
        Ok(match head.kind {
            Kind::BROADCAST => {
                let body::Broadcast { namespace, target, format } = decode(&body)?;
                Self::Broadcast { namespace, target, packet: Packet::received(PacketFormat::from_tag(format), packet) }
            }
            Kind::BROADCAST_WITH_ACK => {
                let body::BroadcastWithAck { namespace, target, format, timeout_ms } = decode(&body)?;
                let timeout = Duration::from_millis(timeout_ms);
                Self::BroadcastWithAck {
                    namespace,
                    target,
                    packet: Packet::received(PacketFormat::from_tag(format), packet),
                    timeout,
                }
            }
            kind @ (Kind::JOIN | Kind::LEAVE) => {
                let body::RoomChange { namespace, target, rooms } = decode(&body)?;
                let change = if kind == Kind::JOIN { SocketChange::Join(rooms) } else { SocketChange::Leave(rooms) };
                Self::Change { namespace, target, change }
            }
            Kind::DISCONNECT => {
                let body::Selection { namespace, target } = decode(&body)?;
                Self::Change { namespace, target, change: SocketChange::Disconnect }
            }
            Kind::FETCH_SOCKETS => {
                let body::FetchSockets { namespace, target, projection } = decode(&body)?;
                Self::FetchSockets { namespace, target, projection }
            }
            Kind::COUNT_SOCKETS => {
                let body::Selection { namespace, target } = decode(&body)?;
                Self::CountSockets { namespace, target }
            }
            Kind::LIST_ROOMS => {
                let body::Selection { namespace, target } = decode(&body)?;
                Self::ListRooms { namespace, target }
            }
            Kind::SERVER_EVENT => {
                let body::ServerEventBody { namespace, event } = decode(&body)?;
                Self::ServerEvent { namespace, event, data: packet }
            }
            _ => return Err(Unreadable::UnknownKind),
        })
    }
}

/// What one node answers another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Applied,
    /// Some of its sockets, and whether they are the last.
    Sockets(Vec<LocalSocket>, bool),
    Count(u64),
    /// Some of its rooms, and whether they are the last.
    Rooms(Vec<Room>, bool),
    Acks(AckBatch),
    Server(Bytes),
    NoHandler,
    Unsupported,
}

impl Answer {
    /// Whether the node has nothing more to say to the same question.
    pub(crate) fn is_last(&self) -> bool {
        !matches!(self, Self::Acks(AckBatch { done: false, .. }) | Self::Sockets(_, false) | Self::Rooms(_, false))
    }

    /// The same of a kind of frame whose last byte this is, without reading it; or why the node is missing. None when the kind is
    /// not known. The lists of a body may be long, and say at their end whether they are all.
    pub(crate) fn is_last_of(kind: Kind, last_byte: Option<u8>) -> Option<Result<bool, MissingReason>> {
        Some(match kind {
            Kind::APPLIED | Kind::COUNT | Kind::SERVER_ANSWER => Ok(true),
            Kind::SOCKETS | Kind::ROOMS | Kind::ACKS => Ok(last_byte == Some(1)),
            Kind::NO_HANDLER => Err(MissingReason::NoHandler),
            Kind::UNSUPPORTED => Err(MissingReason::Unsupported),
            _ => return None,
        })
    }

    /// Encodes it, in parts if it is large: an answer of many sockets is not one message that others wait behind.
    pub(crate) fn encode_in_parts(self) -> Vec<Content> {
        let name = |room: &Room| room.as_str().len() + 4;
        match self {
            Self::Sockets(sockets, true) => {
                let size = |socket: &LocalSocket| {
                    let LocalSocket { id, rooms, data } = socket;
                    id.as_str().len() + data.len() + rooms.iter().map(name).sum::<usize>() + 8
                };
                parts(sockets, size).map(|(part, done)| Self::Sockets(part, done).encode()).collect()
            }
            Self::Rooms(rooms, true) => {
                parts(rooms, name).map(|(part, done)| Self::Rooms(part, done).encode()).collect()
            }
            small => vec![small.encode()],
        }
    }

    pub(crate) fn encode(self) -> Content {
        let empty = |kind| Content::new(kind, &body::Empty {});
        match self {
            Self::Applied => empty(Kind::APPLIED),
            Self::Sockets(sockets, done) => Content::new(Kind::SOCKETS, &body::Sockets { sockets, done }),
            Self::Count(count) => Content::new(Kind::COUNT, &body::Count { count }),
            Self::Rooms(rooms, done) => Content::new(Kind::ROOMS, &body::Rooms { rooms, done }),
            Self::Acks(batch) => Content::new(Kind::ACKS, &batch),
            Self::Server(data) => empty(Kind::SERVER_ANSWER).with_packet(&data),
            Self::NoHandler => empty(Kind::NO_HANDLER),
            Self::Unsupported => empty(Kind::UNSUPPORTED),
        }
    }

    pub(crate) fn decode(frame: &Frame) -> Result<Self, Unreadable> {
        let empty = |answer| decode(&frame.body).map(|body::Empty {}| answer);
        Ok(match frame.head.kind {
            Kind::APPLIED => empty(Self::Applied)?,
            Kind::SOCKETS => {
                let body::Sockets { sockets, done } = decode(&frame.body)?;
                Self::Sockets(sockets, done)
            }
            Kind::COUNT => Self::Count(decode::<body::Count>(&frame.body)?.count),
            Kind::ROOMS => {
                let body::Rooms { rooms, done } = decode(&frame.body)?;
                Self::Rooms(rooms, done)
            }
            Kind::ACKS => Self::Acks(decode(&frame.body)?),
            Kind::SERVER_ANSWER => empty(Self::Server(frame.packet.clone()))?,
            Kind::NO_HANDLER => empty(Self::NoHandler)?,
            Kind::UNSUPPORTED => empty(Self::Unsupported)?,
            _ => return Err(Unreadable::UnknownKind),
        })
    }
}

/// A list in parts of some size on the wire, each with whether it is the last. There is at least one.
fn parts<T>(list: Vec<T>, size: impl Fn(&T) -> usize) -> impl Iterator<Item = (Vec<T>, bool)> {
    const PART: usize = 256 << 10;
    let mut rest = list.into_iter().peekable();
    let mut over = false;
    std::iter::from_fn(move || {
        if over {
            return None;
        }
        let (mut part, mut bytes) = (Vec::new(), 0);
        while bytes < PART
            && let Some(item) = rest.next()
        {
            bytes += size(&item);
            part.push(item);
        }
        over = rest.peek().is_none();
        Some((part, over))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::SocketId;

    #[test]
    fn the_end_of_an_answer_says_whether_it_is_the_last() {
        let socket = LocalSocket { id: SocketId::new("a").expect("valid"), rooms: Vec::new(), data: Bytes::new() };
        let acks = |done| AckBatch { expected: None, acks: Vec::new(), done };
        let answers = [false, true].into_iter().flat_map(|last| {
            [
                Answer::Sockets(vec![socket.clone()], last),
                Answer::Rooms(Vec::new(), last),
                Answer::Acks(acks(last)),
                Answer::Applied,
                Answer::Count(7),
                Answer::Server(Bytes::from_static(&[0])),
            ]
        });
        for answer in answers {
            let (text, last, content) = (format!("{answer:?}"), answer.is_last(), answer.encode());
            let end = content.packet.last().or(content.body.last()).copied();
            assert_eq!(Answer::is_last_of(content.kind, end), Some(Ok(last)), "{text}");
        }
    }
}
