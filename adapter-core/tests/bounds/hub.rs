//! What waits for one socket of a hub that does not read.

use std::time::Duration;

use bytes::Bytes;

use super::{Full, LARGE, SMALL, Table, full, packet, part_of};
use crate::hub::{Hub, SlowPolicy};
use crate::model::{AckError, Packet, PacketFormat, SocketId, Target};
use crate::seams::{AckSink, Acks, LocalSockets};

pub(super) fn rows(table: &mut Table) {
    let queue = "Hub, queue of one socket";
    table.row(queue, "packets of 0 B", |part| fill(part, |hub| hub.broadcast(&everyone(), &local(0))));
    table.row(queue, "packets of 64 B", |part| fill(part, |hub| hub.broadcast(&everyone(), &local(SMALL))));
    table.row(queue, "packets of 64 KiB", |part| fill(part, |hub| hub.broadcast(&everyone(), &local(LARGE))));
    table.row(queue, "64 B of messages of 64 KiB", |part| fill(part, |hub| hub.broadcast(&everyone(), &received())));
    table.row(queue, "64 B that want an answer", |part| {
        fill(part, |hub| {
            let acks = Acks::new(Nobody);
            hub.broadcast_with_ack(&everyone(), &local(SMALL), Duration::from_secs(5), acks);
        })
    });
}

fn everyone() -> Target {
    Target::everyone()
}

fn local(len: usize) -> Packet {
    Packet::opaque(packet(len))
}

fn received() -> Packet {
    Packet::received(PacketFormat::Opaque, packet(LARGE).slice(100..100 + SMALL))
}

fn fill(part: f64, send: impl Fn(&Hub)) -> Full {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = runtime.expect("a runtime");
    let _here = runtime.enter();
    let hub = Hub::builder()
        .queue(part_of(65_536, part))
        .queue_bytes(part_of(128 << 20, part))
        .slow(SlowPolicy::DropNewest)
        .build();
    let socket = hub.connect().expect("random");
    let full = full(|| {
        while hub.stats().dropped_slow == 0 {
            send(&hub);
        }
        ((), hub.stats().queued_bytes as usize)
    });
    drop(socket);
    full
}

/// Takes no answers.
struct Nobody;

impl AckSink for Nobody {
    fn expect(&self, _: Vec<SocketId>) {}
    fn ack(&self, _: SocketId, _: Result<Bytes, AckError>) {}
}
