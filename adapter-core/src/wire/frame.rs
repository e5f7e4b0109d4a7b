//! Frames: the header outside bincode, so that a reader can drop or skip one after some forty bytes.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::kind::Kind;
use crate::model::NodeId;

pub(crate) const MAGIC: [u8; 2] = *b"RC";
/// The wire version that this build writes, and the newest that it reads.
pub(crate) const VERSION: u8 = 1;

const FIXED: usize = 42;
const NUMBER: usize = 16;
const PART: usize = 16;
const NUMBERED_FLAG: u16 = 1;
const PART_FLAG: u16 = 2;
const REQUEST_EXTENSION: u8 = 1;
const REQUEST_LEN: usize = 3 + 8;

/// The place of a frame in what one sender sends on one channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Number {
    pub(crate) epoch: u64,
    /// From 1.
    pub(crate) n: u64,
}

/// Which piece of a large message a frame is: a slice of its body and packet, one behind the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) index: u32,
    pub(crate) of: u32,
    /// Bytes of the whole body.
    pub(crate) body: u32,
    /// Bytes of the whole packet.
    pub(crate) packet: u32,
}

/// What stands before the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) kind: Kind,
    pub(crate) sender: NodeId,
    /// The sender's count over all its frames; with the sender it is the id of the message.
    pub(crate) counter: u64,
    pub(crate) number: Option<Number>,
    pub(crate) part: Option<Part>,
    /// The question that this asks or answers.
    pub(crate) request: Option<u64>,
}

impl Part {
    /// Bytes of the whole message.
    fn whole(&self) -> u64 {
        u64::from(self.body) + u64::from(self.packet)
    }
}

impl Head {
    /// How many bytes it takes on the wire.
    pub(crate) fn len(&self) -> usize {
        FIXED
            + self.number.map_or(0, |_| NUMBER)
            + self.part.map_or(0, |_| PART)
            + self.request.map_or(0, |_| REQUEST_LEN)
    }

    /// Writes the frame. For a part, `body` is empty and `packet` the piece. Both are far below 4 GiB: the caller has
    /// checked them against the largest message.
    pub(crate) fn write(&self, out: &mut BytesMut, body: &[u8], packet: &[u8]) {
        debug_assert!(body.len() <= u32::MAX as usize && packet.len() <= u32::MAX as usize, "over 4 GiB");
        debug_assert!(self.part.is_none() || body.is_empty(), "a part's piece is its packet");
        let flag = |set: bool, flag: u16| if set { flag } else { 0 };
        out.reserve(self.len() + body.len() + packet.len());
        out.put_slice(&MAGIC);
        out.put_u8(VERSION);
        out.put_u8(VERSION); // the oldest version that can read it
        out.put_u16_le(flag(self.number.is_some(), NUMBERED_FLAG) | flag(self.part.is_some(), PART_FLAG));
        out.put_u16_le(self.kind.0);
        out.put_slice(self.sender.as_bytes());
        out.put_u64_le(self.counter);
        out.put_u16_le((self.len() - FIXED) as u16); // at most 43
        out.put_u32_le(body.len() as u32);
        out.put_u32_le(packet.len() as u32);
        if let Some(number) = self.number {
            out.put_u64_le(number.epoch);
            out.put_u64_le(number.n);
        }
        if let Some(part) = self.part {
            out.put_u32_le(part.index);
            out.put_u32_le(part.of);
            out.put_u32_le(part.body);
            out.put_u32_le(part.packet);
        }
        if let Some(request) = self.request {
            out.put_u8(REQUEST_EXTENSION);
            out.put_u16_le(8);
            out.put_u64_le(request);
        }
        out.put_slice(body);
        out.put_slice(packet);
    }
}

/// A frame as it was received: slices of the message that carried it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) head: Head,
    pub(crate) body: Bytes,
    pub(crate) packet: Bytes,
}

/// Why a frame, or the rest of a message, was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Skipped {
    /// Not of the protocol; nothing after it in the same message can be found.
    Malformed,
    /// Of a version that this build cannot read. Its place in the order is known all the same, so that the account
    /// of its sender goes on: what was not read is reported, not asked for again.
    TooNew { sender: NodeId, number: Option<Number> },
}

/// The frames of a message, one behind the other.
pub(crate) struct Frames(pub(crate) Bytes);

