//! A node that is too slow for what it is sent, by the paused clock: what its sockets take passes there, and nothing else runs.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use adapter_core::adapter::{Acks, LocalSocket, LocalSockets, Target};
use adapter_core::{Cluster, ErrorKind, Event, Events, Memory, Packet, Projection, Room};
use futures_util::FutureExt;
use tokio::time::{Instant, advance, sleep};

use crate::support::{Node, SOON, until};

/// How much a packet takes.
const COST: Duration = Duration::from_millis(10);
const MAX_LAG: Duration = Duration::from_secs(1);
/// One message may be on its way already, with what was packed into it.
const ONE_MESSAGE: Duration = Duration::from_millis(500);

/// Sockets that write down when each packet was sent, and how old it was. Clones are the same.
#[derive(Clone, Default)]
struct Slow(Arc<Mutex<Seen>>);

#[derive(Default)]
struct Seen {
    began: Option<Instant>,
    cost: Duration,
    count: u64,
    oldest: Duration,
    latest: Duration,
}

impl LocalSockets for Slow {
    fn broadcast(&self, _: &Target, packet: &Packet) {
        let cost = {
            let mut seen = self.0.lock().unwrap();
            let Ok(sent) = String::from_utf8_lossy(&packet.data).parse() else { return };
            let now = seen.began.unwrap().elapsed();
            seen.count += 1;
            seen.latest = now - Duration::from_micros(sent);
            seen.oldest = seen.oldest.max(seen.latest);
            seen.cost
        };
        // The first poll moves the clock; what it would wait for is that the others run.
        let _ = advance(cost).now_or_never();
    }
    fn broadcast_with_ack(&self, _: &Target, _: &Packet, _: Duration, _: Acks) {}
    fn join(&self, _: &Target, _: &[Room]) {}
    fn leave(&self, _: &Target, _: &[Room]) {}
    fn disconnect(&self, _: &Target) {}
    fn sockets(&self, _: &Target, _: Projection) -> Vec<LocalSocket> {
        Vec::new()
    }
    fn rooms(&self, _: &Target) -> Vec<Room> {
        Vec::new()
    }
}

/// Emits so many packets, one in a millisecond; each says when.
async fn emit(sender: &Node, began: Instant, count: u64) {
    let mut pace = tokio::time::interval(Duration::from_millis(1));
    for _ in 0..count {
        pace.tick().await;
        sender.chat.emit(began.elapsed().as_micros().to_string()).await.unwrap();
    }
}

/// What it was told to have lost: how many times, and how much.
fn told(events: &mut Events) -> (u64, u64) {
    let (mut times, mut lost) = (0, 0);
    while let Some(Some(event)) = events.next().now_or_never() {
        if let Event::Gap { count, .. } = event {
            times += 1;
            lost += count.expect("its sender lives: the count is known");
        }
    }
    (times, lost)
}

#[tokio::test(start_paused = true)]
async fn g08_g12_a_node_that_is_too_slow_skips_to_real_time_and_is_told_the_exact_count() {
    let memory = Memory::new();
    let (sender, other) = (Node::on(&memory).await, Node::on(&memory).await);
    let slow = Slow::default();
    let began = Instant::now();
    slow.0.lock().unwrap().began = Some(began);
    let node = Cluster::builder().max_lag(MAX_LAG).connect(memory.clone()).await.unwrap();
    let _chat = node.namespace("/chat", slow.clone()).await.unwrap();
    let (mut events, mut fast) = (node.events(), other.socket([]));

    slow.0.lock().unwrap().cost = COST;
    emit(&sender, began, 20_000).await;
    let so_far = told(&mut events);
    {
        let mut seen = slow.0.lock().unwrap();
        assert!(seen.oldest > MAX_LAG / 2, "it was never slow: {:?}", seen.oldest);
        assert!(seen.oldest < MAX_LAG + ONE_MESSAGE, "{:?} behind", seen.oldest);
        seen.cost = Duration::ZERO;
    }
    sleep(MAX_LAG).await; // takes what waits
    emit(&sender, began, 100).await;
    sender.chat.emit(began.elapsed().as_micros().to_string()).await.unwrap();
    sleep(SOON).await; // a last gap is told by a mark
    let (times, lost) = told(&mut events);
    let (times, lost) = (so_far.0 + times, so_far.1 + lost);
    let (got, latest) = {
        let seen = slow.0.lock().unwrap();
        (seen.count, seen.latest)
    };
    assert_eq!(got + lost, 20_101);
    assert!(latest < Duration::from_millis(10), "{latest:?} behind");
    // Once each time that it was too far behind: not more often than once in MAX_LAG.
    assert!(lost > 1_000 && times <= began.elapsed().as_secs(), "{times} gaps of {lost}");
    assert_eq!(node.stats().repaired, 0, "it does not ask for what it has dropped");
    sender.chat.emit("end").await.unwrap();
    assert_eq!(until("end", &mut fast).await.len(), 20_101, "the others get everything");
}

#[tokio::test]
async fn g13_a_lag_of_no_time_is_refused() {
    let refused = Cluster::builder().max_lag(Duration::ZERO).connect(Memory::new()).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Config);
    assert!(refused.to_string().contains("max_lag"), "{refused}");
}
