//! What the benchmarks need of the inside. Not part of the API.

use bytes::{Bytes, BytesMut};

use crate::protocol::{Frames, Head, Number, Operation};
use crate::{Namespace, NodeId, Packet, Room, Target};

/// An operation of usual size: two rooms, one except, a packet of 200 bytes.
#[derive(Debug)]
pub struct Typical(Operation);

impl Typical {
    /// Makes it.
    ///
    /// # Errors
    /// None that happen: its names are valid.
    pub fn new() -> crate::Result<Self> {
        let rooms = [Room::new("lobby")?, Room::new("team:42")?];
        let target = Target::rooms(rooms).except([Room::new("muted")?]);
        let packet = Packet::opaque(vec![b'x'; 200]);
        Ok(Self(Operation::Broadcast { namespace: Namespace::new("/")?, target, packet }))
    }

    /// Encodes it as a numbered frame behind what is in `out`.
    pub fn encode(&self, out: &mut BytesMut) {
        let content = self.0.encode();
        let number = Some(Number { epoch: 1, n: 1000 });
        let sender = NodeId::from_bytes([7; 16]);
        let head = Head { kind: content.kind, sender, counter: 1000, number, part: None, request: None };
        head.write(out, &content.body, &content.packet);
    }
}

/// Decodes every frame of a message; answers how many operations there were.
pub fn decode(message: Bytes) -> usize {
    Frames(message).flatten().filter(|frame| Operation::decode(frame).is_ok()).count()
}
