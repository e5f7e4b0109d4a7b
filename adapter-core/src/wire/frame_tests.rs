//! What holds for every frame.

use bytes::Bytes;
use proptest::option;
use proptest::prelude::*;

use super::samples::{Twist, kinds, node};
use super::*;
use crate::model::{NodeId, TraceContext};

type Written = (Head, Vec<u8>, Vec<u8>);

/// Any head that may be written, with a body and a packet that fit it.
fn frame() -> impl Strategy<Value = Written> {
    let number = option::of((any::<u64>(), any::<u64>()));
    let part = option::of((any::<u32>(), 2..=u32::MAX).prop_map(|(index, of)| (index % of, of)));
    let bytes = || prop::collection::vec(any::<u8>(), 0..80);
    let kind = prop_oneof![0..130_u16, any::<u16>()];
    let trace = option::of((1..=u8::MAX, 1..=u8::MAX, any::<u8>()));
    (kind, any::<u8>(), any::<u64>(), number, part, (option::of(any::<u64>()), trace), bytes(), bytes()).prop_map(
        |(kind, sender, counter, number, part, (request, trace), mut body, mut packet)| {
            let kind = Kind(kind);
            // No number is above the counter, and neither is at its end.
            let counter = (counter / 2).max(1);
            let number = number.map(|(epoch, n)| Number { epoch: epoch % (counter + 1), n: 1 + n % counter });
            let number = number.filter(|_| !kind.is_control());
            let part = part.map(|(index, of)| Part { index, of, body: of, packet: 80 });
            if part.is_some() {
                body.clear();
                packet.push(0);
            }
            let sender = NodeId::from_bytes([sender; 16]);
            let trace = trace.and_then(|(trace, span, flags)| TraceContext::new([trace; 16], [span; 8], flags));
            (Head { kind, sender, counter, number, part, request, trace }, body, packet)
        },
    )
}

fn write(frames: &[Written]) -> Vec<u8> {
    let mut message = Message::default();
    for (head, body, packet) in frames {
        let before = message.len();
        message.add(head, body, packet);
        assert!(message.len() - before <= head.overhead() + body.len() + packet.len());
    }
    message.freeze().to_vec()
}

fn expected((head, body, packet): &Written) -> Result<Frame, Skipped> {
    Ok(Frame { head: *head, body: body.clone().into(), packet: packet.clone().into() })
}

proptest! {
    #[test]
    fn what_was_written_is_read_in_its_order(frames in prop::collection::vec(frame(), 0..6)) {
        prop_assert_eq!(read(write(&frames)), frames.iter().map(expected).collect::<Vec<_>>());
    }

    #[test]
    fn g14_after_a_malformed_frame_nothing_more_is_read(
        before in prop::collection::vec(frame(), 0..3),
        bad in frame(),
        after in prop::collection::vec(frame(), 0..3),
        // Each makes a frame malformed: the magic (twice), no version at all, a version older than the oldest.
        (at, wrong) in prop_oneof![Just((0, &b"rC"[..])), Just((1, &b"c"[..])), Just((2, &[0, 0][..])), Just((3, &[2][..]))],
    ) {
        let mut message = write(&before);
        let bad_at = message.len();
        message.extend(write(&[bad]));
        message[bad_at + at..][..wrong.len()].copy_from_slice(wrong);
        message.extend(write(&after));
        let read = read(message);
        let mut all: Vec<_> = before.iter().map(expected).collect();
        all.push(Err(Skipped::Malformed));
        prop_assert_eq!(read, all);
    }

    #[test]
    fn what_a_glance_says_agrees_with_the_first_frame(frames in prop::collection::vec(frame(), 1..3)) {
        let glance = Glance::at(&write(&frames)).expect("of the protocol");
        prop_assert_eq!((glance.sender, glance.control), (frames[0].0.sender, frames[0].0.kind.is_control()));
        prop_assert_eq!(glance.kind, Some(frames[0].0.kind).filter(|kind| kind.0 < 128));
    }

    #[test]
    fn g14_a_glance_at_random_bytes_agrees_with_what_is_read(
        mut bytes in prop::collection::vec(any::<u8>(), 0..80),
    ) {
        let magic = bytes.len().min(2);
        bytes[..magic].copy_from_slice(&b"RC"[..magic]);
        if let Some(Ok(frame)) = Frames::new(bytes.clone().into()).next() {
            let glance = Glance::at(&bytes).expect("of the protocol");
            prop_assert_eq!((glance.sender, glance.control), (frame.head.sender, frame.head.kind.is_control()));
            prop_assert_eq!(glance.kind.unwrap_or(frame.head.kind), frame.head.kind);
        }
    }
}

