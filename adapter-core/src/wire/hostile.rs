//! Hostile bytes (G14): reading is total, and sets aside no more than the bytes are worth.

use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;
use proptest::prelude::*;

use super::samples::{AnyBody, Sample, kinds, vectors};
use super::*;
use crate::model::LocalSocket;

/// Bytes that may be held at once while reading one byte. The worst is a list of sockets: 4 bytes on the wire (an id
/// of one letter, no rooms, no data) are 72 in memory and 24 for the id, and while a list doubles it is there
/// one and a half times over its new size: 3 * 72 + 24 for 4 bytes. A room is 3 * 16 + 24 for 2.
const FACTOR: u64 = 64;
/// For errors and for what a shared slice needs.
const SLACK: u64 = 4 * 1024;

/// Runs `read` over bytes of that length: it must neither panic nor set aside more than it may.
pub(crate) fn bounded<T>(length: usize, what: &dyn Fn() -> String, read: impl FnOnce() -> T) -> T {
    let mut result = None;
    let info = allocation_counter::measure(|| result = Some(catch_unwind(AssertUnwindSafe(read))));
    let bound = FACTOR * length as u64 + SLACK;
    assert!(info.bytes_max <= bound, "{} bytes for {length}: {}", info.bytes_max, what());
    let panicked = |_| panic!("panicked: {}", what());
    result.expect("was run").unwrap_or_else(panicked)
}

fn read(body: &dyn AnyBody, bytes: &[u8]) -> Result<bool, Malformed> {
    bounded(bytes.len(), &|| format!("{bytes:02x?} as {body:?}"), || body.read(bytes))
}

fn frames(bytes: &[u8]) -> Vec<Result<Frame, Skipped>> {
    let message = Bytes::copy_from_slice(bytes);
    // No more than can be in it, should the reader not end by itself.
    let most = bytes.len() + 2;
    let mut frames = Vec::with_capacity(most);
    bounded(bytes.len(), &|| format!("{bytes:02x?}"), || {
        for frame in Frames::new(message).take(most) {
            frames.push(frame);
        }
    });
    frames
}

/// Lengths that a liar claims, as varints: some that bincode's own limit lets through, some that it does not.
fn claims() -> Vec<Vec<u8>> {
    let long =
        [1 << 32, 1 << 40, u64::MAX / 72, u64::MAX].map(|claim: u64| [&[253], &claim.to_le_bytes()[..]].concat());
    let short = [1 << 20, 1 << 24, 1 << 28, u32::MAX].map(|claim: u32| [&[252], &claim.to_le_bytes()[..]].concat());
    let mut claims = [&long[..], &short[..]].concat();
    claims.extend([vec![250], vec![251, 255, 255], vec![254; 17], vec![255; 9]]);
    claims
}

#[test]
fn g14_no_claimed_length_is_believed() {
    for Sample { body, .. } in kinds() {
        let bytes = body.bytes();
        for at in 0..=bytes.len() {
            for claim in claims() {
                let end = [&bytes[..at], &claim].concat();
                assert!(read(&*body, &end).is_err() || at < bytes.len(), "bytes too many");
                let over = bytes.get(at + 1..).unwrap_or_default();
                let _ = read(&*body, &[&end, over].concat());
                let _ = read(&*body, &[&end[..], &bytes[at..]].concat());
            }
        }
    }
}

#[test]
fn g14_a_body_cut_short_or_too_long_is_malformed() {
    for Sample { body, .. } in kinds() {
        let bytes = body.bytes();
        assert!(read(&*body, &bytes).expect("is the value"));
        for at in 0..bytes.len() {
            assert!(read(&*body, &bytes[..at]).is_err(), "{body:?} cut at {at}");
        }
        for more in 0..=u8::MAX {
            assert!(read(&*body, &[&bytes[..], &[more]].concat()).is_err(), "{body:?} and {more}");
        }
    }
}

#[test]
fn g14_any_byte_may_be_any_other() {
    for Sample { body, .. } in kinds() {
        let mut bytes = body.bytes();
        for at in 0..bytes.len() {
            let right = bytes[at];
            for wrong in (0..=u8::MAX).filter(|wrong| *wrong != right) {
                bytes[at] = wrong;
                assert!(!read(&*body, &bytes).unwrap_or(false), "{body:?} with {wrong} at {at}");
            }
            bytes[at] = right;
        }
    }
}

