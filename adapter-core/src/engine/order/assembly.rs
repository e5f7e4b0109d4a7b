//! Large messages: taken apart for a link with small frames, and put together again.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};

use crate::model::Limits;
use crate::wire::{Frame, Head, MissingPieces, Part, RESEND_ROOM, Range, TRACED_OVERHEAD};

/// The pieces of a body and packet, for a link that takes messages of `max` bytes. None when it fits as it is.
pub(crate) fn split(head: &Head, body: &Bytes, packet: &Bytes, max: usize) -> Option<Vec<(Head, Bytes)>> {
    let total = body.len() + packet.len();
    if head.overhead() + total <= max {
        return None;
    }
    let mut head = *head;
    let mut part = Part { index: 0, of: 0, body: body.len() as u32, packet: packet.len() as u32 };
    head.part = Some(part);
    part.of = total.div_ceil(max.saturating_sub(head.overhead()).max(1)) as u32;
    // By their number alone: pieces of two cuts go together where both cuts have as many.
    let piece = total.div_ceil(part.of as usize);
    let slice = |from: usize, to: usize| match (from.min(body.len()), to.min(body.len())) {
        (start, end) if start == end => packet.slice(from - body.len()..to - body.len()),
        (start, end) if to <= body.len() => body.slice(start..end),
        // The one piece that holds the end of the body and the start of the packet.
        (start, end) => [&body[start..end], &packet[..to - body.len()]].concat().into(),
    };
    let pieces = (0..part.of).map(|index| {
        let from = index as usize * piece;
        part.index = index;
        head.part = Some(part);
        (head, slice(from, total.min(from + piece)))
    });
    Some(pieces.collect())
}

/// A message of which everything has come.
#[derive(Debug)]
pub(crate) enum Whole {
    AsItCame(Frame),
    /// The pieces of a large one.
    InPieces(Assembly),
}

impl Whole {
    pub(crate) fn head(&self) -> &Head {
        match self {
            Self::AsItCame(frame) => &frame.head,
            Self::InPieces(assembly) => &assembly.head,
        }
    }

    /// The last byte behind the header.
    pub(crate) fn last_byte(&self) -> Option<u8> {
        match self {
            Self::AsItCame(Frame { body, packet, .. }) => packet.last().or(body.last()).copied(),
            Self::InPieces(assembly) => assembly.pieces.values().rev().find_map(|piece| piece.last().copied()),
        }
    }

    /// In one piece. Copies a large message, so no lock should be held.
    pub(crate) fn into_frame(self) -> Frame {
        match self {
            Self::AsItCame(frame) => frame,
            Self::InPieces(assembly) => assembly.join(),
        }
    }
}

/// What holding a piece costs beside its bytes, and what their message costs before the first.
const PIECE: usize = 128;
const BEGUN: usize = 640;

/// The pieces of one message that have come so far. Holds what came, whatever was claimed.
#[derive(Debug)]
pub(crate) struct Assembly {
    head: Head,
    part: Part,
    pieces: BTreeMap<u32, Bytes>,
    bytes: usize,
}

impl Assembly {
    /// Begins with the first piece that came. None when the message is over `max` bytes.
    pub(crate) fn begin(head: Head, part: Part, max: usize) -> Option<Self> {
        let total = u64::from(part.body) + u64::from(part.packet);
        // No piece but the last is smaller than what the smallest link takes.
        let smallest = (Limits::MIN_FRAME - RESEND_ROOM - TRACED_OVERHEAD) as u64;
        let fits = total <= max as u64 && u64::from(part.of) <= total / smallest + 1;
        fits.then(|| Self { head, part, pieces: BTreeMap::new(), bytes: 0 })
    }

    /// Takes a piece; returns how many bytes are held more for it. One that does not belong is not taken.
    pub(crate) fn add(&mut self, part: Part, piece: Bytes) -> usize {
        let of_this = Part { index: part.index, ..self.part } == part;
        let left = (self.part.body as usize + self.part.packet as usize) - self.bytes;
        if !of_this || piece.len() > left || self.pieces.contains_key(&part.index) {
            return 0;
        }
        let more = piece.len();
        self.bytes += more;
        self.pieces.insert(part.index, piece);
        more + PIECE
    }

