//! Frames, and how a message is read.
//!
//! A message is one run after the other; a run is consecutive frames of one sender behind one head. All of that lies outside
//! bincode, so that a reader can drop or pass over a run after some forty bytes.

use bytes::{Buf, Bytes};

use super::kind::Kind;
use super::run::{CONTROL_FLAG, HEAD, MAGIC, NUMBER, NUMBERED_FLAG, OVERHEAD, TRACED_OVERHEAD, VERSION};
use super::run::{EXTENDED_TAG, PART_TAG, REPEATED_TAG, REQUEST_EXTENSION, TAGS, TRACE_EXTENSION};
use crate::model::{NodeId, TraceContext};

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

/// What a frame says beside its body and packet.
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
    /// The span that has sent it.
    pub(crate) trace: Option<TraceContext>,
}

impl Head {
    /// Of a frame without a number, whole, and without extensions.
    pub(crate) fn new(kind: Kind, sender: NodeId, counter: u64) -> Self {
        Self { kind, sender, counter, number: None, part: None, request: None, trace: None }
    }

    /// What a frame of this head adds to its body and packet at the most.
    pub(crate) fn overhead(&self) -> usize {
        self.trace.map_or(OVERHEAD, |_| TRACED_OVERHEAD)
    }
}

impl Part {
    /// Bytes of the whole message.
    fn whole(&self) -> u64 {
        u64::from(self.body) + u64::from(self.packet)
    }
}

/// A frame as it was received: slices of the message that carried it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) head: Head,
    pub(crate) body: Bytes,
    pub(crate) packet: Bytes,
}

/// Why a run, or the rest of a message, was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Skipped {
    /// Not of the protocol; nothing after it in the same message can be found.
    Malformed,
    /// A run of a version that this build cannot read. Its frames' places in the order are known all the same, so that the
    /// account of its sender goes on: what was not read is reported, not asked for again.
    TooNew { sender: NodeId, counter: u64, number: Option<Number>, count: u16 },
}

/// The frames of a message, one after the other. After a malformed one nothing more is read.
#[derive(Debug)]
pub(crate) struct Frames {
    rest: Bytes,
    run: Option<Run>,
}

/// A run that is being read.
#[derive(Debug)]
struct Run {
    frames: Bytes,
    left: u16,
    control: bool,
    sender: NodeId,
    counter: u64,
    number: Option<Number>,
    /// Of the frame before, which the next one may repeat.
    before: Option<(Kind, Bytes)>,
}

impl Frames {
    pub(crate) fn new(message: Bytes) -> Self {
        Self { rest: message, run: None }
    }

    /// Whether everything was read.
    pub(crate) fn is_done(&self) -> bool {
        self.rest.is_empty() && self.run.is_none()
    }
}

impl Iterator for Frames {
    type Item = Result<Frame, Skipped>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_done() {
            return None;
        }
        let read = self.read();
        if read == Err(Skipped::Malformed) {
            (self.rest, self.run) = (Bytes::new(), None);
        }
        Some(read)
    }
}

impl Frames {
    fn read(&mut self) -> Result<Frame, Skipped> {
        let run = match &mut self.run {
            Some(run) => run,
            None => self.run.insert(Run::open(&mut self.rest)?),
        };
        let frame = run.next()?;
        if run.left == 0 {
            if !run.frames.is_empty() {
                return Err(Skipped::Malformed);
            }
            self.run = None;
        }
        Ok(frame)
    }
}

impl Run {
    /// Takes a run off the front of a message.
    fn open(message: &mut Bytes) -> Result<Self, Skipped> {
        let Some((mut head, behind)) = message.split_at_checked(HEAD) else { return Err(Skipped::Malformed) };
        if head[..2] != MAGIC {
            return Err(Skipped::Malformed);
        }
        head.advance(2);
        let (version, oldest) = (head.get_u8(), head.get_u8());
        let flags = head.get_u16_le();
        let count = head.get_u16_le();
        let mut sender = [0; 16];
        head.copy_to_slice(&mut sender);
        let (sender, counter) = (NodeId::from_bytes(sender), head.get_u64_le());
        let len = head.get_u32_le() as usize;
        if version == 0 || oldest > version || len > behind.len() || count == 0 {
            return Err(Skipped::Malformed);
        }
        let number = if flags & NUMBERED_FLAG != 0 { Some(number(&behind[..len], counter, count)?) } else { None };
        let control = flags & CONTROL_FLAG != 0;
        if counter.checked_add(u64::from(count)).is_none() || control && number.is_some() {
            return Err(Skipped::Malformed);
        }
        if oldest > VERSION {
            message.advance(HEAD + len);
            return Err(Skipped::TooNew { sender, counter, number, count });
        }
        let mut frames = message.split_to(HEAD + len);
        frames.advance(HEAD + number.map_or(0, |_| NUMBER));
        Ok(Self { frames, left: count, control, sender, counter, number, before: None })
    }