#[test]
fn g14_a_frame_cut_short_or_with_any_byte_changed_is_dropped_or_read() {
    for vector in vectors() {
        let mut bytes = vector.bytes();
        let whole = frames(&bytes);
        for at in 1..bytes.len() {
            let cut = frames(&bytes[..at]);
            let read = cut.iter().take_while(|frame| **frame != Err(Skipped::Malformed)).count();
            assert_eq!(cut[..read], whole[..read], "{} cut at {at}", vector.name);
            assert!(read < whole.len() && cut.len() <= read + 1, "{} cut at {at}", vector.name);
        }
        for at in 0..bytes.len() {
            let right = bytes[at];
            for wrong in (0..=u8::MAX).filter(|wrong| *wrong != right) {
                bytes[at] = wrong;
                let _ = frames(&bytes);
            }
            bytes[at] = right;
        }
    }
}

#[test]
fn g14_lengths_in_a_header_are_not_believed() {
    for vector in vectors() {
        let bytes = vector.bytes();
        for at in 32..36 {
            let mut bytes = bytes.clone();
            bytes[at..36].fill(0xff);
            assert_eq!(frames(&bytes), [Err(Skipped::Malformed)], "{} from {at}", vector.name);
        }
    }
}

#[test]
fn g14_the_densest_lists_stay_within_the_bound() {
    let name = |n: usize| char::from(b'a' + (n % 26) as u8).to_string();
    let room = |n| crate::model::Room::new(name(n)).expect("valid");
    let id = |n: usize| crate::model::SocketId::new(name(n)).expect("valid");
    let bare = |n| LocalSocket { id: id(n), rooms: vec![], data: Bytes::new() };
    let roomy = |n| LocalSocket { id: id(n), rooms: vec![room(n)], data: Bytes::from_static(b"x") };
    let data = |bytes: &'static [u8]| move |n| SocketAck { socket: id(n), answer: AckAnswer::Data(bytes.into()) };
    let batch = |expected, acks| AckBatch { expected, acks, done: false };
    let node = |n: usize| crate::model::NodeId::from_bytes([n as u8; 16]);
    let cluster = Mark { epoch: 1, n: 1 };
    let mark = |n: usize| InboxMark { node: node(n), mark: cluster };
    // Just above a power of two, where a list has doubled for nothing.
    let count = (1 << 13) + 1;
    let dense: Vec<Box<dyn AnyBody>> = vec![
        Box::new(Rooms { rooms: (0..count).map(room).collect(), done: true }),
        Box::new(Sockets { sockets: (0..count).map(bare).collect(), done: true }),
        Box::new(Sockets { sockets: (0..count).map(roomy).collect(), done: true }),
        Box::new(batch(Some((0..count).map(id).collect()), vec![])),
        Box::new(batch(None, (0..count).map(data(b"")).collect())),
        Box::new(batch(None, (0..count).map(data(b"x")).collect())),
        Box::new(Nodes { index: 0, nodes: (0..count).map(node).collect() }),
        Box::new(Bye { cluster, inboxes: (0..count).map(mark).collect() }),
    ];
    for body in dense {
        let bytes = body.bytes();
        let what = || format!("{} bytes of {}", bytes.len(), &format!("{body:?}")[..60]);
        assert!(bounded(bytes.len(), &what, || body.read(&bytes)).expect("decodes"));
    }
}

proptest! {
    #[test]
    fn g14_random_bytes_are_read_or_dropped(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = frames(&bytes);
        for Sample { body, .. } in kinds() {
            let _ = read(&*body, &bytes);
        }
    }

    /// Small bytes are lengths, tags and letters: they get further than random ones.
    #[test]
    fn g14_likely_bytes_are_read_or_dropped(
        bytes in prop::collection::vec(prop_oneof![0..4_u8, 97..100_u8, 250..=255_u8], 0..300),
    ) {
        for Sample { body, .. } in kinds() {
            let _ = read(&*body, &bytes);
        }
    }

    #[test]
    fn g14_frames_with_random_bytes_in_them_are_read_or_dropped(
        vector in 0..vectors().len(),
        splices in prop::collection::vec(
            (any::<prop::sample::Index>(), 0..4_usize, prop::collection::vec(any::<u8>(), 0..6)),
            1..5,
        ),
    ) {
        let mut bytes = vectors()[vector].bytes();
        for (at, cut, more) in splices {
            let at = at.index(bytes.len() + 1);
            let end = (at + cut).min(bytes.len());
            bytes.splice(at..end, more);
        }
        for frame in frames(&bytes).into_iter().flatten() {
            for Sample { body, .. } in kinds() {
                let _ = read(&*body, &frame.body);
            }
        }
    }
}
