//! What is emitted.

use std::fmt;

use bytes::Bytes;
use serde::Serialize;

use crate::model::{Error, EventData};

/// A packet to emit: bytes that the core never looks into, with a tag that says who can read them.
///
/// A packet from another node is a slice of the message that brought it, and keeps that message in memory: up to 64 KiB, or a
/// broker client's whole read buffer. Local sockets in whose queues packets wait should queue copies of small ones.
#[derive(Clone)]
pub struct Packet {
    /// Who can read `data`.
    pub format: PacketFormat,
    /// The bytes, delivered as they are.
    pub data: Bytes,
    /// Whether `data` is a slice of a message from another node.
    received: bool,
}

/// Nodes pack messages up to this size, so a packet of this size shares its message with little else.
const PACKED: usize = 64 << 10;

/// Who can read a packet's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PacketFormat {
    /// Only the kind of server that made the packet can read it: the bytes are in its own encoding. For the clients of a
    /// WebSocket server they are binary data.
    Opaque,
    /// Everyone can read it: a JSON array of the event's name and its arguments, which each kind of server encodes for its
    /// own clients. [`Packet::event`], SQL and the servers of socketioxide send it.
    Event,
    /// Everyone can read it: an event with binary data. [`Packet::event_data`] makes the JSON and the attachments of it.
    BinaryEvent,
    /// The clients of a WebSocket server: UTF-8 text, which a [`Hub`](crate::Hub) hands on as it is.
    Text,
    /// A tag that this build does not know. Nodes carry such a packet, and a server that has to read it refuses it.
    Other(u8),
}

impl PacketFormat {
    pub(crate) const fn tag(self) -> u8 {
        match self {
            Self::Opaque => 0,
            Self::Event => 1,
            Self::BinaryEvent => 2,
            Self::Text => 3,
            Self::Other(tag) => tag,
        }
    }

    pub(crate) const fn from_tag(tag: u8) -> Self {
        match tag {
            0 => Self::Opaque,
            1 => Self::Event,
            2 => Self::BinaryEvent,
            3 => Self::Text,
            other => Self::Other(other),
        }
    }
}

impl Packet {
    /// A packet of these bytes, with a tag that says who can read them.
    pub fn new(format: PacketFormat, data: impl Into<Bytes>) -> Self {
        Self { format, data: data.into(), received: false }
    }

    /// A packet in the local sockets' own encoding. Sockets of socketioxide cannot read it; [`event`](Self::event) is for them.
    pub fn opaque(data: impl Into<Bytes>) -> Self {
        Self::new(PacketFormat::Opaque, data)
    }

    /// Text for the clients of WebSocket servers.
    pub fn text(text: impl Into<String>) -> Self {
        Self::new(PacketFormat::Text, text.into())
    }

    /// A slice of a message from another node.
    pub(crate) fn received(format: PacketFormat, data: Bytes) -> Self {
        Self { format, data, received: true }
    }

    /// Whether it may keep much more in memory than its own bytes.
    pub(crate) fn pins_a_message(&self) -> bool {
        self.received && self.data.len() < PACKED
    }

    /// A copy that keeps nothing else in memory.
    pub(crate) fn detached(&self) -> Self {
        Self::new(self.format, Bytes::copy_from_slice(&self.data))
    }

    /// An event with one argument, readable by every kind of server: the JSON array `["name", argument]`.
    ///
    /// Whatever the argument serializes as bytes is sent as binary data and not as JSON. [`Bytes`] does so, and any type that uses serde's
    /// `serialize_bytes` (the crate `serde_bytes` has some). A `Vec<u8>` or `[u8]` serializes as a list of numbers. So a
    /// client of Socket.IO gets a `Buffer` or an `ArrayBuffer` for `Packet::event("file", Bytes::from(file))`.
    ///
    /// # Errors
    /// `Config` when the argument has no JSON form, such as a map whose keys are no strings.
    pub fn event(name: &str, argument: impl Serialize) -> Result<Self, Error> {
        EventData::new(name, argument).map(Self::from)
    }

    /// The JSON and the binary data of an event; `None` for a packet that is no event. The JSON is not checked.
    pub fn event_data(&self) -> Option<EventData> {
        match self.format {
            PacketFormat::Event => Some(EventData { json: self.data.clone(), attachments: Vec::new() }),
            PacketFormat::BinaryEvent => EventData::decode(&self.data),
            _ => None,
        }
    }
}

// Where the bytes came from makes no difference between packets.
impl PartialEq for Packet {
    fn eq(&self, other: &Self) -> bool {
        self.format == other.format && self.data == other.data
    }
}

impl Eq for Packet {}

impl fmt::Debug for Packet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Packet").field("format", &self.format).field("data", &self.data).finish()
    }
}

impl From<Bytes> for Packet {
    fn from(data: Bytes) -> Self {
        Self::opaque(data)
    }
}

impl From<Vec<u8>> for Packet {
    fn from(data: Vec<u8>) -> Self {
        Self::opaque(data)
    }
}

impl From<&'static [u8]> for Packet {
    fn from(data: &'static [u8]) -> Self {
        Self::opaque(data)
    }
}

impl From<String> for Packet {
    /// Text; see [`Packet::text`].
    fn from(text: String) -> Self {
        Self::text(text)
    }
}

impl From<&str> for Packet {
    /// A copy of the text; see [`Packet::text`].
    fn from(text: &str) -> Self {
        Self::text(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_a_json_array() {
        let packet = Packet::event("news", [1, 2]).expect("json");
        assert_eq!((packet.format, &packet.data[..]), (PacketFormat::Event, &b"[\"news\",[1,2]]"[..]));
    }

    #[test]
    fn every_tag_survives() {
        assert!((0..=u8::MAX).all(|tag| PacketFormat::from_tag(tag).tag() == tag));
    }
}
