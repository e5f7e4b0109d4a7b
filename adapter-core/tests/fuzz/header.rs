//! Headers: what a message holds, read whole and at a glance.

use bytes::Bytes;

use super::choices::Script;
use super::{Choices, messages, target};
use crate::model::NodeId;
use crate::wire::hostile::bounded;
use crate::wire::{Frame, Frames, Glance, Message, Skipped};

const CAST: [NodeId; 2] = [NodeId::from_bytes([1; 16]), NodeId::from_bytes([2; 16])];

#[test]
fn header() {
    target!("header").for_each(|script: &Script| {
        let mut choices = Choices::new(script);
        let mut message = Vec::new();
        for _ in 0..=choices.below(3) {
            message.extend_from_slice(&messages::message(&mut choices, &CAST));
        }
        check(message.into());
    });
}

fn check(message: Bytes) {
    // Each frame takes a byte at the least; one more is what is malformed.
    let most = message.len() + 1;
    let mut read = Vec::with_capacity(most + 1);
    let frames = || Frames::new(message.clone()).take(most + 1).for_each(|frame| read.push(frame));
    bounded(message.len(), &|| format!("{message:02x?}"), frames);
    assert!(read.len() <= most, "{} frames in {} bytes", read.len(), message.len());
    assert_eq!(read.is_empty(), message.is_empty());
    let malformed = read.iter().position(|frame| *frame == Err(Skipped::Malformed));
    assert!(malformed.is_none_or(|at| at + 1 == read.len()), "something was read behind what is malformed");

    let glance = Glance::at(&message);
    match read.first() {
        Some(Ok(Frame { head, .. })) => {
            let glance = glance.expect("it is of the protocol");
            let Glance { sender, control, counter, kind } = glance;
            assert_eq!((sender, control, counter), (head.sender, head.kind.is_control(), head.counter));
            assert!(kind.is_none_or(|kind| kind == head.kind));
        }
        Some(Err(Skipped::TooNew { sender, .. })) => assert_eq!(glance.map(|glance| glance.sender), Some(*sender)),
        Some(Err(Skipped::Malformed)) | None => {}
    }
    for frame in read.into_iter().flatten() {
        let again = Message::of(&frame.head, &frame.body, &frame.packet);
        assert_eq!(Frames::new(again).collect::<Vec<_>>(), [Ok(frame)], "written again");
    }
}
