//! Bodies of every kind.

use std::sync::LazyLock;

use bytes::Bytes;

use super::choices::Script;
use super::{Choices, messages, target};
use crate::wire::hostile::bounded;
use crate::wire::samples::kinds;
use crate::wire::{Answer, Frame, Head, Kind, Operation};

/// Each kind, its head and its bytes.
static BODIES: LazyLock<Vec<(Head, Vec<u8>)>> =
    LazyLock::new(|| kinds().iter().map(|sample| (sample.head, sample.body.bytes())).collect());

#[test]
fn bodies() {
    target!("bodies").for_each(|script: &Script| {
        let mut choices = Choices::new(script);
        let kind = choices.below(BODIES.len());
        let bytes = if choices.yes() {
            Bytes::copy_from_slice(choices.rest())
        } else {
            messages::spliced(&mut choices, |choices| choices.pick(&BODIES).1.clone())
        };
        check(kind, bytes);
    });
}

fn check(kind: usize, bytes: Bytes) {
    let Some(sample) = kinds().into_iter().nth(kind) else { return };
    let what = || format!("{bytes:02x?} as {:?}", sample.head.kind);
    let read = bounded(bytes.len(), &what, || sample.body.read(&bytes).is_ok());
    let again = sample.body.again(&bytes);
    assert_eq!(again.is_ok(), read);
    if let Ok(again) = again {
        assert_eq!(sample.body.again(&again).expect("was encoded here"), again, "{}", what());
    }
    let packet = Bytes::from_static(b"packet");
    let frame = Frame { head: Head { part: None, ..sample.head }, body: bytes.clone(), packet };
    match sample.head.kind {
        kind if kind.is_control() || kind == Kind::RESEND => {}
        kind if kind.is_answer() => {
            let answer = Answer::decode(&frame);
            assert_eq!(answer.is_ok(), read, "{}", what());
            if let Ok(answer) = answer {
                let content = answer.clone().encode();
                let frame = Frame { body: content.body, packet: content.packet, ..frame };
                assert_eq!(Answer::decode(&frame), Ok(answer), "{}", what());
            }
        }
        kind => operation(kind, frame, read, &what),
    }
}

fn operation(kind: Kind, frame: Frame, read: bool, what: &dyn Fn() -> String) {
    let operation = Operation::decode(frame.clone());
    assert_eq!(operation.is_ok(), read, "{}", what());
    if let Ok(operation) = operation {
        let content = operation.encode();
        assert_eq!(content.kind, kind);
        let frame = Frame { body: content.body, packet: content.packet, ..frame };
        assert_eq!(Operation::decode(frame), Ok(operation), "{}", what());
    }
}