/// The frames of a message; no more than can be in it, should the reader not end by itself.
fn read(bytes: Vec<u8>) -> Vec<Result<Frame, Skipped>> {
    let most = bytes.len() + 2;
    Frames::new(bytes.into()).take(most).collect()
}

fn head(kind: Kind) -> Head {
    Head::new(kind, node(1), 1)
}

const NUMBER: Option<Number> = Some(Number { epoch: 1, n: 1 });

#[test]
fn what_cannot_be_is_malformed() {
    let part = |index, of, body, packet| Some(Part { index, of, body, packet });
    let number = |epoch, n| Some(Number { epoch, n });
    let whole = head(Kind::BROADCAST);
    let cases: &[(&str, Head, &[u8])] = &[
        ("numbers start at 1", Head { number: number(1, 0), ..whole }, b"x"),
        ("more numbers than frames", Head { number: number(1, 2), ..whole }, b"x"),
        ("an epoch that has not begun", Head { number: number(2, 1), ..whole }, b"x"),
        ("counters have an end", Head { counter: u64::MAX, ..whole }, b"x"),
        ("control is not numbered", Head { number: NUMBER, ..head(Kind::PROBE) }, b""),
        ("one part is no part", Head { number: NUMBER, part: part(0, 1, 1, 1), ..whole }, b"x"),
        ("beyond the last part", Head { number: NUMBER, part: part(2, 2, 1, 1), ..whole }, b"x"),
        ("more parts than bytes", Head { number: NUMBER, part: part(0, 3, 1, 1), ..whole }, b"x"),
        ("a piece of nothing", Head { number: NUMBER, part: part(0, 2, 1, 1), ..whole }, b""),
        ("a piece larger than the whole", Head { number: NUMBER, part: part(0, 2, 1, 1), ..whole }, b"xxx"),
    ];
    for (what, head, packet) in cases {
        assert_eq!(read(Message::of(head, b"", packet).to_vec()), [Err(Skipped::Malformed)], "{what}");
    }
    let fine = Message::of(&Head { number: NUMBER, part: part(0, 2, 1, 1), ..whole }, b"", b"xx");
    assert!(read(fine.to_vec())[0].is_ok());
}

/// A run of these frames, given as bytes.
fn run(count: u16, frames: &[u8]) -> Vec<Result<Frame, Skipped>> {
    let mut bytes = Message::of(&head(Kind::COUNT), b"", b"")[..36].to_vec();
    bytes[6..8].copy_from_slice(&count.to_le_bytes());
    bytes[32..36].copy_from_slice(&(frames.len() as u32).to_le_bytes());
    bytes.extend_from_slice(frames);
    read(bytes)
}

#[test]
fn a_run_that_is_not_what_its_head_says_is_malformed() {
    let kind = Kind::COUNT.0 as u8;
    let frame = [0, kind, 1, 1, b'b', b'p'];
    let again = [1, 1, b'q'];
    assert!(run(2, &[&frame[..], &again].concat()).iter().all(Result::is_ok));
    let (part, control) = ([2, kind, 0, 0, 2, 1, 1, 1, b'x'], [0, Kind::PROBE.0 as u8, 0, 0]);
    let cases: [(&str, u16, &[u8]); 9] = [
        ("no frame", 0, b""),
        ("fewer frames than it says", 2, &frame),
        ("more frames than it says", 1, &[&frame[..], &again].concat()),
        ("the first repeats nothing", 1, &again),
        ("a tag that nobody knows", 1, &[8, kind, 0, 0]),
        ("a part is a run of its own", 2, &[part, part].concat()),
        ("a part has no body of its own", 1, &[2, kind, 1, 0, 2, 1, 1, 1, b'b', b'x']),
        ("control among others", 1, &control),
        ("a length without an end", 1, &[0, kind, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80]),
    ];
    for (what, count, frames) in cases {
        assert_eq!(run(count, frames).last(), Some(&Err(Skipped::Malformed)), "{what}");
    }
}

