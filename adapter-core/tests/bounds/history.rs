//! What was sent and is kept for those who miss it.

use std::time::Instant;

use super::{Full, LARGE, SMALL, Table, full, packet, part_of};
use crate::engine::{Delivery, Engine, Keep, Outcome, Settings};
use crate::model::{Limits, Namespace, Node, NodeId, Packet, Target};
use crate::wire::Operation;

pub(super) fn rows(table: &mut Table) {
    let rows = [("64 B", SMALL), ("1 KiB", 1 << 10), ("5 KiB", 5 << 10), ("64 KiB", LARGE), ("3 MiB", 3 << 20)];
    for (name, len) in rows {
        table.row("history", &format!("packets of {name}, each a message"), |part| fill(part, len, 1));
    }
    table.row("history", "packets of 64 B, packed", |part| fill(part, SMALL, 2_000));
    table.row("history", "packets of 1 KiB, three in a message", |part| fill(part, 1 << 10, 3));
}

/// Sends more than is kept, so many packets at a time.
fn fill(part: f64, len: usize, at_once: usize) -> Full {
    let (now, bound) = (Instant::now(), part_of(16 << 20, part));
    let node = Node { id: NodeId::from_bytes([1; 16]), name: String::new() };
    let defaults = Settings::new(node);
    let settings = Settings { keep_sent: Keep { bytes: bound, ..defaults.keep_sent }, ..defaults };
    let namespace = Namespace::new("/").expect("valid");
    full(|| {
        let mut engine = Engine::new(settings, Limits::max_frame(1 << 20), now);
        let mut sent = 0;
        while sent < 2 * bound {
            for _ in 0..at_once {
                let packet = Packet::opaque(packet(len));
                let operation =
                    Operation::Broadcast { namespace: namespace.clone(), target: Target::everyone(), packet };
                engine.send(operation.encode(), Delivery::Numbered, 0, now);
                sent += 300 + len;
            }
            while !engine.pack(now).is_empty() {
                engine.record_outcome(Outcome::Sent, now);
                drop(engine.take_released());
            }
        }
        let kept = engine.stats().history_bytes as usize;
        (engine, kept)
    })
}
