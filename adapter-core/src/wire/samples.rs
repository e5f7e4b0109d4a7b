//! Messages of which every byte is known: the golden frames, and what hostile bytes are made from.

use std::fmt::Debug;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::*;
use crate::model::{
    AckError, LocalSocket, Namespace, NodeId, Projection, Room, SocketId, Target, TargetFlags, TraceContext,
};

/// A body of any type.
pub(crate) trait AnyBody: Debug {
    fn bytes(&self) -> Vec<u8>;
    /// Decodes the bytes as this type of body: `Ok(true)` when they are this very value.
    fn read(&self, bytes: &[u8]) -> Result<bool, Malformed>;
    /// Decodes the bytes as this type of body, and encodes what they say.
    fn again(&self, bytes: &[u8]) -> Result<Bytes, Malformed>;
}

impl<T: Serialize + DeserializeOwned + PartialEq + Debug> AnyBody for T {
    fn bytes(&self) -> Vec<u8> {
        encode(self).to_vec()
    }

    fn read(&self, bytes: &[u8]) -> Result<bool, Malformed> {
        decode::<T>(bytes).map(|read| read == *self)
    }

    fn again(&self, bytes: &[u8]) -> Result<Bytes, Malformed> {
        decode::<T>(bytes).map(|read| encode(&read))
    }
}

/// What is done to a frame that this build would write otherwise.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Twist {
    None,
    /// Extension 200, which nobody knows, before the others.
    Extension,
    /// Another version, and the oldest that can read it.
    Version(u8, u8),
    /// The same, with a flag and eight bytes of header that only that version knows.
    Flag(u8, u8),
}

pub(crate) struct Sample {
    pub(crate) head: Head,
    pub(crate) body: Box<dyn AnyBody>,
    pub(super) packet: &'static [u8],
    pub(super) twist: Twist,
}

/// A message, and the name of its file.
pub(crate) struct Vector {
    pub(super) name: String,
    pub(super) says: &'static str,
    pub(super) frames: Vec<Sample>,
}

impl Sample {
    /// A message of this frame alone.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = Message::of(&self.head, &self.body.bytes(), self.packet).to_vec();
        let number_ends = 36 + if self.head.number.is_some() { 16 } else { 0 };
        let mut insert = |at: usize, more: &[u8]| {
            bytes[32] += more.len() as u8;
            bytes.splice(at..at, more.iter().copied());
        };
        match self.twist {
            // Behind the tag, the kind, the body's length and the length of all extensions.
            Twist::Extension => {
                insert(number_ends + 4, &[200, 4, b'l', b'a', b't', b'e']);
                bytes[number_ends + 3] += 6;
            }
            Twist::Flag(..) => insert(number_ends, &[0xee; 8]),
            Twist::None | Twist::Version(..) => {}
        }
        if let Twist::Version(version, oldest) | Twist::Flag(version, oldest) = self.twist {
            bytes[2..4].copy_from_slice(&[version, oldest]);
        }
        if let Twist::Flag(..) = self.twist {
            bytes[5] |= 1; // flag 256
        }
        bytes
    }

    /// What reading it gives.
    pub(super) fn expected(&self) -> Result<Frame, Skipped> {
        let Head { sender, counter, number, .. } = self.head;
        match self.twist {
            Twist::Version(_, 2..) | Twist::Flag(_, 2..) => Err(Skipped::TooNew { sender, counter, number, count: 1 }),
            _ => {
                let (body, packet) = (self.body.bytes().into(), Bytes::from_static(self.packet));
                Ok(Frame { head: self.head, body, packet })
            }
        }
    }
}

impl Vector {
    pub(crate) fn bytes(&self) -> Vec<u8> {
        if self.frames.iter().any(|sample| sample.twist != Twist::None) {
            return self.frames.iter().flat_map(Sample::bytes).collect();
        }
        let mut message = Message::default();
        self.frames.iter().for_each(|sample| message.add(&sample.head, &sample.body.bytes(), sample.packet));
        message.freeze().to_vec()
    }
}

pub(super) fn node(byte: u8) -> NodeId {
    NodeId::from_bytes(std::array::from_fn(|at| byte + at as u8))
}

fn room(name: &str) -> Room {
    Room::new(name).expect("valid")
}

fn socket(name: &str) -> SocketId {
    SocketId::new(name).expect("valid")
}

fn chat() -> Namespace {
    Namespace::new("/chat").expect("valid")
}

fn target() -> Target {
    let target = Target::rooms([room("a"), room("größe")]).except([room("muted")]);
    Target { node: Some(node(0x20)), flags: TargetFlags::default().volatile(), ..target }
}

fn head(kind: Kind) -> Head {
    Head::new(kind, node(0), 70_300)
}

