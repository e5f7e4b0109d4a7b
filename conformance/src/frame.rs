//! Frames as a stranger would write them, from PROTOCOL.md alone.

use adapter_core::NodeId;

/// The header of an unnumbered frame.
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
        let mut rest = Vec::new();
        if let Some((index, of, whole_body, whole_packet)) = self.part {
            rest.extend([index, of, whole_body, whole_packet].iter().flat_map(|field| field.to_le_bytes()));
        }
        if let Some(request) = self.request {
            rest.extend([1, 8, 0]);
            rest.extend(request.to_le_bytes());
        }
        let flags: u16 = if self.part.is_some() { 2 } else { 0 };
        let mut bytes = vec![b'R', b'C', self.version.0, self.version.1];
        bytes.extend(flags.to_le_bytes());
        bytes.extend(self.kind.to_le_bytes());
        bytes.extend(self.sender.as_bytes());
        bytes.extend(self.counter.to_le_bytes());
        bytes.extend((rest.len() as u16).to_le_bytes());
        bytes.extend((body.len() as u32).to_le_bytes());
        bytes.extend((packet.len() as u32).to_le_bytes());
        bytes.extend(rest);
        bytes.extend(body);
        bytes.extend(packet);
        bytes
    }
}

/// The kind of a message's first frame; 0 for what is too short to have one.
pub(crate) fn kind(message: &[u8]) -> u16 {
    message.get(6..8).map_or(0, |kind| u16::from_le_bytes([kind[0], kind[1]]))
}

/// Who sent a message that has a header.
pub(crate) fn sender(message: &[u8]) -> NodeId {
    let bytes = message.get(8..24).and_then(|bytes| bytes.try_into().ok());
    NodeId::from_bytes(bytes.unwrap_or_default())
}