    /// Takes the next frame.
    ///
    /// What stands before the body is read in place: each slice of a message is a reference that is counted, and there are
    /// hundreds of frames in one.
    fn next(&mut self) -> Result<Frame, Skipped> {
        let whole = self.frames.len();
        let mut at = &self.frames[..];
        let tag = byte(&mut at)?;
        let repeated = tag & REPEATED_TAG != 0;
        let (kind, body) = match &self.before {
            _ if tag & !TAGS != 0 => return Err(Skipped::Malformed),
            Some((kind, body)) if repeated => (*kind, body.len()),
            None if repeated => return Err(Skipped::Malformed),
            _ => {
                let kind = u16::try_from(varint(&mut at)?).map_err(|_| Skipped::Malformed)?;
                (Kind(kind), varint(&mut at)? as usize)
            }
        };
        let part = if tag & PART_TAG != 0 { Some(part(&mut at)?) } else { None };
        let (request, trace) = if tag & EXTENDED_TAG != 0 { extensions(&mut at)? } else { (None, None) };
        let packet = varint(&mut at)? as usize;
        let (head, own) = (whole - at.len(), if repeated { 0 } else { body });
        let stray = |part: Part| body != 0 || packet == 0 || packet as u64 > part.whole() || self.left != 1;
        if own as u64 + packet as u64 > at.len() as u64 || part.is_some_and(stray) || kind.is_control() != self.control
        {
            return Err(Skipped::Malformed);
        }
        self.frames.advance(head);
        let body = match &self.before {
            Some((_, body)) if repeated => body.clone(),
            _ => self.frames.split_to(own),
        };
        let packet = self.frames.split_to(packet);
        let (sender, counter, number) = (self.sender, self.counter, self.number);
        let head = Head { kind, sender, counter, number, part, request, trace };
        self.left -= 1;
        self.counter += 1;
        if let Some(number) = &mut self.number {
            number.n += 1;
        }
        if self.left > 0 {
            self.before = Some((kind, body.clone()));
        }
        Ok(Frame { head, body, packet })
    }
}

/// The number of a run's first frame. Every numbered frame takes one of its sender's counts, so no honest number is above the
/// counter: one that is would make its receivers wait for frames that never come.
fn number(mut behind: &[u8], counter: u64, count: u16) -> Result<Number, Skipped> {
    if behind.len() < NUMBER {
        return Err(Skipped::Malformed);
    }
    let number = Number { epoch: behind.get_u64_le(), n: behind.get_u64_le() };
    let last = number.n.checked_add(u64::from(count));
    if number.n == 0 || last.is_none() || number.n > counter || number.epoch > counter {
        return Err(Skipped::Malformed);
    }
    Ok(number)
}

fn byte(at: &mut &[u8]) -> Result<u8, Skipped> {
    let (first, rest) = at.split_first().ok_or(Skipped::Malformed)?;
    *at = rest;
    Ok(*first)
}

/// Seven bits a byte, the lowest first; at most 32 bits.
fn varint(at: &mut &[u8]) -> Result<u32, Skipped> {
    let first = byte(at)?;
    if first < 128 {
        return Ok(u32::from(first));
    }
    let mut value = u64::from(first & 127);
    for shift in [7, 14, 21, 28] {
        let next = byte(at)?;
        value |= u64::from(next & 127) << shift;
        if next < 128 {
            return u32::try_from(value).map_err(|_| Skipped::Malformed);
        }
    }
    Err(Skipped::Malformed)
}

fn part(at: &mut &[u8]) -> Result<Part, Skipped> {
    let part = Part { index: varint(at)?, of: varint(at)?, body: varint(at)?, packet: varint(at)? };
    // No piece is empty, so there are no more of them than bytes.
    let possible = part.of >= 2 && part.index < part.of && u64::from(part.of) <= part.whole();
    if possible { Ok(part) } else { Err(Skipped::Malformed) }
}

/// Reads the extensions that this build knows and passes over the others.
fn extensions(at: &mut &[u8]) -> Result<(Option<u64>, Option<TraceContext>), Skipped> {
    let len = varint(at)? as usize;
    let Some((mut extensions, rest)) = at.split_at_checked(len) else { return Err(Skipped::Malformed) };
    *at = rest;
    let (mut request, mut trace) = (None, None);
    while !extensions.is_empty() {
        let kind = byte(&mut extensions)?;
        let len = varint(&mut extensions)? as usize;
        let Some((value, rest)) = extensions.split_at_checked(len) else { return Err(Skipped::Malformed) };
        extensions = rest;
        // Given twice, readers would differ in what it means.
        let fine = match kind {
            REQUEST_EXTENSION => {
                value.try_into().is_ok_and(|value| request.replace(u64::from_le_bytes(value)).is_none())
            }
            TRACE_EXTENSION => value.try_into().is_ok_and(|value| trace.replace(value).is_none()),
            _ => true,
        };
        if !fine {
            return Err(Skipped::Malformed);
        }
    }
    Ok((request, trace.and_then(TraceContext::from_bytes)))
}
