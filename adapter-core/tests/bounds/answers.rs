//! Answers that wait to be sent: of sockets, which travel together, and of the node.

use std::time::Instant;

use bytes::Bytes;

use super::{Full, LARGE, SMALL, Table, full, packet, part_of};
use crate::engine::{Engine, Incoming, ReplyTo, Settings};
use crate::model::{Limits, Node, NodeId, SocketId};
use crate::wire::{Answer, Head, Kind, Message, Number};

pub(super) fn rows(table: &mut Table) {
    let acks = "answers of sockets";
    for (with, len) in [("of 0 B", 0), ("of 64 B", SMALL), ("of 64 KiB", LARGE)] {
        table.row(acks, with, |part| fill(part, |engine, to, n| engine.ack(to, socket(n), Ok(packet(len)))));
    }
    table.row(acks, "of 64 B, a question each", |part| {
        fill(part, |engine, to, n| engine.ack(ReplyTo { request: n, ..to }, socket(n), Ok(packet(SMALL))))
    });
    table.row(acks, "none, a question each", |part| {
        fill(part, |engine, to, n| engine.end_acks(ReplyTo { request: n, ..to }))
    });
    table.row(acks, "names of who will answer", |part| {
        fill(part, |engine, to, n| {
            engine.expect_acks(to, (0..100).map(|more| socket(n * 100 + more)).collect());
        })
    });
    let answers = "answers of the node";
    for (with, len) in [("of 0 B", 0), ("of 64 B", SMALL), ("of 64 KiB", LARGE)] {
        table.row(answers, with, |part| {
            fill(part, |engine, to, n| {
                let to = ReplyTo { request: n, ..to };
                engine.answer(to, vec![Answer::Server(packet(len)).encode()], Instant::now());
            })
        });
    }
}

fn socket(n: u64) -> SocketId {
    SocketId::new(format!("{n:020}")).expect("valid")
}

/// Answers a node until there is no room.
fn fill(part: f64, answer: impl Fn(&mut Engine, ReplyTo, u64)) -> Full {
    let now = Instant::now();
    let asker = NodeId::from_bytes([1; 16]);
    full(|| {
        let settings = Settings::new(Node { id: NodeId::from_bytes([9; 16]), name: String::new() });
        let settings = Settings { max_answers: part_of(settings.max_answers / 2, part), ..settings };
        let mut engine = Engine::new(settings, Limits::max_frame(1 << 20), now);
        engine.receive(&mut Incoming::new(false, hello(asker), now), 1, now);
        let mut n = 0;
        while engine.stats().answers_dropped == 0 {
            answer(&mut engine, ReplyTo { node: asker, request: 1 }, n);
            n += 1;
        }
        let accounted = engine.gauge().answer_bytes;
        (engine, accounted)
    })
}

/// The asker is known.
fn hello(asker: NodeId) -> Bytes {
    let number = Some(Number { epoch: 1, n: 1 });
    Message::of(&Head { number, ..Head::new(Kind::BROADCAST, asker, 1) }, &[], &[])
}
