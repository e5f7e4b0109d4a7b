//! How a message is written: runs of frames, and what is known of a message at a glance.

use bytes::{BufMut, Bytes, BytesMut};

use super::frame::{Head, Number};
use super::kind::Kind;
use crate::model::{NodeId, TraceContext};

pub(super) const MAGIC: [u8; 2] = *b"RC";
/// The wire version that this build writes, and the newest that it reads.
pub(super) const VERSION: u8 = 1;

/// The head of a run, and the number behind it.
pub(super) const HEAD: usize = 36;
pub(super) const NUMBER: usize = 16;
const COUNT_AT: usize = 6;
const SENDER_AT: usize = 8;
const COUNTER_AT: usize = 24;
const LENGTH_AT: usize = 32;

pub(super) const NUMBERED_FLAG: u16 = 1;
pub(super) const CONTROL_FLAG: u16 = 2;

/// The bits of a frame's first byte.
pub(super) const REPEATED_TAG: u8 = 1;
pub(super) const PART_TAG: u8 = 2;
pub(super) const EXTENDED_TAG: u8 = 4;
pub(super) const TAGS: u8 = REPEATED_TAG | PART_TAG | EXTENDED_TAG;

pub(super) const REQUEST_EXTENSION: u8 = 1;
pub(super) const TRACE_EXTENSION: u8 = 2;
/// Its type, its length and eight bytes.
const REQUEST: usize = 10;
/// Its type, its length and its bytes.
const TRACE: usize = 2 + TraceContext::LEN;

/// What a frame without a trace context adds to its body and packet at the most: a run of its own, its kind, its part, its
/// request, its lengths.
pub(crate) const OVERHEAD: usize = HEAD + NUMBER + 1 + 3 + 5 + 4 * 5 + 1 + REQUEST + 5;
/// The same with a trace context.
pub(crate) const TRACED_OVERHEAD: usize = OVERHEAD + TRACE;

/// What stands before a message that is sent again, at the most: a frame of its own, of its channel and epoch.
pub(crate) const RESEND_ROOM: usize = HEAD + 1 + 2 + 1 + 1 + (1 + 9 + 1);

/// A message that is being written. It is well-formed after every frame.
#[derive(Debug, Default)]
pub(crate) struct Message {
    bytes: BytesMut,
    run: Option<Run>,
}

/// The run that the next frame may join.
#[derive(Debug)]
struct Run {
    at: usize,
    count: u16,
    /// Of the frame that would come next.
    counter: u64,
    number: Option<Number>,
    control: bool,
    /// Of the frame before: its kind, and where its body is.
    kind: Kind,
    body: std::ops::Range<usize>,
}

impl Message {
    /// One frame, for a message that needs no more.
    pub(crate) fn of(head: &Head, body: &[u8], packet: &[u8]) -> Bytes {
        let mut message =
            Self { bytes: BytesMut::with_capacity(head.overhead() + body.len() + packet.len()), run: None };
        message.add(head, body, packet);
        message.freeze()
    }

    /// Adds a frame. For a part, `body` is empty and `packet` the piece. Both are far below 4 GiB: the caller has checked
    /// them against the largest message.
    pub(crate) fn add(&mut self, head: &Head, body: &[u8], packet: &[u8]) {
        self.add_without_packet(head, body, packet.len());
        self.bytes.put_slice(packet);
    }

    /// The same for a packet that stays where it is, and is put behind the message by the caller; no frame may follow.
    pub(crate) fn add_without_packet(&mut self, head: &Head, body: &[u8], packet: usize) {
        debug_assert!(head.part.is_none() || body.is_empty(), "a part's piece is its packet");
        self.add_head(head, body.len(), Some(body), packet);
    }

    /// The same for a frame that has a body alone, of so many bytes.
    pub(crate) fn add_without_body(&mut self, head: &Head, body: usize) {
        self.add_head(head, body, None, 0);
    }