impl Iterator for Frames {
    type Item = Result<Frame, Skipped>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let read = read(&mut self.0);
        if read == Err(Skipped::Malformed) {
            self.0.clear();
        }
        Some(read)
    }
}

/// Takes one frame off the front. On `Malformed` nothing sensible is left in `message`.
///
/// The header is read in place: each slice of a message is a reference that is counted, and there are hundreds of frames
/// in one.
fn read(message: &mut Bytes) -> Result<Frame, Skipped> {
    let Some((mut fixed, rest)) = message.split_at_checked(FIXED) else { return Err(Skipped::Malformed) };
    if fixed[..2] != MAGIC {
        return Err(Skipped::Malformed);
    }
    fixed.advance(2);
    let version = fixed.get_u8();
    let oldest = fixed.get_u8();
    let flags = fixed.get_u16_le();
    let kind = Kind(fixed.get_u16_le());
    let mut sender = [0; 16];
    fixed.copy_to_slice(&mut sender);
    let counter = fixed.get_u64_le();
    let blocks_len = usize::from(fixed.get_u16_le());
    let body = fixed.get_u32_le() as usize;
    let packet = fixed.get_u32_le() as usize;
    // Three lengths of at most 32 bits each: no overflow in 64. No flag is needed to find the end of a frame.
    let len = blocks_len as u64 + body as u64 + packet as u64;
    if version == 0 || oldest > version || len > rest.len() as u64 {
        return Err(Skipped::Malformed);
    }
    let mut blocks = &rest[..blocks_len];
    let sender = NodeId::from_bytes(sender);
    let number = if flags & NUMBERED_FLAG != 0 { Some(read_number(&mut blocks)?) } else { None };
    if oldest > VERSION {
        message.advance(FIXED + len as usize);
        return Err(Skipped::TooNew { sender, number });
    }
    let part = if flags & PART_FLAG != 0 { Some(read_part(&mut blocks)?) } else { None };
    let request = read_extensions(blocks)?;
    let stray = |part: Part| body != 0 || packet == 0 || packet as u64 > part.whole();
    if part.is_some_and(stray) || kind.is_control() && number.is_some() {
        return Err(Skipped::Malformed);
    }
    let mut rest = message.split_to(FIXED + len as usize);
    rest.advance(FIXED + blocks_len);
    let body = rest.split_to(body);
    Ok(Frame { head: Head { kind, sender, counter, number, part, request }, body, packet: rest })
}

fn read_number(blocks: &mut &[u8]) -> Result<Number, Skipped> {
    if blocks.len() < NUMBER {
        return Err(Skipped::Malformed);
    }
    let number = Number { epoch: blocks.get_u64_le(), n: blocks.get_u64_le() };
    // Nobody gets there by counting, and what comes after it has no number.
    if matches!(number.n, 0 | u64::MAX) { Err(Skipped::Malformed) } else { Ok(number) }
}

fn read_part(blocks: &mut &[u8]) -> Result<Part, Skipped> {
    if blocks.len() < PART {
        return Err(Skipped::Malformed);
    }
    let part = Part {
        index: blocks.get_u32_le(),
        of: blocks.get_u32_le(),
        body: blocks.get_u32_le(),
        packet: blocks.get_u32_le(),
    };
    // No piece is empty, so there are no more of them than bytes.
    let possible = part.of >= 2 && part.index < part.of && u64::from(part.of) <= part.whole();
    if possible { Ok(part) } else { Err(Skipped::Malformed) }
}

/// Reads the extensions that this build knows and passes over the others.
fn read_extensions(mut extensions: &[u8]) -> Result<Option<u64>, Skipped> {
    let mut request = None;
    while !extensions.is_empty() {
        if extensions.len() < 3 {
            return Err(Skipped::Malformed);
        }
        let kind = extensions.get_u8();
        let len = usize::from(extensions.get_u16_le());
        if len > extensions.len() {
            return Err(Skipped::Malformed);
        }
        let (mut value, rest) = extensions.split_at(len);
        extensions = rest;
        if kind == REQUEST_EXTENSION {
            if len != 8 {
                return Err(Skipped::Malformed);
            }
            if request.replace(value.get_u64_le()).is_some() {
                return Err(Skipped::Malformed); // given twice: readers must not differ in what it means
            }
        }
    }
    Ok(request)
}
