use std::pin::pin;
use std::sync::atomic::AtomicUsize;
use std::task::{Context, Wake, Waker};

use super::*;
use crate::model::NodeId;
use crate::wire::{Head, Kind, Message};

fn message(kind: Kind) -> Bytes {
    let sender = NodeId::from_bytes([1; 16]);
    Message::of(&Head::new(kind, sender, 1), &[0; 100], &[])
}

#[test]
fn a_goodbye_keeps_its_place_behind_a_full_inbox() {
    for bounds in [
        Bounds { messages: 2, bytes: 1 << 20, control: 1 },
        Bounds { messages: 100, bytes: 2 * (PLACE + message(Kind::BROADCAST).len()), control: 1 },
    ] {
        let inbox = Inbox::new(bounds, None);
        inbox.want(&[Channel::new("rc.a").expect("valid")]);
        for _ in 0..2 {
            inbox.frame("rc.a", message(Kind::BROADCAST)).expect("room");
        }
        inbox.frame("rc.a", message(Kind::BROADCAST)).expect_err("full");
        inbox.frame("rc.a", message(Kind::BYE)).expect("never full");
        let taken = inbox.take(true);
        assert_eq!((taken.control.len(), taken.messages.len()), (1, 3), "{bounds:?}");
    }
}

/// Ahead of its place it would be taken for a sign of life.
#[test]
fn what_the_broker_has_kept_for_long_is_not_heard_ahead_of_its_place() {
    let inbox = Inbox::new(Bounds { messages: 9, bytes: 1 << 20, control: 9 }, None);
    inbox.want(&[Channel::new("rc.a").expect("valid")]);
    for (seconds, heard) in [(1, 1), (3, 0)] {
        inbox.frame_at("rc.a", message(Kind::HEARTBEAT), Duration::from_secs(seconds)).expect("room");
        let taken = inbox.take(true);
        assert_eq!((taken.control.len(), taken.messages.len()), (heard, 1), "{seconds} s old");
        assert_eq!(taken.messages[0].replayed, heard == 0);
        assert!(taken.messages[0].at.elapsed() < Duration::from_secs(2), "its wait here begins now");
    }
}

#[test]
fn a_flood_of_goodbyes_is_bounded() {
    let bytes = 2 * (PLACE + message(Kind::BYE).len());
    for (bounds, left) in [
        (Bounds { messages: 2, bytes: 1 << 20, control: 3 }, (3, 5)),
        (Bounds { messages: 100, bytes, control: 100 }, (2, 4)),
    ] {
        let inbox = Inbox::new(bounds, None);
        inbox.want(&[Channel::new("rc.a").expect("valid")]);
        for _ in 0..100 {
            inbox.frame("rc.a", message(Kind::BYE)).expect("never full");
        }
        let taken = inbox.take(true);
        assert_eq!((taken.control.len(), taken.messages.len()), left, "{bounds:?}");
    }
}

#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn taking_wakes_those_who_wait_for_room_and_nobody_else() {
    let inbox = Inbox::new(Bounds { messages: 1, bytes: 1 << 20, control: 1 }, None);
    inbox.want(&[Channel::new("rc.a").expect("valid")]);
    let fill = || inbox.frame("rc.a", message(Kind::BROADCAST));
    let [close, room] = [0; 2].map(|_| Arc::new(Wakes::default()));
    let (close_waker, room_waker) = (Waker::from(Arc::clone(&close)), Waker::from(Arc::clone(&room)));
    let (mut closing, mut offering) = (Context::from_waker(&close_waker), Context::from_waker(&room_waker));
    let woken = || [close.0.load(Ordering::Relaxed), room.0.load(Ordering::Relaxed)];

    let mut closed = pin!(inbox.closed());
    assert!(closed.as_mut().poll(&mut closing).is_pending());
    for _ in 0..10 {
        fill().expect("room");
        assert_eq!(inbox.take(true).messages.len(), 1);
    }
    assert_eq!(woken(), [0, 0]);

    for turn in 1..=10 {
        fill().expect("room");
        fill().expect_err("full");
        let mut ready = pin!(inbox.ready());
        assert!(ready.as_mut().poll(&mut offering).is_pending());
        inbox.take(true);
        assert_eq!(woken(), [0, turn]);
        assert!(ready.as_mut().poll(&mut offering).is_ready());
    }

    inbox.close();
    assert_eq!(woken(), [1, 10]);
    assert!(closed.as_mut().poll(&mut closing).is_ready());
    assert!(pin!(inbox.ready()).poll(&mut offering).is_ready(), "nobody waits for room in a closed inbox");
}

#[test]
fn skipping_drops_messages_and_heartbeats_and_keeps_what_is_said_once() {
    let inbox = Inbox::new(Bounds { messages: 6, bytes: 1 << 20, control: 8 }, None);
    inbox.want(&[Channel::new("rc.a").expect("valid")]);
    let kinds = [Kind::BROADCAST, Kind::HEARTBEAT, Kind::MARK, Kind::FETCH_SOCKETS, Kind::BYE, Kind::BROADCAST];
    for kind in kinds {
        inbox.frame("rc.a", message(kind)).expect("room, or control");
    }
    inbox.frame("rc.a", message(Kind::BROADCAST)).expect_err("full");
    let wakes = Arc::new(Wakes::default());
    let waker = Waker::from(Arc::clone(&wakes));
    let mut waits = pin!(inbox.ready());
    assert!(waits.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());

    let kept: Vec<_> = inbox.skip().iter().filter_map(|arrival| Glance::at(&arrival.payload)?.kind).collect();
    assert_eq!(kept, [Kind::MARK, Kind::BYE]);
    assert_eq!(wakes.0.load(Ordering::Relaxed), 1, "a paused source goes on");
    assert!(waits.as_mut().poll(&mut Context::from_waker(&waker)).is_ready());
    assert_eq!(inbox.take(true).messages.len(), 0);
    inbox.frame("rc.a", message(Kind::BROADCAST)).expect("room again");
}

#[test]
fn a_connection_is_named_after_its_node_in_characters_that_every_broker_takes() {
    let named = |name: &str, node| {
        let cluster = ClusterName::new(ClusterName::DEFAULT).expect("valid");
        let bounds = Bounds { messages: 1, bytes: 1, control: 1 };
        Inbox::new(bounds, Some(Owner { cluster, node, name: name.to_owned() })).client_name()
    };
    let id = Some(NodeId::from_bytes([0xab; 16]));
    assert_eq!(named("web-1", id), "roomcast-web-1");
    assert_eq!(named("web 1\n\u{fc}", id), "roomcast-web-1--");
    assert_eq!(named("", id), "roomcast-abababab");
    assert_eq!(named("", None), "roomcast-emitter");
    assert_eq!(named(&"x".repeat(300), id).len(), 63);
}
