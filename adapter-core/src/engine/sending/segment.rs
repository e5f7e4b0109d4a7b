//! What waits to be sent, in the messages that it is sent in.

use std::sync::Arc;
use std::time::Instant;

use bytes::{Bytes, BytesMut};

use super::Destination;
use crate::engine::order::split;
use crate::wire::{Content, Frame, Frames, Head, Message, OVERHEAD, RESEND_ROOM};

/// A packet above this, or a body without one, is not copied into a segment: the segment is a message of its own, put together
/// when it is sent.
const BY_REFERENCE: usize = 4 << 10;
/// A large message is cut into pieces of this size at the most, so that others get through between them.
const LARGEST_PIECE: usize = 1 << 20;

/// How messages are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Packing {
    /// The largest message that the link takes.
    pub(crate) max_frame: usize,
    /// How far frames are packed into one message.
    pub(crate) max_packed: usize,
}

/// One message for the broker: written when its frames are queued, sent as it is, and sent again as it is.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) to: Destination,
    /// Its turn among all that were ever queued; what it is cut into has the same.
    pub(super) turn: u64,
    what: What,
    /// How many of the application's messages end in it.
    pub(super) messages: u64,
    /// What is given back when it is gone: room of the senders, and of the answers.
    pub(super) room: usize,
    pub(super) answer_bytes: usize,
    pub(super) at: Instant,
    /// The first number in it.
    first: Option<u64>,
    /// The newest number that is complete with it: a mark must not name a message of which pieces are still to be sent.
    pub(super) newest: Option<u64>,
}

/// The numbers of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Numbers {
    pub(super) first: u64,
    pub(super) last: u64,
    /// If it is a piece of a large one: which, of how many.
    pub(super) piece: Option<(u32, u32)>,
}

#[derive(Debug)]
enum What {
    /// More frames may follow.
    Open(Message),
    /// And how much memory its bytes take.
    Written(Bytes, usize),
    /// A frame whose packet is somewhere else, or whose body is and which has no packet.
    Joined(Bytes, Bytes),
    /// A piece of a large message, as it was cut.
    Piece(Arc<Large>, (u32, u32), Bytes, Bytes),
}

/// A message that is sent in pieces.
#[derive(Debug)]
struct Large {
    head: Head,
    content: Content,
}

/// What a message for the broker consists of.
#[derive(Clone, Debug)]
pub(crate) struct Payload {
    /// What stands before a message that is sent again.
    again: Bytes,
    before: Bytes,
    /// The application's own bytes.
    packet: Bytes,
    /// How much memory `before` takes.
    written: usize,
}

impl Payload {
    /// In one piece. Copies a large packet, so no lock should be held.
    pub(crate) fn into_bytes(self) -> Bytes {
        let parts = [&self.again, &self.before, &self.packet];
        if let [only] = &parts.iter().filter(|part| !part.is_empty()).collect::<Vec<_>>()[..] {
            return Bytes::clone(only);
        }
        let mut bytes = BytesMut::with_capacity(parts.iter().map(|part| part.len()).sum());
        parts.iter().for_each(|part| bytes.extend_from_slice(part));
        bytes.freeze()
    }

    pub(super) fn whole(bytes: Bytes) -> Self {
        let written = bytes.len();
        Self { again: Bytes::new(), before: bytes, packet: Bytes::new(), written }
    }

    /// The same behind something.
    pub(super) fn behind(self, again: Bytes) -> Self {
        Self { again, ..self }
    }

    /// The application's own bytes in it.
    pub(crate) fn packet(&self) -> &Bytes {
        &self.packet
    }

    /// The application's own bytes in it, if there are any.
    pub(super) fn into_packet(self) -> Option<Bytes> {
        Some(self.packet).filter(|packet| !packet.is_empty())
    }

    pub(super) fn len(&self) -> usize {
        self.again.len() + self.before.len() + self.packet.len()
    }

    /// How much memory it takes.
    pub(super) fn held(&self) -> usize {
        self.again.len() + self.written + self.packet.len()
    }
}

/// What a message costs until it is gone.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Cost {
    pub(super) room: usize,
    pub(super) answer_bytes: usize,
}

impl Packing {
    /// How far a message may grow: what is sent again has something before it.
    fn room(&self) -> usize {
        self.max_packed.min(self.max_frame - RESEND_ROOM)
    }

