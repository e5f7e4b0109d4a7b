//! Hostile messages: golden ones with other bytes in them, and well-formed ones that lie.

use std::sync::LazyLock;

use bytes::Bytes;

use super::Choices;
use crate::model::{Namespace, NodeId, Target, TraceContext};
use crate::wire::samples::{kinds, vectors};
use crate::wire::{
    BroadcastWithAck, Bye, Frames, Head, Heartbeat, Hello, InboxMark, Kind, Mark, Message, Nodes, Number, Part,
    Selection, Skipped, Suspect, Tail, Welcome, encode,
};

/// A golden message, and the bodies of its kind.
static GOLDEN: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| vectors().iter().map(|vector| vector.bytes()).collect());
static BODIES: LazyLock<Vec<(Kind, Vec<u8>)>> =
    LazyLock::new(|| kinds().iter().map(|sample| (sample.head.kind, sample.body.bytes())).collect());

/// One frame that says what it likes, and may be said again with other names and numbers.
#[derive(Clone, Debug)]
pub(super) struct Forged {
    head: Head,
    body: Bytes,
    packet: Bytes,
}

/// Any bytes, a golden message with some changed, or a forged one in the name of one of the cast.
pub(super) fn message(choices: &mut Choices<'_>, cast: &[NodeId]) -> Bytes {
    match choices.below(4) {
        0 => {
            let len = choices.below(256);
            Bytes::copy_from_slice(choices.bytes(len))
        }
        1 => spliced(choices, choices_golden),
        2 => spliced(choices, |choices| Forged::new(choices, cast).message().to_vec()),
        _ => Forged::new(choices, cast).message(),
    }
}

fn choices_golden(choices: &mut Choices<'_>) -> Vec<u8> {
    choices.pick(&GOLDEN).clone()
}

/// With some bytes replaced.
pub(super) fn spliced(choices: &mut Choices<'_>, whole: impl FnOnce(&mut Choices<'_>) -> Vec<u8>) -> Bytes {
    let mut bytes = whole(choices);
    for _ in 0..choices.below(4) {
        let at = choices.below(256).min(bytes.len());
        let end = (at + choices.below(4)).min(bytes.len());
        let more = choices.below(8);
        bytes.splice(at..end, choices.bytes(more).iter().copied());
    }
    bytes.into()
}

/// Who is said to have sent the frames that can be read.
pub(super) fn senders(message: &Bytes) -> impl Iterator<Item = NodeId> {
    Frames::new(message.clone()).filter_map(|read| match read {
        Ok(frame) => Some(frame.head.sender),
        Err(Skipped::TooNew { sender, .. }) => Some(sender),
        Err(Skipped::Malformed) => None,
    })
}

impl Forged {
    pub(super) fn new(choices: &mut Choices<'_>, cast: &[NodeId]) -> Self {
        let (kind, body) = body(choices, cast);
        let counter = choices.number().clamp(1, u64::MAX - (1 << 17));
        // What a reader takes: no number is above its counter.
        let mut number = || choices.number() % (counter + 1);
        let number = Number { epoch: number(), n: number().max(1) };
        let number = (!kind.is_control() && choices.below(4) > 0).then_some(number);
        let request = choices.yes().then(|| choices.number());
        let len = choices.below(64);
        let packet = Bytes::copy_from_slice(choices.bytes(len));
        let part = (choices.below(4) == 0).then(|| part(choices, packet.len()));
        // A piece is a packet.
        let (body, packet) = match part {
            Some(_) if packet.is_empty() => (Bytes::new(), body),
            Some(_) => (Bytes::new(), packet),
            None => (body, packet),
        };
        let part = part.filter(|_| !packet.is_empty());
        let sender = *choices.pick(cast);
        // By its counter, so that what the corpus says stays what it was.
        let trace = if counter % 2 == 1 { TraceContext::new([1; 16], counter.to_le_bytes(), 1) } else { None };
        Self { head: Head { kind, sender, counter, number, part, request, trace }, body, packet }
    }

    pub(super) fn message(&self) -> Bytes {
        Message::of(&self.head, &self.body, &self.packet)
    }

    /// The next message of a flood: from the same sender, or from another one each time.
    pub(super) fn next(&mut self, stride: u64, other_sender: bool) {
        let Head { sender, counter, number, request, .. } = &mut self.head;
        if other_sender {
            *sender = NodeId::from_bytes(u128::from_le_bytes(*sender.as_bytes()).wrapping_add(1).to_le_bytes());
        }
        *counter = (*counter + 1).min(u64::MAX - (1 << 17));
        if let Some(number) = number {
            number.n = number.n.saturating_add(stride).min(*counter);
        }
        *request = request.map(|request| request.wrapping_add(stride));
    }
}

fn part(choices: &mut Choices<'_>, piece: usize) -> Part {
    let of = choices.number() as u32;
    let index = choices.number() as u32 % of.max(1);
    let (body, packet) = (choices.number() as u32, choices.number() as u32);
    Part { index, of, body, packet: packet.max(piece as u32) }
}

fn mark(choices: &mut Choices<'_>) -> Mark {
    Mark { epoch: choices.number(), n: choices.number() }
}

fn name(choices: &mut Choices<'_>) -> String {
    "n".repeat(*choices.pick(&[0, 1, 100, 255]))
}

/// A body of any kind, which lies where a lie may do harm.
fn body(choices: &mut Choices<'_>, cast: &[NodeId]) -> (Kind, Bytes) {
    let chat = || Namespace::new("/chat").expect("valid");
    let everyone = Target::everyone;
    match choices.below(11) {
        0 => (Kind::HELLO, encode(&Hello { name: name(choices), cluster: mark(choices) })),
        1 => {
            let (name, cluster) = (name(choices), mark(choices));
            let (period, lists) = (choices.number() as u32, choices.number() as u32);
            (Kind::WELCOME, encode(&Welcome { name, cluster, period, lists }))
        }
        2 => {
            let (name, cluster, period) = (name(choices), mark(choices), choices.number() as u32);
            (Kind::HEARTBEAT, encode(&Heartbeat { name, cluster, period, asks: choices.byte() & 1 == 1 }))
        }
        3 => {
            let mut inbox = |_| InboxMark { node: *choices.pick(cast), mark: mark(choices) };
            let inboxes = (0..4).map(&mut inbox).collect();
            (Kind::BYE, encode(&Bye { cluster: mark(choices), inboxes }))
        }
        8 => {
            let nodes = (0..8).map(|_| *choices.pick(cast)).collect();
            (Kind::NODES, encode(&Nodes { index: choices.number() as u32, nodes }))
        }
        9 => (Kind::MARK, encode(&Tail { mark: mark(choices) })),
        10 => (Kind::SUSPECT, encode(&Suspect { node: *choices.pick(cast) })),
        4 => {
            let timeout_ms = choices.number();
            let body = BroadcastWithAck { namespace: chat(), target: everyone(), format: choices.byte(), timeout_ms };
            (Kind::BROADCAST_WITH_ACK, encode(&body))
        }
        5 => {
            let kind = *choices.pick(&[Kind::COUNT_SOCKETS, Kind::LIST_ROOMS, Kind::DISCONNECT]);
            (kind, encode(&Selection { namespace: chat(), target: everyone() }))
        }
        6 => (Kind(choices.number() as u16), Bytes::copy_from_slice(choices.bytes(16))),
        _ => {
            let (kind, body) = choices.pick(&BODIES);
            (*kind, Bytes::copy_from_slice(body))
        }
    }
}
