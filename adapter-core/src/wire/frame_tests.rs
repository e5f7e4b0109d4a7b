//! What holds for every frame.

use bytes::{Bytes, BytesMut};
use proptest::option;
use proptest::prelude::*;

use super::samples::{Twist, kinds, node};
use super::*;
use crate::model::NodeId;

type Written = (Head, Vec<u8>, Vec<u8>);

/// Any head that may be written, with a body and a packet that fit it.
fn frame() -> impl Strategy<Value = Written> {
    let number = option::of((any::<u64>(), 1..=u64::MAX).prop_map(|(epoch, n)| Number { epoch, n }));
    let part = option::of((any::<u32>(), 2..=u32::MAX).prop_map(|(index, of)| (index % of, of)));
    let bytes = || prop::collection::vec(any::<u8>(), 0..80);
    let kind = prop_oneof![0..130_u16, any::<u16>()];
    (kind, any::<u8>(), any::<u64>(), number, part, option::of(any::<u64>()), bytes(), bytes()).prop_map(
        |(kind, sender, counter, number, part, request, mut body, mut packet)| {
            let kind = Kind(kind);
            let number = number.filter(|_| !kind.is_control());
            let part = part.map(|(index, of)| Part { index, of, body: of, packet: 80 });
            if part.is_some() {
                body.clear();
                packet.push(0);
            }
            let sender = NodeId::from_bytes([sender; 16]);
            (Head { kind, sender, counter, number, part, request }, body, packet)
        },
    )
}

fn write(frames: &[Written]) -> Vec<u8> {
    let mut out = BytesMut::new();
    for (head, body, packet) in frames {
        let before = out.len();
        head.write(&mut out, body, packet);
        assert_eq!(out.len() - before, head.len() + body.len() + packet.len());
    }
    out.to_vec()
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
    fn whether_a_message_is_control_agrees_with_its_first_frame(frames in prop::collection::vec(frame(), 1..3)) {
        let message = write(&frames);
        prop_assert_eq!(is_control(&message), frames[0].0.kind.is_control());
    }

    #[test]
    fn g14_whether_random_bytes_are_control_agrees_with_what_is_read(
        mut bytes in prop::collection::vec(any::<u8>(), 0..80),
    ) {
        let magic = bytes.len().min(2);
        bytes[..magic].copy_from_slice(&b"RC"[..magic]);
        if let Some(Ok(frame)) = Frames(bytes.clone().into()).next() {
            prop_assert_eq!(is_control(&bytes), frame.head.kind.is_control());
        }
    }
}

/// The frames of a message; no more than can be in it, should the reader not end by itself.
fn read(bytes: Vec<u8>) -> Vec<Result<Frame, Skipped>> {
    let most = bytes.len() / 42 + 2;
    Frames(bytes.into()).take(most).collect()
}

fn head(kind: Kind) -> Head {
    Head { kind, sender: node(1), counter: 1, number: None, part: None, request: None }
}

const NUMBER: Option<Number> = Some(Number { epoch: 1, n: 1 });

#[test]
fn what_cannot_be_is_malformed() {
    let part = |index, of, body, packet| Some(Part { index, of, body, packet });
    let whole = head(Kind::BROADCAST);
    let cases: &[(&str, Head, &[u8])] = &[
        ("numbers start at 1", Head { number: Some(Number { epoch: 1, n: 0 }), ..whole }, b"x"),
        ("control is not numbered", Head { number: NUMBER, ..head(Kind::PROBE) }, b""),
        ("one part is no part", Head { number: NUMBER, part: part(0, 1, 1, 1), ..whole }, b"x"),
        ("beyond the last part", Head { number: NUMBER, part: part(2, 2, 1, 1), ..whole }, b"x"),
        ("more parts than bytes", Head { number: NUMBER, part: part(0, 3, 1, 1), ..whole }, b"x"),
        ("a piece of nothing", Head { number: NUMBER, part: part(0, 2, 1, 1), ..whole }, b""),
        ("a piece larger than the whole", Head { number: NUMBER, part: part(0, 2, 1, 1), ..whole }, b"xxx"),
    ];
    for (what, head, packet) in cases {
        let mut out = BytesMut::new();
        head.write(&mut out, b"", packet);
        assert_eq!(read(out.to_vec()), [Err(Skipped::Malformed)], "{what}");
    }
    let mut out = BytesMut::new();
    Head { number: NUMBER, part: part(0, 2, 1, 1), ..whole }.write(&mut out, b"", b"xx");
    assert!(read(out.to_vec())[0].is_ok());
    (out[34], out[38]) = (1, 1);
    assert_eq!(read(out.to_vec()), [Err(Skipped::Malformed)], "a part with a body");
}

#[test]
fn extensions_that_overrun_or_come_twice_are_malformed() {
    let frame = |extensions: &[u8]| {
        let mut out = BytesMut::new();
        head(Kind::COUNT).write(&mut out, b"", b"");
        out[32] = extensions.len() as u8;
        out.extend_from_slice(extensions);
        read(out.to_vec())
    };
    let request = [1, 8, 0, 7, 0, 0, 0, 0, 0, 0, 0];
    assert_eq!(frame(&request)[0].as_ref().map(|frame| frame.head.request), Ok(Some(7)));
    let bad: [&[u8]; 5] = [&[1], &[9, 0], &[9, 1, 0], &[1, 0, 0], &[request, request].concat()];
    for extensions in bad {
        assert_eq!(frame(extensions), [Err(Skipped::Malformed)], "{extensions:?}");
    }
}

#[test]
fn g16_a_frame_too_new_to_read_still_tells_its_place() {
    for sample in kinds() {
        let mut message = super::samples::Sample { twist: Twist::Flag(9, 9), ..sample };
        let expected = Err(Skipped::TooNew { sender: message.head.sender, number: message.head.number });
        let mut bytes = message.bytes();
        message.twist = Twist::None;
        bytes.extend(message.bytes());
        assert_eq!(read(bytes), [expected, message.expected()]);
    }
}

#[test]
fn slices_share_the_message() {
    let message = Bytes::from(write(&[(head(Kind::BROADCAST), vec![1; 9], vec![2; 9])]));
    let frame = Frames(message.clone()).next().expect("one").expect("reads");
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
