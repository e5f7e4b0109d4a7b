//! The inbox: what has arrived, and waits for the reader.

use bytes::Bytes;

use super::{Full, LARGE, SMALL, Table, full, packet, part_of};
use crate::model::NodeId;
use crate::seams::inbox::Bounds;
use crate::seams::{Channel, Inbox};
use crate::wire::{Head, Kind, Message};

pub(super) fn rows(table: &mut Table) {
    for (with, len) in [("messages of 64 B", SMALL), ("messages of 64 KiB", LARGE)] {
        table.row("inbox", with, |part| fill(part, || packet(len)));
    }
    table.row("inbox, control", "heartbeats", |part| fill(part, heartbeat));
}

fn heartbeat() -> Bytes {
    let sender = NodeId::from_bytes([1; 16]);
    Message::of(&Head::new(Kind::HEARTBEAT, sender, 1), &[0; 8], &[])
}

fn fill(part: f64, message: impl Fn() -> Bytes) -> Full {
    let channel = Channel::new("rc.a").expect("valid");
    let of = |bound| part_of(bound, part);
    let bounds = Bounds { messages: of(65_536), bytes: of(48 << 20), control: of(8_192) };
    full(|| {
        let inbox = Inbox::new(bounds, None);
        inbox.want(std::slice::from_ref(&channel));
        let mut accounted = 0;
        while inbox.frame(channel.as_str(), message()).is_ok() && inbox.bytes() > accounted {
            accounted = inbox.bytes();
        }
        (inbox, accounted)
    })
}
