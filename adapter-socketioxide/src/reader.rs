//! What other nodes send, read for the parser of this node's sockets.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use roomcast_core::{Error, Packet, PacketFormat, Result};
use socketioxide_core::Value;

use crate::dialect::Dialect;
use crate::losses::Losses;
use crate::value;

/// Reads what other nodes send to a namespace. What cannot be read is counted, and logged once a second.
#[derive(Debug)]
pub(crate) struct Reader {
    dialect: Dialect,
    refused: Arc<AtomicU64>,
    losses: Arc<Losses>,
}

const OPAQUE: &str = "an opaque packet of something other than this bridge: socketioxide's sockets read only what socketioxide \
                      emits, and `Packet::event`";
const ANSWER: &str = "a reply that is neither one of socketioxide's nor a JSON array";
const EVENT: &str = "an event that is not a JSON array which begins with a name, or lacks an attachment";
const FORMAT: &str = "a packet of a format that this version does not know";
const PARSER: &str = "a value that the parser here cannot say (do all nodes use the same parser in this namespace?)";

impl Reader {
    /// `refused` counts for all namespaces of a node.
    pub(crate) fn new(dialect: Dialect, losses: Arc<Losses>, refused: Arc<AtomicU64>) -> Self {
        Self { dialect, refused, losses }
    }

    /// The value of a packet, as the sockets here can take it.
    pub(crate) fn packet(&self, packet: &Packet) -> Option<Value> {
        match packet.format {
            PacketFormat::Text => self.count(None, OPAQUE),
            PacketFormat::Opaque => self.adopted(value::of_opaque(&packet.data), OPAQUE),
            PacketFormat::Event | PacketFormat::BinaryEvent => {
                self.count(packet.event_data().and_then(|event| self.dialect.event(event)), EVENT)
            }
            _ => self.count(None, FORMAT),
        }
    }

    /// The value of a socket's answer, as the parser here can decode it.
    pub(crate) fn answer(&self, data: &Bytes) -> Option<Value> {
        self.adopted(value::of_answer(data), ANSWER)
    }

    fn adopted(&self, value: Option<Value>, unknown: &str) -> Option<Value> {
        match value {
            Some(value) => self.count(self.dialect.adopt(value), PARSER),
            None => self.count(None, unknown),
        }
    }

    /// Whether a packet is for socketioxide's sockets at all.
    ///
    /// # Errors
    /// `Config` for text, and for an opaque packet that no bridge has made.
    pub(crate) fn check(&self, packet: &Packet) -> Result<()> {
        let readable = match packet.format {
            PacketFormat::Text => false,
            PacketFormat::Opaque => value::of_opaque(&packet.data).is_some(),
            _ => true,
        };
        if readable { Ok(()) } else { Err(Error::config(OPAQUE)) }
    }

    fn count(&self, read: Option<Value>, reason: &str) -> Option<Value> {
        if read.is_none() {
            self.refused.fetch_add(1, Ordering::Relaxed);
            self.losses.unreadable(reason);
        }
        read
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_read_is_counted() {
        let refused = Arc::new(AtomicU64::new(0));
        let losses = Arc::new(Losses::new("/".into()));
        let reader = Reader::new(Dialect::Common, Arc::clone(&losses), Arc::clone(&refused));
        let fine = Value::Str("[\"a\"]".into(), None);
        assert_eq!(reader.packet(&value::packet(&fine)), Some(fine.clone()));
        assert_eq!(reader.packet(&Packet::new(PacketFormat::Event, "[\"a\"]")), Some(fine));
        assert_eq!(refused.load(Ordering::Relaxed), 0);

        let of_the_future = Packet::new(PacketFormat::Other(9), "[\"a\"]");
        let unknown = [Packet::opaque("\x09"), Packet::opaque(""), Packet::opaque("\0hello"), Packet::text("[\"a\"]")];
        for packet in unknown.into_iter().chain([of_the_future]) {
            assert_eq!(reader.packet(&packet), None);
        }
        assert_eq!(refused.load(Ordering::Relaxed), 5);
        assert_eq!(losses.count().unreadable, 5);
    }
}
