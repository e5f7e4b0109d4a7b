//! A node that is too slow for what it is sent, by the paused clock: what its sockets take passes there, and nothing else runs.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt;
use roomcast_core::adapter::LocalSockets;
use roomcast_core::{Cluster, ErrorKind, Event, Events, Memory, Packet};
use tokio::time::{Instant, advance};

use crate::support::{Node, OnBroadcast, eventually, until};

/// What one packet takes.
const COST: Duration = Duration::from_millis(10);
const MAX_LAG: Duration = Duration::from_secs(1);
/// One message may be under way already, with all packets that were packed into it.
const ONE_MESSAGE: Duration = Duration::from_millis(500);

/// What slow sockets have seen.
#[derive(Clone, Copy)]
struct Seen {
    began: Instant,
    cost: Duration,
    count: u64,
    /// How old the oldest and the latest packet were.
    oldest: Duration,
    latest: Duration,
}

/// Sockets that take some time for a packet, which says when it was emitted.
fn slow_sockets(seen: Arc<Mutex<Seen>>) -> impl LocalSockets {
    OnBroadcast(move |packet: &Packet| {
        let cost = {
            let mut seen = seen.lock().unwrap();
            let Ok(emitted) = String::from_utf8_lossy(&packet.data).parse() else { return };
            seen.count += 1;
            seen.latest = seen.began.elapsed() - Duration::from_micros(emitted);
            seen.oldest = seen.oldest.max(seen.latest);
            seen.cost
        };
        // The first poll moves the clock; what it would wait for is that the others run.
        let _ = advance(cost).now_or_never();
    })
}

/// Emits so many packets, one in a millisecond.
async fn emit(sender: &Node, began: Instant, count: u64) {
    let mut pace = tokio::time::interval(Duration::from_millis(1));
    for _ in 0..count {
        pace.tick().await;
        sender.chat.emit(began.elapsed().as_micros().to_string()).await.unwrap();
    }
}

/// What a node was told to have lost: how many times, and how much in all.
#[derive(Default)]
struct Told {
    times: u64,
    lost: u64,
}

impl Told {
    fn listen(&mut self, events: &mut Events) {
        while let Some(Some(event)) = events.next().now_or_never() {
            if let Event::Gap { count, .. } = event {
                self.times += 1;
                self.lost += count.expect("its sender lives: the count is known");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn g08_g12_a_node_that_is_too_slow_skips_to_real_time_and_is_told_the_exact_count() {
    let memory = Memory::new();
    let (sender, other) = (Node::on(&memory).await, Node::on(&memory).await);
    let began = Instant::now();
    let none = Duration::ZERO;
    let slow = Arc::new(Mutex::new(Seen { began, cost: COST, count: 0, oldest: none, latest: none }));
    let node = Cluster::builder().max_lag(MAX_LAG).connect(memory.clone()).await.unwrap();
    let _chat = node.namespace("/chat", slow_sockets(Arc::clone(&slow))).await.unwrap();
    let (mut events, mut fast, mut told) = (node.events(), other.socket([]), Told::default());
    let seen = || *slow.lock().unwrap();

    emit(&sender, began, 20_000).await;
    told.listen(&mut events);
    assert!(seen().oldest > MAX_LAG / 2, "it was never slow: {:?}", seen().oldest);
    assert!(seen().oldest < MAX_LAG + ONE_MESSAGE, "{:?} behind", seen().oldest);

    slow.lock().unwrap().cost = Duration::ZERO;
    emit(&sender, began, 100).await;
    eventually(|| {
        told.listen(&mut events);
        seen().count + told.lost == 20_100
    })
    .await;
    assert!(seen().latest < Duration::from_millis(10), "{:?} behind", seen().latest);
    // Once each time that it was too far behind: not more often than once in MAX_LAG.
    assert!(told.lost > 1_000 && told.times <= began.elapsed().as_secs(), "{} gaps of {}", told.times, told.lost);
    assert_eq!(node.stats().repaired, 0, "it does not ask for what it has dropped");
    sender.chat.emit("end").await.unwrap();
    assert_eq!(until("end", &mut fast).await.len(), 20_100, "the others get everything");
}

#[tokio::test]
async fn g13_a_lag_of_no_time_is_refused() {
    let refused = Cluster::builder().max_lag(Duration::ZERO).connect(Memory::new()).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Config);
    assert!(refused.to_string().contains("max_lag"), "{refused}");
}