#[test]
fn extensions_that_overrun_or_come_twice_are_malformed() {
    let frame =
        |extensions: &[u8]| run(1, &[&[4, Kind::COUNT.0 as u8, 0, extensions.len() as u8], extensions, &[0]].concat());
    let request = [1, 8, 7, 0, 0, 0, 0, 0, 0, 0];
    assert_eq!(frame(&request)[0].as_ref().map(|frame| frame.head.request), Ok(Some(7)));
    let traced = [&[2, 25][..], &[7; 25]].concat();
    let (none, context) = ([&[2, 25][..], &[0; 25]].concat(), TraceContext::new([7; 16], [7; 8], 7));
    let read =
        |extensions: &[u8]| frame(extensions)[0].as_ref().map(|frame| (frame.head.request, frame.head.trace)).ok();
    assert_eq!(read(&[&traced, &request[..]].concat()), Some((Some(7), context)), "in any order");
    assert_eq!(read(&none), Some((None, None)), "ids of zeros are no context");
    let bad: [&[u8]; 9] = [
        &[1],
        &[9, 1],
        &[9, 2, 0],
        &[1, 0],
        &[request, request].concat(),
        &traced[..26],
        &[&[2, 26][..], &[7; 26]].concat(),
        &[&traced[..], &traced].concat(),
        &[&none[..], &traced].concat(),
    ];
    for extensions in bad {
        assert_eq!(frame(extensions), [Err(Skipped::Malformed)], "{extensions:?}");
    }
}

#[test]
fn a_packet_in_a_run_costs_a_few_bytes() {
    let number = |n| Some(Number { epoch: 1, n });
    let head = |n| Head { counter: n, number: number(n), ..head(Kind::BROADCAST) };
    let (body, packet) = ([7; 20], [1; 200]);
    let mut message = Message::default();
    (1..=100).for_each(|n| message.add(&head(n), &body, &packet));
    let more = message.len() - body.len() - 100 * packet.len();
    assert!(more <= 100 * 16, "{more} bytes for 100 packets");
    let run = Frames::new(message.freeze()).map(|frame| frame.expect("reads").head).collect::<Vec<_>>();
    assert_eq!(run, (1..=100).map(head).collect::<Vec<_>>());
}

#[test]
fn g16_a_frame_too_new_to_read_still_tells_its_place() {
    for sample in kinds() {
        let mut message = super::samples::Sample { twist: Twist::Flag(9, 9), ..sample };
        let Head { sender, counter, number, .. } = message.head;
        let expected = Err(Skipped::TooNew { sender, counter, number, count: 1 });
        let mut bytes = message.bytes();
        message.twist = Twist::None;
        bytes.extend(message.bytes());
        assert_eq!(read(bytes), [expected, message.expected()]);
    }
}

#[test]
fn slices_share_the_message() {
    let message = Bytes::from(write(&[(head(Kind::BROADCAST), vec![1; 9], vec![2; 9])]));
    let frame = Frames::new(message.clone()).next().expect("one").expect("reads");
    assert_eq!(frame.packet.as_ptr(), message[message.len() - 9..].as_ptr());
}

#[test]
fn kinds_go_by_their_ranges() {
    let ranges = [(0, "control"), (15, "control"), (16, ""), (63, ""), (64, "answer"), (127, "answer"), (128, "")];
    for (number, range) in ranges {
        let kind = Kind(number);
        assert_eq!((kind.is_control(), kind.is_answer()), (range == "control", range == "answer"), "{number}");
    }
}