    /// Adds a frame as far as it is written here: without its packet, and without its body if there is none.
    fn add_head(&mut self, head: &Head, length: usize, body: Option<&[u8]>, packet: usize) {
        debug_assert!(length <= u32::MAX as usize && packet <= u32::MAX as usize, "over 4 GiB");
        if !self.run.as_ref().is_some_and(|run| run.takes(head)) {
            self.begin(head);
        }
        let Some(run) = &mut self.run else { return }; // it was begun above
        let repeated = run.count > 0 && run.kind == head.kind && Some(&self.bytes[run.body.clone()]) == body;
        let tag = |set: bool, tag: u8| if set { tag } else { 0 };
        let out = &mut self.bytes;
        out.put_u8(
            tag(repeated, REPEATED_TAG)
                | tag(head.part.is_some(), PART_TAG)
                | tag(head.request.is_some() || head.trace.is_some(), EXTENDED_TAG),
        );
        if !repeated {
            put_varint(out, u32::from(head.kind.0));
            put_varint(out, length as u32);
        }
        if let Some(part) = head.part {
            [part.index, part.of, part.body, part.packet].into_iter().for_each(|field| put_varint(out, field));
        }
        put_extensions(out, head);
        put_varint(out, packet as u32);
        if !repeated && let Some(body) = body {
            run.body = out.len()..out.len() + body.len();
            run.kind = head.kind;
            out.put_slice(body);
        }
        let elsewhere = packet + if body.is_none() { length } else { 0 };
        run.count += 1;
        run.counter = run.counter.wrapping_add(1); // nobody counts so far, but for a test
        if let Some(number) = &mut run.number {
            number.n += 1;
        }
        let length = (out.len() + elsewhere - run.at - HEAD) as u32;
        out[run.at + COUNT_AT..][..2].copy_from_slice(&run.count.to_le_bytes());
        out[run.at + LENGTH_AT..][..4].copy_from_slice(&length.to_le_bytes());
        if head.part.is_some() {
            self.run = None;
        }
    }

    fn begin(&mut self, head: &Head) {
        let at = self.bytes.len();
        let (control, out) = (head.kind.is_control(), &mut self.bytes);
        let flag = |set: bool, flag: u16| if set { flag } else { 0 };
        out.put_slice(&MAGIC);
        out.put_u8(VERSION);
        out.put_u8(VERSION); // the oldest version that can read it
        out.put_u16_le(flag(head.number.is_some(), NUMBERED_FLAG) | flag(control, CONTROL_FLAG));
        out.put_u16_le(0); // how many frames there are
        out.put_slice(head.sender.as_bytes());
        out.put_u64_le(head.counter);
        out.put_u32_le(0); // how many bytes follow
        if let Some(number) = head.number {
            out.put_u64_le(number.epoch);
            out.put_u64_le(number.n);
        }
        let body = self.bytes.len()..self.bytes.len();
        let run = Run { at, count: 0, counter: head.counter, number: head.number, control, kind: head.kind, body };
        self.run = Some(run);
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// How much memory its bytes take.
    pub(crate) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    pub(crate) fn freeze(self) -> Bytes {
        self.bytes.freeze()
    }
}

impl Run {
    fn takes(&self, head: &Head) -> bool {
        head.part.is_none()
            && self.count < u16::MAX
            && (self.counter, self.number, self.control) == (head.counter, head.number, head.kind.is_control())
    }
}

fn put_extensions(out: &mut BytesMut, head: &Head) {
    let length = head.request.map_or(0, |_| REQUEST) + head.trace.map_or(0, |_| TRACE);
    if length == 0 {
        return;
    }
    out.put_u8(length as u8);
    if let Some(request) = head.request {
        out.put_slice(&[REQUEST_EXTENSION, 8]);
        out.put_u64_le(request);
    }
    if let Some(trace) = head.trace {
        out.put_slice(&[TRACE_EXTENSION, TraceContext::LEN as u8]);
        out.put_slice(trace.as_bytes());
    }
}

fn put_varint(out: &mut BytesMut, mut value: u32) {
    while value >= 128 {
        out.put_u8(value as u8 | 128);
        value >>= 7;
    }
    out.put_u8(value as u8);
}

/// What the first run's head says of a message: whose it is, and whether it is control. Control frames and others never share
/// a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Glance {
    pub(crate) sender: NodeId,
    pub(crate) control: bool,
    /// Of its first frame.
    pub(crate) counter: u64,
    /// Of its first frame; `None` when it takes more than a byte, as it does from 128 on.
    pub(crate) kind: Option<Kind>,
}

impl Glance {
    /// None when the bytes are not of the protocol.
    pub(crate) fn at(message: &[u8]) -> Option<Self> {
        let head: &[u8; HEAD] = message.first_chunk()?;
        let sender: [u8; 16] = *head[SENDER_AT..].first_chunk()?;
        let flags = u16::from_le_bytes([head[4], head[5]]);
        let control = flags & CONTROL_FLAG != 0;
        let frame = if flags & NUMBERED_FLAG == 0 { HEAD } else { HEAD + NUMBER };
        let kind = message.get(frame + 1).filter(|byte| **byte < 128); // behind the tags, a varint
        let counter = u64::from_le_bytes(*head[COUNTER_AT..].first_chunk()?);
        head.starts_with(&MAGIC).then(|| Self {
            sender: NodeId::from_bytes(sender),
            control,
            counter,
            kind: kind.map(|byte| Kind(u16::from(*byte))),
        })
    }
}
