//! Frames as a stranger would write them, from PROTOCOL.md alone.

use roomcast_core::NodeId;

/// The head of a run, which is all of it when it has no number.
const HEAD: usize = 36;
const NUMBER: usize = 16;
const NUMBERED: u8 = 1;
const CONTROL: u16 = 2;

/// An unnumbered frame, in a run of its own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head {
    /// The version that wrote it, and the oldest that can read it.
    pub(crate) version: (u8, u8),
    pub(crate) kind: u16,
    pub(crate) sender: NodeId,
    pub(crate) counter: u64,
    /// Index, of, whole body, whole packet.
    pub(crate) part: Option<(u32, u32, u32, u32)>,
    pub(crate) request: Option<u64>,
}

impl Head {
    pub(crate) fn new(kind: u16, sender: NodeId, counter: u64) -> Self {
        Self { version: (1, 1), kind, sender, counter, part: None, request: None }
    }

    pub(crate) fn frame(&self, body: &[u8], packet: &[u8]) -> Vec<u8> {
        const PART: u8 = 2;
        const EXTENDED: u8 = 4;
        let mut frame = vec![self.part.map_or(0, |_| PART) | self.request.map_or(0, |_| EXTENDED)];
        put_varint(&mut frame, u32::from(self.kind));
        put_varint(&mut frame, body.len() as u32);
        if let Some((index, of, whole_body, whole_packet)) = self.part {
            [index, of, whole_body, whole_packet].into_iter().for_each(|field| put_varint(&mut frame, field));
        }
        if let Some(request) = self.request {
            frame.extend([10, 1, 8]);
            frame.extend(request.to_le_bytes());
        }
        put_varint(&mut frame, packet.len() as u32);
        frame.extend(body);
        frame.extend(packet);

        let mut bytes = vec![b'R', b'C', self.version.0, self.version.1];
        let flags = if self.kind < 16 { CONTROL } else { 0 };
        bytes.extend(flags.to_le_bytes());
        bytes.extend(1_u16.to_le_bytes());
        bytes.extend(self.sender.as_bytes());
        bytes.extend(self.counter.to_le_bytes());
        bytes.extend((frame.len() as u32).to_le_bytes());
        bytes.extend(frame);
        bytes
    }
}

/// Seven bits a byte, the lowest first.
fn put_varint(out: &mut Vec<u8>, mut value: u32) {
    while value > 127 {
        out.push((value & 127) as u8 | 128);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Where the kind of a message's first frame begins: behind the head of its run, the number if it has one, and the tag.
pub(crate) fn kind_at(message: &[u8]) -> usize {
    let numbered = message.get(4).is_some_and(|flags| flags & NUMBERED != 0);
    HEAD + if numbered { NUMBER } else { 0 } + 1
}

/// The kind of a message's first frame; 0 for what is too short to have one. Those that are asked for take one byte or two.
pub(crate) fn kind(message: &[u8]) -> u16 {
    let byte = |at| message.get(kind_at(message) + at).copied().map_or(0, u16::from);
    match byte(0) {
        low @ ..128 => low,
        low => low & 127 | byte(1) << 7,
    }
}

/// Who sent a message that has a head.
pub(crate) fn sender(message: &[u8]) -> NodeId {
    let bytes = message.get(8..24).and_then(|bytes| bytes.try_into().ok());
    NodeId::from_bytes(bytes.unwrap_or_default())
}