    /// The largest message that is not cut.
    fn largest(&self) -> usize {
        (self.max_frame - RESEND_ROOM).min(LARGEST_PIECE + OVERHEAD)
    }
}

/// Whether it has no packet, and a body that is not copied.
fn is_large_body(content: &Content) -> bool {
    content.packet.is_empty() && content.body.len() > BY_REFERENCE
}

impl Segment {
    /// The messages that a frame needs: one, or as many as it has pieces.
    pub(super) fn of(
        to: Destination,
        head: Head,
        content: Content,
        cost: Cost,
        at: Instant,
        packing: &Packing,
    ) -> Vec<Self> {
        let first = head.number.map(|number| number.n);
        let new = |what| Self { to, turn: 0, what, messages: 0, room: 0, answer_bytes: 0, at, first, newest: None };
        let mut segments: Vec<_> = match split(&head, &content.body, &content.packet, packing.largest()) {
            Some(pieces) => {
                let large = Arc::new(Large { head, content });
                let piece = |(head, piece): (Head, Bytes)| {
                    let mut message = Message::default();
                    message.add_without_packet(&head, &[], piece.len());
                    let piece_of = head.part.map_or((0, 1), |part| (part.index, part.of));
                    new(What::Piece(Arc::clone(&large), piece_of, message.freeze(), piece))
                };
                pieces.into_iter().map(piece).collect()
            }
            None => {
                let mut message = Message::default();
                if is_large_body(&content) {
                    message.add_without_body(&head, content.body.len());
                    vec![new(What::Joined(message.freeze(), content.body))]
                } else if content.packet.len() > BY_REFERENCE {
                    message.add_without_packet(&head, &content.body, content.packet.len());
                    vec![new(What::Joined(message.freeze(), content.packet))]
                } else {
                    message.add(&head, &content.body, &content.packet);
                    vec![new(What::Open(message))]
                }
            }
        };
        if let Some(last) = segments.last_mut() {
            (last.messages, last.room, last.answer_bytes) = (1, cost.room, cost.answer_bytes);
            last.newest = head.number.map(|number| number.n);
        }
        segments
    }

    /// Takes a frame if there is room.
    pub(super) fn add(&mut self, head: &Head, content: &Content, cost: Cost, packing: &Packing) -> bool {
        let What::Open(message) = &mut self.what else { return false };
        let large = content.packet.len() > BY_REFERENCE || is_large_body(content);
        if large || message.len() + head.overhead() + content.len() > packing.room() {
            return false;
        }
        message.add(head, &content.body, &content.packet);
        self.messages += 1;
        self.room += cost.room;
        self.answer_bytes += cost.answer_bytes;
        if let Some(number) = head.number {
            self.first.get_or_insert(number.n);
            self.newest = Some(number.n);
        }
        true
    }

    /// Whether frames may still be added to it.
    pub(super) fn is_open(&self) -> bool {
        matches!(self.what, What::Open(_))
    }

    pub(super) fn len(&self) -> usize {
        match &self.what {
            What::Open(message) => message.len(),
            What::Written(bytes, _) => bytes.len(),
            What::Joined(before, packet) | What::Piece(_, _, before, packet) => before.len() + packet.len(),
        }
    }

    /// What is sent. Nothing is added to it any more.
    pub(super) fn payload(&mut self) -> Payload {
        if let What::Open(message) = &mut self.what {
            let (held, message) = (message.capacity(), std::mem::take(message));
            self.what = What::Written(message.freeze(), held);
        }
        match &self.what {
            What::Open(_) => Payload::whole(Bytes::new()), // it was written above
            What::Written(bytes, held) => Payload { written: *held, ..Payload::whole(bytes.clone()) },
            What::Joined(before, packet) | What::Piece(_, _, before, packet) => {
                Payload { packet: packet.clone(), ..Payload::whole(before.clone()) }
            }
        }
    }

    /// Its numbers, if it has any.
    pub(super) fn numbers(&self) -> Option<Numbers> {
        let first = self.first?;
        let piece = match &self.what {
            What::Piece(_, piece, ..) => Some(*piece),
            _ => None,
        };
        Some(Numbers { first, last: self.newest.unwrap_or(first), piece })
    }

    /// The number of the message of which this is a piece, if it is not the first one.
    pub(super) fn begun(&self) -> Option<u64> {
        match &self.what {
            What::Piece(large, (1.., _), ..) => large.head.number.map(|number| number.n),
            _ => None,
        }
    }

