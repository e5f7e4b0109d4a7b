//! What other nodes send, read for the parser of this node's sockets.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use adapter_core::{Format, Packet};
use bytes::Bytes;
use socketioxide_core::{Str, Value};

use crate::dialect::Dialect;
use crate::value;

/// Reads what other nodes send to a namespace. What cannot be read is counted, and the first of it logged.
#[derive(Debug)]
pub(crate) struct Reader {
    dialect: Dialect,
    namespace: Str,
    refused: Arc<AtomicU64>,
    warned: AtomicBool,
}

impl Reader {
    /// `refused` counts for all namespaces of a node.
    pub(crate) fn new(dialect: Dialect, namespace: Str, refused: Arc<AtomicU64>) -> Self {
        Self { dialect, namespace, refused, warned: AtomicBool::new(false) }
    }

    /// The value of a packet, as the sockets here can take it.
    pub(crate) fn packet(&self, packet: &Packet) -> Option<Value> {
        match packet.format {
            Format::Opaque => self.answer(&packet.data),
            Format::Event => self.count(self.dialect.event(&packet.data)),
            _ => self.count(None),
        }
    }

    /// The value of a socket's answer, as the parser here can decode it.
    pub(crate) fn answer(&self, data: &Bytes) -> Option<Value> {
        self.count(value::decode(data).and_then(|value| self.dialect.adopt(value)))
    }

    fn count(&self, read: Option<Value>) -> Option<Value> {
        if read.is_none() {
            self.refused.fetch_add(1, Ordering::Relaxed);
            if !self.warned.swap(true, Ordering::Relaxed) {
                tracing::warn!(
                    namespace = %self.namespace, parser = ?self.dialect,
                    "dropped what another node sent: not readable here (do all nodes use the same parser in this namespace?); \
                     more of it is counted but not logged"
                );
            }
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
        let reader = Reader::new(Dialect::Common, "/".into(), Arc::clone(&refused));
        let fine = Value::Str("[\"a\"]".into(), None);
        assert_eq!(reader.packet(&Packet::opaque(value::encode(&fine))), Some(fine.clone()));
        assert_eq!(reader.packet(&Packet::new(Format::Event, "[\"a\"]")), Some(fine));
        assert_eq!(refused.load(Ordering::Relaxed), 0);

        let of_the_future = Packet::new(Format::Other(9), "[\"a\"]");
        for packet in [Packet::opaque("\x09"), Packet::opaque(""), of_the_future] {
            assert_eq!(reader.packet(&packet), None);
        }
        assert_eq!(refused.load(Ordering::Relaxed), 3);
    }
}
