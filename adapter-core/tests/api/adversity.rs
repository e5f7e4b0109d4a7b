//! What hurt once: hostile numbers, slow links, busy readers, calls that race.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use roomcast_core::adapter::LocalSockets;
use roomcast_core::backend::{
    Backend, Capabilities, Channel, Connect, Inbox, Limits, Outgoing, PublishError, async_trait,
};
use roomcast_core::{
    Cluster, ClusterName, Departure, ErrorKind, Event, Memory, MissingReason, NodeId, Packet, Result, Room,
};

use crate::bad_input::stranger_inbox;
use crate::support::{Node, OnBroadcast, event, eventually, next};

/// A run of one frame of version 1 as PROTOCOL.md has it, from a node that nobody knows and that has counted as far as can be.
fn frame(kind: u8, number: Option<(u64, u64)>, body: &[u8]) -> Vec<u8> {
    let number: Vec<u8> =
        number.into_iter().flat_map(|(epoch, n)| [epoch.to_le_bytes(), n.to_le_bytes()].concat()).collect();
    let flags = u16::from(!number.is_empty()) | u16::from(kind < 16) << 1;
    let behind = [&number[..], &[0, kind, body.len() as u8, 0], body].concat();
    let head = [&b"RC\x01\x01"[..], &flags.to_le_bytes(), &1_u16.to_le_bytes(), &[9; 16]].concat();
    [&head[..], &(u64::MAX - 1).to_le_bytes(), &(behind.len() as u32).to_le_bytes(), &behind].concat()
}