    /// Whether both are pieces of one message.
    pub(super) fn is_of_the_same(&self, other: &Self) -> bool {
        matches!((&self.what, &other.what), (What::Piece(one, ..), What::Piece(other, ..)) if Arc::ptr_eq(one, other))
    }

    /// The same frames in smaller messages: for a link that takes less than the one they were packed for, or one by one. Of a
    /// large message, the pieces that follow this one are to be dropped; their cost is in `rest`.
    pub(super) fn cut_again(self, rest: &[Self], packing: &Packing) -> Vec<Self> {
        let cost = rest.iter().fold(Cost { room: self.room, answer_bytes: self.answer_bytes }, |cost, piece| Cost {
            room: cost.room + piece.room,
            answer_bytes: cost.answer_bytes + piece.answer_bytes,
        });
        let (to, at, turn) = (self.to, self.at, self.turn);
        let mut segments = if let What::Piece(large, ..) = &self.what {
            Self::of(to, large.head, large.content.clone(), cost, at, packing)
        } else {
            self.packed_again(cost, packing)
        };
        segments.iter_mut().for_each(|segment| segment.turn = turn);
        segments
    }

    fn packed_again(mut self, cost: Cost, packing: &Packing) -> Vec<Self> {
        let (to, at) = (self.to, self.at);
        let mut segments: Vec<Self> = Vec::new();
        for Frame { head, body, packet } in Frames::new(self.payload().into_bytes()).flatten() {
            let content = Content { kind: head.kind, body, packet, trace: head.trace };
            let last = segments.last_mut();
            if !last.is_some_and(|last| last.add(&head, &content, Cost::default(), packing)) {
                segments.extend(Self::of(to, head, content, Cost::default(), at, packing));
            }
        }
        if let Some(last) = segments.last_mut() {
            (last.room, last.answer_bytes) = (cost.room, cost.answer_bytes);
        }
        segments
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{NodeId, TraceContext};
    use crate::wire::{Kind, Number};

    fn trace(n: u64) -> Option<TraceContext> {
        TraceContext::new([1; 16], n.to_be_bytes(), 1).filter(|_| n % 2 == 1)
    }

    fn segments(n: u64, len: usize, packing: &Packing) -> Vec<Segment> {
        let (head, content) = frame(n, len);
        Segment::of(Destination::Cluster, head, content, Cost::default(), Instant::now(), packing)
    }

    fn frame(n: u64, len: usize) -> (Head, Content) {
        let content =
            Content { kind: Kind::BROADCAST, body: Bytes::new(), packet: vec![0; len].into(), trace: trace(n) };
        let number = Some(Number { epoch: 1, n });
        (Head { number, trace: trace(n), ..Head::new(content.kind, NodeId::from_bytes([1; 16]), n) }, content)
    }

    fn read(segments: Vec<Segment>, packing: &Packing) -> Vec<(u64, Option<TraceContext>)> {
        let messages = segments.into_iter().map(|mut segment| segment.payload().into_bytes());
        let fits = |message: &Bytes| assert!(message.len() <= packing.max_frame);
        let heads = messages.inspect(fits).flat_map(Frames::new).map(|frame| frame.expect("reads").head);
        heads.map(|head| (head.counter, head.trace)).collect()
    }

    #[test]
    fn what_is_cut_again_for_a_smaller_link_keeps_its_traces() {
        let packing = |max| Packing { max_frame: max, max_packed: max };
        let (wide, narrow) = (packing(2_000), packing(600));
        let mut packed = segments(1, 300, &wide).remove(0);
        for n in 2..=5 {
            let (head, content) = frame(n, 300);
            assert!(packed.add(&head, &content, Cost::default(), &wide));
        }
        let smaller = packed.cut_again(&[], &narrow);
        assert!(smaller.len() > 1);
        assert_eq!(read(smaller, &narrow), (1..=5).map(|n| (n, trace(n))).collect::<Vec<_>>());

        let mut pieces = segments(7, 3_000, &wide);
        let first = pieces.remove(0);
        let smaller = first.cut_again(&pieces, &narrow);
        assert!(smaller.len() > 1 + pieces.len());
        assert!(read(smaller, &narrow).iter().all(|read| *read == (7, trace(7))));
    }
}