/// A frame of the kind, numbered unless it is control, with a request if its answer or its question has one.
fn sample(kind: Kind, body: impl AnyBody + 'static) -> Sample {
    let number = (!kind.is_control()).then_some(Number { epoch: 5, n: 290 });
    let request = (kind.is_answer() || kind.0 >= 32).then_some(0x0102_0304_0506_0708);
    Sample { head: Head { number, request, ..head(kind) }, body: Box::new(body), packet: b"", twist: Twist::None }
}

fn packet(mut sample: Sample, packet: &'static [u8]) -> Sample {
    sample.packet = packet;
    sample
}

fn selection(kind: Kind) -> Sample {
    sample(kind, Selection { namespace: chat(), target: Target::everyone() })
}

fn broadcast() -> Sample {
    packet(sample(Kind::BROADCAST, Broadcast { namespace: chat(), target: target(), format: 1 }), b"[\"news\",1]")
}

fn bye() -> Sample {
    let mark = |epoch, n| Mark { epoch, n };
    let inbox = |of, mark| InboxMark { node: node(of), mark };
    let inboxes = vec![inbox(0x20, mark(9, 250)), inbox(0x40, mark(251, 0))];
    sample(Kind::BYE, Bye { cluster: mark(5, 290), inboxes })
}

fn heartbeat(period: u32, asks: bool) -> Sample {
    sample(Kind::HEARTBEAT, Heartbeat { name: "one".into(), cluster: Mark { epoch: 5, n: 290 }, period, asks })
}

/// One for each kind.
pub(crate) fn kinds() -> Vec<Sample> {
    let cluster = Mark { epoch: 5, n: 0 };
    let rooms = || vec![room("b"), room("größe")];
    let described = LocalSocket { id: socket("s1"), rooms: rooms(), data: Bytes::from_static(b"\x00\xff") };
    let bare = LocalSocket { id: socket("s2"), rooms: vec![], data: Bytes::new() };
    let ack = |name: &str, answer| SocketAck { socket: socket(name), answer };
    let acks = vec![
        ack("s1", AckAnswer::Data(Bytes::from_static(b"[1]"))),
        ack("s2", AckAnswer::Failed(AckError::Timeout)),
        ack("s3", AckAnswer::Failed(AckError::Gone)),
        ack("s4", AckAnswer::Failed(AckError::Other("busy".into()))),
    ];
    let expected = Some(["s1", "s2", "s3", "s4"].map(socket).to_vec());
    let change = |kind| sample(kind, RoomChange { namespace: chat(), target: target(), rooms: rooms() });
    let with_ack = BroadcastWithAck { namespace: chat(), target: Target::everyone(), format: 0, timeout_ms: 5_000 };
    let fetch = FetchSockets { namespace: chat(), target: Target::rooms([]), projection: Projection::Rooms };
    let event = ServerEventBody { namespace: chat(), event: "recompute".into() };
    vec![
        sample(Kind::HELLO, Hello { name: "one".into(), cluster }),
        sample(Kind::WELCOME, Welcome { name: "one".into(), cluster, period: 1_000, lists: 1 }),
        heartbeat(1_000, false),
        bye(),
        sample(Kind::PROBE, Empty {}),
        nack(),
        sample(Kind::MARK, Tail { mark: Mark { epoch: 5, n: 290 } }),
        sample(Kind::SUSPECT, Suspect { node: node(0x20) }),
        sample(Kind::NODES, Nodes { index: 0, nodes: vec![node(0x20), node(0x40)] }),
        broadcast(),
        change(Kind::JOIN),
        change(Kind::LEAVE),
        selection(Kind::DISCONNECT),
        packet(sample(Kind::SERVER_EVENT, event), b"{}"),
        packet(sample(Kind::BROADCAST_WITH_ACK, with_ack), b"\x00\x01\x02"),
        sample(Kind::FETCH_SOCKETS, fetch),
        selection(Kind::COUNT_SOCKETS),
        selection(Kind::LIST_ROOMS),
        sample(Kind::APPLIED, Empty {}),
        sample(Kind::SOCKETS, Sockets { sockets: vec![described, bare], done: true }),
        sample(Kind::COUNT, Count { count: 1 << 40 }),
        sample(Kind::ROOMS, Rooms { rooms: rooms(), done: true }),
        sample(Kind::ACKS, AckBatch { expected, acks, done: true }),
        packet(sample(Kind::SERVER_ANSWER, Empty {}), b"42"),
        sample(Kind::NO_HANDLER, Empty {}),
        sample(Kind::UNSUPPORTED, Empty {}),
        resend(),
    ]
}

/// Asks for numbers 280 to 283 and 290, and for two pieces of 285.
fn nack() -> Sample {
    let range = |first, count| Range { first, count };
    let pieces = vec![MissingPieces { n: 285, of: 9, missing: vec![range(1, 1), range(8, 1)] }];
    let has = Mark { epoch: 5, n: 279 };
    sample(
        Kind::NACK,
        Nack { node: node(0x20), inbox: false, has, missing: vec![range(280, 4), range(290, 1)], pieces },
    )
}

