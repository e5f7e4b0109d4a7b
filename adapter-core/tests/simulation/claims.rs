//! Pieces of messages that are claimed to be large, and of which no second one ever comes (G14).

use std::time::Instant;

use bytes::Bytes;

use super::node::id;
use crate::engine::{Engine, Incoming, Settings};
use crate::model::{Limits, Node};
use crate::wire::{Head, Kind, Message, Number, Part};

const PIECES: u64 = 1_000;

/// The first of very many pieces, of a packet as large as is taken.
fn piece(counter: u64, numbered: bool, max_message: usize) -> Bytes {
    let (of, body, packet) = (max_message as u32 / 500, 10, max_message as u32 - 10);
    let number = numbered.then_some(Number { epoch: 1, n: counter });
    let part = Some(Part { index: 0, of, body, packet });
    let head = Head { number, part, ..Head::new(Kind::BROADCAST, id(1, 1), counter) };
    Message::of(&head, b"", b"piece")
}

#[test]
fn g14_a_piece_costs_what_it_has_and_not_what_it_claims() {
    for numbered in [false, true] {
        let now = Instant::now();
        let settings = Settings::new(Node { id: id(1, 0), name: String::new() });
        let pieces: Vec<_> = (1..=PIECES).map(|counter| piece(counter, numbered, settings.max_message)).collect();
        let claimed = PIECES * settings.max_message as u64;
        let mut engine = Engine::new(settings, Limits::max_frame(1 << 20), now);
        let cost = allocation_counter::measure(|| {
            for piece in pieces {
                engine.receive(&mut Incoming::new(false, piece, now), 10, now);
            }
        });
        assert!(cost.bytes_max < PIECES * 4_096, "{} bytes for {PIECES} pieces, numbered: {numbered}", cost.bytes_max);
        assert!(cost.bytes_max < claimed / 1_000);
        let gauge = engine.gauge();
        assert!(gauge.held_bytes + gauge.assembled_bytes > 0, "no piece was kept, numbered: {numbered}");
    }
}