async fn publish(memory: &Memory, frames: impl IntoIterator<Item = Vec<u8>>) {
    let stranger = memory.connect(stranger_inbox().await).await.unwrap();
    let channel = Channel::cluster(&ClusterName::new("roomcast").unwrap());
    for frame in frames {
        stranger.publish(&[Outgoing::new(channel.clone(), frame.into())]).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g14_numbers_at_the_end_of_their_range_hurt_nobody() {
    let memory = Memory::new();
    let (node, other) = (Node::on(&memory).await, Node::on(&memory).await);
    let mut socket = node.socket([]);
    // HELLO, HEARTBEAT and BYE with a mark of the highest number; operations with numbers just below it.
    let mark = [&[0, 1, 253][..], &[255; 8], &[0]].concat();
    let almost = u64::MAX - 1;
    let numbered = [(1, 1), (1, almost), (2, 1), (2, almost), (2, u64::MAX), (u64::MAX, almost)];
    let control = [frame(1, None, &mark[..11]), frame(3, None, &mark), frame(4, None, &mark)];
    publish(&memory, control.into_iter().chain(numbered.map(|number| frame(16, Some(number), &[])))).await;
    other.chat.emit("still here").await.unwrap();
    assert_eq!(next(&mut socket).await, "still here");
    assert!(node.cluster.stats().malformed >= 4);
}

#[tokio::test]
async fn large_messages_wait_for_room_without_spinning() {
    let memory = Memory::new();
    let (one, two) = (Node::on(&memory).await, Node::on(&memory).await);
    let mut socket = two.socket([]);
    for _ in 0..6 {
        one.chat.emit(vec![b'x'; 15 << 20]).await.unwrap();
    }
    for _ in 0..6 {
        assert_eq!(next(&mut socket).await.len(), 15 << 20);
    }
}

/// Local sockets that take their time, or stand still.
struct Slow {
    each: Duration,
    stuck: AtomicBool,
}

impl Slow {
    fn sockets(self: Arc<Self>) -> impl LocalSockets {
        OnBroadcast(move |_: &Packet| {
            let began = Instant::now();
            while began.elapsed() < self.each || self.stuck.load(Ordering::SeqCst) {
                std::thread::yield_now();
            }
        })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn g04_g05_a_node_with_a_backlog_stays_a_member_and_keeps_its_deadlines() {
    const EMITTED: u64 = 3_000;
    let memory = Memory::new();
    let (one, two) = (Node::on(&memory).await, Node::on(&memory).await);
    let slow = Arc::new(Slow { each: Duration::from_micros(1_500), stuck: AtomicBool::new(false) });
    let _slow = two.cluster.namespace("/chat", slow.sockets()).await.unwrap();
    eventually(|| one.cluster.nodes().len() == 2).await;
    let mut events = one.cluster.events();
    // More than four seconds of work for the other reader, and far less for us.
    for _ in 0..EMITTED {
        one.chat.emit("x").await.unwrap();
    }
    let asked = two.chat.timeout(Duration::from_millis(500)).count_sockets().await.unwrap();
    let worked_off = two.cluster.stats().received;
    assert!(asked.is_complete() || asked.missing[0].reason == MissingReason::Timeout);
    assert!(worked_off < EMITTED, "the question did not wait for the backlog to be worked off");
    eventually(|| two.cluster.stats().received >= EMITTED).await;
    let fence = Node::on(&memory).await;
    loop {
        match event(&mut events).await {
            Event::NodeUp(node) if node == fence.cluster.node() => break,
            event => assert!(!matches!(event, Event::NodeDown(_, Departure::Died)), "it was busy, not dead"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn g19_a_call_that_races_with_close_is_sent_or_refused() {
    let memory = Memory::new();
    let (one, two) = (Node::on(&memory).await, Node::on(&memory).await);
    eventually(|| one.cluster.nodes().len() == 2).await;
    let slow = Arc::new(Slow { each: Duration::ZERO, stuck: AtomicBool::new(true) });
    let x = one.cluster.namespace("/x", Arc::clone(&slow).sockets()).await.unwrap();
    let apart = |call: std::pin::Pin<Box<dyn Future<Output = Result<()>> + Send>>| {
        std::thread::spawn(|| {
            tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(call)
        })
    };
    let (a, b, c) = (x.clone(), x.clone(), x.clone());
    let blocking = apart(Box::pin(async move { a.local().emit("blocks").await }));
    let emit = apart(Box::pin(async move { b.emit("accepted?").await }));
    let fetch = apart(Box::pin(async move { c.timeout(Duration::from_secs(1)).fetch_sockets().await.map(drop) }));
    one.cluster.close().await.unwrap();
    slow.stuck.store(false, Ordering::SeqCst);
    drop(blocking.join().unwrap());
    for call in [emit, fetch] {
        if let Err(refused) = call.join().unwrap() {
            assert_eq!(refused.kind(), ErrorKind::Closed);
        }
    }
    drop(two);
}

/// The embedded backend over a link of so many bytes a second, by a clock that is paused: it goes on when all wait.
struct Rate(Memory, f64);

struct RateLink(Arc<dyn Backend>, f64);

impl RateLink {
    /// What a thin link is: its bytes take their time.
    async fn carry(&self, bytes: usize) {
        tokio::time::sleep(Duration::from_secs_f64(bytes as f64 / self.1)).await;
    }
}

#[async_trait]
impl Connect for Rate {
    async fn connect(&self, inbox: Inbox) -> Result<Arc<dyn Backend>> {
        Ok(Arc::new(RateLink(self.0.connect(inbox).await?, self.1)))
    }
}

#[async_trait]
impl Backend for RateLink {
    fn capabilities(&self) -> Capabilities {
        self.0.capabilities()
    }
    fn limits(&self) -> Limits {
        Limits::max_frame(1 << 20)
    }
    async fn subscribe(&self, channels: &[Channel]) -> Result<()> {
        self.0.subscribe(channels).await
    }
    async fn unsubscribe(&self, channels: &[Channel]) -> Result<()> {
        self.0.unsubscribe(channels).await
    }
    async fn publish(&self, frames: &[Outgoing]) -> Result<(), PublishError> {
        for frame in frames {
            self.carry(frame.payload.len()).await;
            self.0.publish(std::slice::from_ref(frame)).await?;
        }
        Ok(())
    }
    async fn close(&self) -> Result<()> {
        self.0.close().await
    }
}

#[tokio::test(start_paused = true)]
async fn g13_a_message_that_takes_longer_than_a_publish_may_last_arrives() {
    let memory = Memory::new();
    let two = Node::on(&memory).await;
    let mut socket = two.socket([]);
    let one = Cluster::connect(Rate(memory.clone(), 4.0 * 1048576.0)).await.unwrap();
    let chat = one.of("/chat").unwrap();
    chat.emit(vec![b'x'; 12 << 20]).await.unwrap();
    chat.emit("small").await.unwrap();
    assert_eq!(next(&mut socket).await.len(), 12 << 20);
    assert_eq!(next(&mut socket).await, "small");
}

#[tokio::test(start_paused = true)]
async fn a_volatile_packet_does_not_wait_for_room() {
    let one = Cluster::builder().queue_bytes(4096).connect(Rate(Memory::new(), 200_000.0)).await.unwrap();
    let chat = one.of("/chat").unwrap();
    while one.stats().queued == 0 {
        chat.emit(vec![0; 3500]).await.unwrap();
    }
    chat.volatile().timeout(Duration::from_secs(3600)).emit(vec![0; 1000]).await.unwrap();
    assert_eq!(one.stats().volatile_dropped, 1);
}

#[tokio::test]
async fn g04_a_node_that_is_asked_by_name_and_is_not_there_is_missing() {
    let node = Node::on(&Memory::new()).await;
    let nobody = NodeId::random().unwrap();
    let on = || node.chat.except(Vec::<Room>::new()).on_node(nobody);
    let disconnected = on().disconnect_sockets().await.unwrap();
    assert_eq!((disconnected.missing[0].node, disconnected.missing[0].reason), (nobody, MissingReason::Died));
    assert!(!on().fetch_sockets().await.unwrap().is_complete());
    assert_eq!(on().emit_with_ack("?").await.unwrap().gather().await.missing.len(), 1);
}