    /// The message was sent again, and cut for another size: what came of the first cut is of no use. Returns how many
    /// bytes were let go.
    pub(crate) fn begin_anew_if_cut_differently(&mut self, part: Part) -> usize {
        let same = (part.body, part.packet) == (self.part.body, self.part.packet);
        if !same || part.of == self.part.of {
            return 0;
        }
        let held = self.bytes() - BEGUN;
        self.part = part;
        self.pieces.clear();
        self.bytes = 0;
        held
    }

    /// How much is held.
    pub(crate) fn bytes(&self) -> usize {
        BEGUN + self.bytes + PIECE * self.pieces.len()
    }

    /// Whether every piece is there and they make up the whole.
    pub(crate) fn is_complete(&self) -> bool {
        self.pieces.len() == self.part.of as usize && self.bytes == self.part.body as usize + self.part.packet as usize
    }

    /// What is missing of it, which is message `n`, in so many ranges at the most.
    pub(crate) fn missing(&self, n: u64, most: usize) -> MissingPieces {
        let (mut missing, mut at) = (Vec::new(), 0);
        for there in self.pieces.keys().copied().chain([self.part.of]) {
            if there > at && missing.len() < most {
                missing.push(Range { first: at.into(), count: (there - at).into() });
            }
            at = there.saturating_add(1);
        }
        MissingPieces { n, of: self.part.of, missing }
    }

    /// The message; only to be called when it is complete.
    fn join(self) -> Frame {
        let mut whole = BytesMut::with_capacity(self.bytes);
        self.pieces.values().for_each(|piece| whole.extend_from_slice(piece));
        let mut body = whole.freeze();
        let packet = body.split_off(body.len().min(self.part.body as usize));
        Frame { head: Head { part: None, ..self.head }, body, packet }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{NodeId, TraceContext};
    use crate::wire::{Kind, Message, Number};

    fn head() -> Head {
        let number = Some(Number { epoch: 1, n: 1 });
        let trace = TraceContext::new([1; 16], [2; 8], 1);
        Head { number, trace, ..Head::new(Kind::BROADCAST, NodeId::from_bytes([1; 16]), 1) }
    }

    #[test]
    fn g13_every_size_around_the_limit_comes_back_whole_from_any_order() {
        for max in [512, 513, 600] {
            for (body, packet) in
                [(0, 400), (0, 440), (10, 500), (500, 10), (511, 512), (0, 3000), (3000, 0), (1000, 1000)]
            {
                let body = Bytes::from((0..body).map(|i| i as u8).collect::<Vec<_>>());
                let packet = Bytes::from((0..packet).map(|i| !i as u8).collect::<Vec<_>>());
                let Some(mut pieces) = split(&head(), &body, &packet, max) else {
                    assert!(head().overhead() + body.len() + packet.len() <= max);
                    continue;
                };
                pieces.reverse();
                let part = |head: &Head| head.part.expect("a part");
                let mut assembly = Assembly::begin(pieces[0].0, part(&pieces[0].0), 10_000).expect("fits");
                for (head, piece) in &pieces {
                    let len = Message::of(head, &[], piece).len();
                    assert!(!assembly.is_complete() && len <= max);
                    assembly.add(part(head), piece.clone());
                    assert_eq!(assembly.add(part(head), piece.clone()), 0, "a copy is not taken");
                }
                assert!(assembly.is_complete());
                assert_eq!(assembly.join(), Frame { head: head(), body, packet });
            }
        }
    }

    #[test]
    fn g14_claims_are_not_believed() {
        let claim = |of, body, packet| Part { index: 0, of, body, packet };
        assert!(Assembly::begin(head(), claim(2, u32::MAX, u32::MAX), 1 << 24).is_none());
        assert!(Assembly::begin(head(), claim(u32::MAX, 10, 10), 1 << 24).is_none());
        assert!(Assembly::begin(head(), claim(4, 400, 400), 1 << 24).is_none(), "no link has pieces so small");
        let mut assembly = Assembly::begin(head(), claim(2, 400, 400), 1 << 24).expect("fits");
        assert_eq!(assembly.add(claim(2, 400, 400), vec![0; 801].into()), 0);
        assert_eq!(assembly.add(claim(3, 400, 400), Bytes::from_static(b"a")), 0, "of another message");
    }
}
