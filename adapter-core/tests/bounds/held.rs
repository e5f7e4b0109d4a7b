//! What is held for senders: frames behind a hole, and the pieces of large messages.

use std::time::Instant;

use bytes::Bytes;

use super::{Full, LARGE, SMALL, Table, full, packet, part_of};
use crate::engine::{Engine, Incoming, Settings};
use crate::model::{Limits, Namespace, Node, NodeId, Packet, Target};
use crate::wire::{Head, Kind, Message, Number, OVERHEAD, Operation, Part};

/// So many senders share the bound.
const SENDERS: u64 = 16;
/// The smallest piece that the smallest link makes.
const PIECE: usize = Limits::MIN_FRAME - OVERHEAD;

pub(super) fn rows(table: &mut Table) {
    let held = "held behind a hole";
    table.row(held, "frames of 64 B, a message each", |part| fill(part, |n| whole(n, SMALL)));
    table.row(held, "frames of 64 KiB, a message each", |part| fill(part, |n| whole(n, LARGE)));
    table.row(held, "frames of 64 B in messages of 64 KiB", |part| fill(part, packed));
    for share in [40, 51, 60, 70] {
        let with = format!("frames of {share} % of their message");
        table.row(held, &with, |part| fill(part, |n| share_of(n, share)));
    }
    let numbered = "large messages in pieces";
    table.row(numbered, "pieces of 64 KiB", |part| fill(part, |n| piece(n, true, LARGE, 60, 0)));
    table.row(numbered, "pieces of a link of 512 B", |part| fill(part, |n| piece(n, true, PIECE, 200, 0)));
    table.row(numbered, "the last piece alone, of 64 B", |part| fill(part, |n| last_piece(n, true)));
    table.row(numbered, "pieces of 400 B in messages of 64 KiB", |part| {
        fill(part, |n| piece(n, true, PIECE, 200, LARGE))
    });
    let unnumbered = "emitters' large messages";
    table.row(unnumbered, "pieces of 64 KiB", |part| fill(part, |n| piece(n, false, LARGE, 60, 0)));
    table.row(unnumbered, "pieces of a link of 512 B", |part| fill(part, |n| piece(n, false, PIECE, 2_000, 0)));
    table.row(unnumbered, "pieces of 400 B in messages of 64 KiB", |part| {
        fill(part, |n| piece(n, false, PIECE, 500, LARGE))
    });
}

/// Gives a node messages `0`, `1`, .. until no more is held.
fn fill(part: f64, message: impl Fn(u64) -> Bytes) -> Full {
    let now = Instant::now();
    full(|| {
        let settings = Settings::new(Node { id: NodeId::from_bytes([9; 16]), name: String::new() });
        // A quarter of the defaults, to be filled soon.
        let (held_bytes, max_message) =
            (part_of(settings.held_bytes / 4, part), part_of(settings.max_message / 4, part));
        let settings = Settings { held_bytes, max_message, ..settings };
        let mut engine = Engine::new(settings, Limits::max_frame(1 << 20), now);
        let (mut outputs, mut accounted) = (Default::default(), 0);
        for n in 0.. {
            engine.receive(&mut Incoming::new(false, message(n), now), 100_000, now);
            engine.take_outputs(&mut outputs);
            outputs.clear();
            let gauge = engine.gauge();
            // The bound lets go of what was held longest.
            if n > 100 && gauge.held_bytes + gauge.assembled_bytes <= accounted {
                accounted = gauge.held_bytes + gauge.assembled_bytes;
                break;
            }
            accounted = gauge.held_bytes + gauge.assembled_bytes;
        }
        (engine, accounted)
    })
}

/// The frame `n` of all senders; each leaves out its first.
fn head(n: u64, numbered: bool) -> Head {
    let mut sender = [1; 16];
    sender[0] = (n % SENDERS) as u8;
    let count = 2 + n / SENDERS;
    let number = numbered.then_some(Number { epoch: 1, n: count });
    Head { number, ..Head::new(Kind::BROADCAST, NodeId::from_bytes(sender), count) }
}

fn whole(n: u64, len: usize) -> Bytes {
    let (namespace, target) = (Namespace::new("/").expect("valid"), Target::everyone());
    let content = Operation::Broadcast { namespace, target, packet: Packet::opaque(packet(len)) }.encode();
    Message::of(&head(n, true), &content.body, &content.packet)
}

/// A full message of small frames.
fn packed(n: u64) -> Bytes {
    let mut message = Message::default();
    for more in 0.. {
        if message.len() + OVERHEAD + SMALL > LARGE {
            break;
        }
        let first = head(n, true);
        let count = n / SENDERS * 10_000 + 2 + more;
        let number = Some(Number { epoch: 1, n: count });
        message.add(&Head { counter: count, number, ..first }, &[0; 8], &packet(SMALL));
    }
    exact(message)
}

/// A message of which so many hundredths are held, and the rest is carried out at once.
fn share_of(n: u64, share: usize) -> Bytes {
    let mut message = Message::default();
    message.add(&head(n, true), &[0; 8], &packet(LARGE * share / 100));
    let counter = 1 << 40 | n;
    message.add(&Head { number: None, counter, ..head(n, true) }, &[0; 8], &packet(LARGE - LARGE * share / 100));
    exact(message)
}

/// A piece of a large message, of which the first is missing. Behind it, its message holds so many bytes more.
fn piece(n: u64, numbered: bool, len: usize, of: u32, more: usize) -> Bytes {
    let (whole, index) = (n / u64::from(of - 1), 1 + (n % u64::from(of - 1)) as u32);
    let packet_len = (len * of as usize) as u32;
    let mut message = Message::default();
    let part = Some(Part { index, of, body: 0, packet: packet_len });
    message.add(&Head { part, ..head(whole, numbered) }, &[], &packet(len));
    if more > 0 {
        let sender = NodeId::from_bytes([8; 16]);
        message.add(&Head { number: None, counter: n + 1, sender, ..head(whole, true) }, &[0; 8], &packet(more));
    }
    exact(message)
}

/// As it comes from a broker: without room to grow.
fn exact(message: Message) -> Bytes {
    Bytes::copy_from_slice(&message.freeze())
}

/// The last piece of a message of two.
fn last_piece(n: u64, numbered: bool) -> Bytes {
    let part = Some(Part { index: 1, of: 2, body: 0, packet: (PIECE + SMALL) as u32 });
    Message::of(&Head { part, ..head(n, numbered) }, &[], &packet(SMALL))
}
