//! A node whose sockets take all of its processor. The time that they take passes on the paused clock, and nothing else runs
//! in it, as on a machine with one core; so it can be asserted what is late.

use std::time::Duration;

use roomcast_core::NamespaceHandle;
use tokio::time::{Instant, sleep};

use super::cases::run;
use super::cluster::{Member, Nodes};
use super::limits::CRASH_WITHIN;
use super::local::Heard;

/// What a room of 100,000 sockets takes for one packet.
const COST: Duration = Duration::from_millis(6);
/// So many small frames are packed into one message.
const PACKED: usize = 700;
/// By which a heartbeat, or the end of a deadline, may be late.
const LATE: Duration = Duration::from_millis(100);

/// Three nodes: one sends, one is busy with what it gets, one has nothing to do.
struct Cast {
    nodes: Nodes,
    busy: Heard,
    _room: NamespaceHandle,
}

impl Cast {
    async fn new() -> Self {
        let mut nodes = Nodes::none(1);
        nodes.start(3).await.expect("connects");
        nodes.until(CRASH_WITHIN, |node| node.knows(3)).await.expect("they know each other");
        let busy = Heard::at_a_cost(COST);
        let room = nodes.all[1].cluster.namespace("/busy", busy.clone()).await.expect("a namespace");
        Self { nodes, busy, _room: room }
    }

    fn busy(&self) -> &Member {
        &self.nodes.all[1]
    }

    /// The first node emits so many small packets at once, which its writer packs; returns when the busy one is at work.
    async fn keep_busy(&self, packets: usize) {
        let room = self.nodes.all[0].cluster.of("/busy").expect("a namespace");
        for _ in 0..packets {
            room.emit("small").await.expect("there is room");
        }
        while self.busy.count() == 0 {
            sleep(Duration::from_millis(1)).await;
        }
    }

    /// Until the busy one has carried out so many.
    async fn done(&self, packets: usize) {
        while self.busy.count() < packets {
            sleep(Duration::from_millis(50)).await;
        }
    }
}

/// Runs it on the paused clock, for a while at the most.
fn scene(what: impl Future<Output = ()>) {
    run(async { tokio::time::timeout(Duration::from_secs(120), what).await }).expect("something never came true");
}

#[test]
fn heartbeats_go_out_while_a_packed_message_is_carried_out() {
    scene(async {
        let cast = Cast::new().await;
        let mut watch = cast.nodes.watch();
        cast.keep_busy(PACKED).await;
        cast.done(PACKED).await;
        sleep(Duration::from_secs(3)).await;
        let silence = cast.nodes.broker().longest_silence(cast.busy().link);
        assert!(silence <= Duration::from_secs(1) + LATE, "the busy node sent nothing for {silence:?}");
        assert_eq!(watch.evictions(), 0);
    });
}

#[test]
fn a_deadline_ends_while_a_packed_message_is_carried_out() {
    scene(async {
        let cast = Cast::new().await;
        let deadline = Duration::from_millis(500);
        cast.nodes.broker().stall(cast.nodes.all[2].link, 20 * deadline); // so that one answer does not come in time
        let chat = cast.busy().chat.clone();
        let asking = tokio::spawn(async move {
            let began = Instant::now();
            (chat.timeout(deadline).fetch_sockets().await, began.elapsed())
        });
        cast.keep_busy(PACKED).await;
        let (gathered, took) = asking.await.expect("asking does not panic");
        assert!(took <= deadline + LATE, "a deadline of {deadline:?} ended after {took:?}");
        let silent = cast.nodes.all[2].cluster.node().id;
        let missing = gathered.expect("answers").missing;
        assert!(missing.iter().any(|missing| missing.node == silent), "{missing:?}");
        assert!(cast.busy.count() < PACKED, "the node was not busy any more");
    });
}

#[test]
fn g05_a_dead_node_is_found_behind_a_backlog() {
    scene(async {
        let mut cast = Cast::new().await;
        cast.keep_busy(4 * PACKED).await;
        let dead = cast.nodes.all.remove(2);
        cast.nodes.broker().kill(dead.link);
        drop(dead);
        let began = Instant::now();
        while !cast.busy().knows(2) {
            sleep(Duration::from_millis(5)).await;
        }
        let took = began.elapsed();
        assert!(took <= CRASH_WITHIN + LATE, "a dead node was found after {took:?}");
        assert!(cast.busy.count() < 4 * PACKED, "the node was not busy any more");
    });
}