fn resend() -> Sample {
    let body = Resend { inbox: false, epoch: 5, gone: vec![Range { first: 280, count: 4 }] };
    let mut sample = sample(Kind::RESEND, body);
    (sample.head.number, sample.head.request) = (None, None);
    sample
}

/// Nothing is gone.
fn resend_of_all() -> Sample {
    Sample { body: Box::new(Resend { inbox: false, epoch: 5, gone: vec![] }), ..resend() }
}

/// A broadcast in two pieces, cut in the middle of its body.
fn parts() -> Vec<Sample> {
    let whole = broadcast();
    let (body, packet) = (whole.body.bytes(), whole.packet);
    let all: &'static [u8] = [&body[..], packet].concat().leak();
    let (first, second) = all.split_at(40);
    let part = |index, packet| {
        let part = Part { index, of: 2, body: body.len() as u32, packet: whole.packet.len() as u32 };
        let head = Head { part: Some(part), ..whole.head };
        Sample { head, body: Box::new(Empty {}), packet, twist: Twist::None }
    };
    vec![part(0, first), part(1, second)]
}

/// The same frame, sent by a span.
fn traced(sample: Sample) -> Sample {
    let trace = TraceContext::new(*node(0x80).as_bytes(), std::array::from_fn(|at| 0xa0 + at as u8), 1);
    Sample { head: Head { trace, ..sample.head }, ..sample }
}

/// Everything that has a file.
pub(crate) fn vectors() -> Vec<Vector> {
    let twisted = |twist, sample: Sample| Sample { twist, ..sample };
    let vector = |name: &str, says, frames| Vector { name: name.into(), says, frames };
    let probe = || sample(Kind::COUNT, Count { count: 3 });
    let new = Box::new(Count { count: 7 });
    let unknown = Sample { head: head(Kind(1_000)), body: new, packet: b"new", twist: Twist::None };
    let mut vectors: Vec<_> = Kind::ALL
        .iter()
        .map(|(kind, name)| {
            let one = kinds().into_iter().filter(|sample| sample.head.kind == *kind).collect();
            vector(&name.to_lowercase(), "one frame of the kind", one)
        })
        .collect();
    let fetch = |projection| {
        let body = FetchSockets { namespace: chat(), target: Target::everyone(), projection };
        vec![sample(Kind::FETCH_SOCKETS, body)]
    };
    let next = |by: u64, sample: Sample| {
        let number = sample.head.number.map(|number| Number { n: number.n + by, ..number });
        Sample { head: Head { counter: sample.head.counter + by, number, ..sample.head }, ..sample }
    };
    let run = vec![
        broadcast(),
        next(1, packet(broadcast(), b"[\"news\",2]")),
        next(2, selection(Kind::DISCONNECT)),
        next(3, packet(broadcast(), b"")),
    ];
    let traced_run = vec![
        traced(broadcast()),
        next(1, traced(packet(broadcast(), b"[\"news\",2]"))),
        next(2, traced(selection(Kind::COUNT_SOCKETS))),
    ];
    let more = AckBatch { expected: None, acks: vec![], done: false };
    let mut unnumbered = broadcast();
    unnumbered.head.number = None;
    vectors.extend([
        vector("fetch_sockets-all", "the projection's other values", fetch(Projection::All)),
        vector("fetch_sockets-ids", "the projection's other values", fetch(Projection::Ids)),
        vector("fetch_sockets-data", "the projection's other values", fetch(Projection::Data)),
        vector("heartbeat-asks", "of a cluster in a ring, after an outage", vec![heartbeat(125_000, true)]),
        vector("acks-more", "not the first of its node and not the last", vec![sample(Kind::ACKS, more)]),
        vector("run", "four frames behind one head, of which the second repeats the body of the first", run),
        vector("trace", "a run whose frames have trace contexts: two broadcasts, and a question", traced_run),
        vector(
            "trace-parts",
            "both pieces of a broadcast have its trace context",
            parts().into_iter().map(traced).collect(),
        ),
        vector("numbered", "a numbered frame behind an unnumbered one", vec![unnumbered, broadcast()]),
        vector("parts", "a broadcast in two pieces, which share a number", parts()),
        vector("resend-frame", "a frame of the cluster channel that is sent again", vec![resend_of_all(), broadcast()]),
        vector(
            "unknown-extension",
            "extension 200 is passed over; the request behind it is read",
            vec![twisted(Twist::Extension, probe())],
        ),
        vector("future-readable", "version 2, readable from 1 on", vec![twisted(Twist::Version(2, 1), probe())]),
        vector(
            "future-unreadable",
            "version 2, not readable before 2, then a frame that is; the flag 256 and the bytes ee are of version 2",
            vec![twisted(Twist::Flag(2, 2), probe()), probe()],
        ),
        vector("unknown-kind", "kind 1000, skipped and counted, then one that is known", vec![unknown, probe()]),
    ]);
    vectors
}
