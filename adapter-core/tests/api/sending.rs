//! When what is emitted is given to the backend (docs/decisions/0004).

use std::time::Duration;

use futures_util::FutureExt as _;
use roomcast_core::backend::Limits;
use roomcast_core::{Cluster, Hub, Memory, Packet};
use tokio::task::unconstrained;
use tokio::time::Instant;

use crate::faulty::{Faulty, Mode};
use crate::support::{Node, SOON, eventually, next};

/// A node whose link has a switch, and another one that it knows.
async fn pair(limits: Limits) -> (Node, Faulty, Node) {
    let memory = Memory::with_limits(limits);
    let link = Faulty::on(&memory);
    let cluster = Cluster::connect(link.clone()).await.unwrap();
    let hub = Hub::new();
    let chat = cluster.namespace("/chat", hub.clone()).await.unwrap();
    let one = Node { cluster, chat, hub };
    let two = Node::on(&memory).await;
    eventually(|| one.cluster.nodes().len() == 2 && two.cluster.nodes().len() == 2).await;
    one.cluster.flush(SOON).await.unwrap();
    (one, link, two)
}

/// Emits in one poll, in which no other task of this runtime can run.
fn emit_at_once(node: &Node, packet: impl Into<Packet>) {
    unconstrained(node.chat.emit(packet)).now_or_never().expect("the queue has capacity").unwrap();
}

#[tokio::test]
async fn an_emit_hands_over_before_it_returns_when_nothing_is_under_way() {
    let (one, link, _two) = pair(Limits::max_frame(1 << 20)).await;
    // The writer rests between two looks: then one emit is enough.
    eventually(|| {
        let before = link.published();
        emit_at_once(&one, "x");
        link.published() > before
    })
    .await;
}

#[tokio::test]
async fn a_loop_of_emits_is_packed_when_the_broker_takes_everything_at_once() {
    let (one, link, two) = pair(Limits::max_frame(1 << 20)).await;
    let mut there = two.socket([]);
    let before = link.published();
    for n in 0..100 {
        emit_at_once(&one, n.to_string());
    }
    for n in 0..100 {
        assert_eq!(next(&mut there).await, n.to_string());
    }
    let messages = link.published() - before;
    assert!(messages < 10, "{messages} messages for 100 packets");
}

/// How long a packet takes to the other node when the one before it, of so many bytes, is never confirmed.
async fn behind(limits: Limits, bytes: usize) -> Duration {
    let (one, link, two) = pair(limits).await;
    let mut there = two.socket([]);
    link.set(Mode::Unconfirmed).await;
    one.chat.emit(vec![b'a'; bytes]).await.unwrap();
    let began = Instant::now();
    one.chat.emit("behind").await.unwrap();
    while next(&mut there).await != "behind" {}
    began.elapsed()
}

/// By the paused clock: an unconfirmed publish is given up after two seconds.
#[tokio::test(start_paused = true)]
async fn a_packet_follows_a_small_one_before_the_broker_has_confirmed_that() {
    let two_at_a_time = Limits::max_frame(1 << 20).singles_in_flight(2);
    assert!(behind(two_at_a_time, 100).await < Duration::from_millis(100));
    assert!(behind(two_at_a_time, 10_000).await >= Duration::from_secs(2), "what is large gathers what follows");
    assert!(behind(Limits::max_frame(1 << 20), 100).await >= Duration::from_secs(2), "the backend takes one at a time");
}
