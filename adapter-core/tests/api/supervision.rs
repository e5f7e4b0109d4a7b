//! What panics, and what is gone, costs what it was busy with and no more (G23).

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use roomcast_core::backend::{
    Backend, Capabilities, Channel, Connect, Inbox, Limits, Outgoing, PublishError, async_trait,
};
use roomcast_core::{Cluster, Error, ErrorKind, Event, Hub, Memory, Result, Socket};

use crate::support::{Node, SOON, eventually, told};

/// A backend over the embedded one that has faults.
#[derive(Clone)]
struct Odd(Arc<Faults>);

struct Faults {
    memory: Memory,
    /// So many of the next publishes panic.
    panics: AtomicUsize,
    /// So many of the next looks at the limits do.
    limits: AtomicUsize,
    /// A message with these bytes in it never has a known outcome.
    poison: Option<&'static [u8]>,
    /// The first refusal names a message that is not in the batch.
    beyond: AtomicUsize,
}

impl Odd {
    fn on(memory: &Memory) -> Self {
        Self::with(memory, None)
    }

    fn with(memory: &Memory, poison: Option<&'static [u8]>) -> Self {
        let (panics, limits, beyond) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
        Self(Arc::new(Faults { memory: memory.clone(), panics, limits, poison, beyond }))
    }

    async fn node(&self) -> Node {
        let cluster = Cluster::connect(self.clone()).await.unwrap();
        let hub = Hub::new();
        let chat = cluster.namespace("/chat", hub.clone()).await.unwrap();
        Node { cluster, chat, hub }
    }
}

fn one_less(count: &AtomicUsize) -> bool {
    count.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |count| count.checked_sub(1)).is_ok()
}

#[async_trait]
impl Connect for Odd {
    async fn connect(&self, inbox: Inbox) -> Result<Arc<dyn Backend>> {
        Ok(Arc::new(Link { link: self.0.memory.connect(inbox).await?, faults: Arc::clone(&self.0) }))
    }
}

struct Link {
    link: Arc<dyn Backend>,
    faults: Arc<Faults>,
}

#[async_trait]
impl Backend for Link {
    fn capabilities(&self) -> Capabilities {
        self.link.capabilities()
    }

    fn limits(&self) -> Limits {
        assert!(!one_less(&self.faults.limits), "no limits today");
        self.link.limits()
    }

    async fn subscribe(&self, channels: &[Channel]) -> Result<()> {
        self.link.subscribe(channels).await
    }

    async fn unsubscribe(&self, channels: &[Channel]) -> Result<()> {
        self.link.unsubscribe(channels).await
    }

    async fn publish(&self, frames: &[Outgoing]) -> Result<(), PublishError> {
        assert!(!one_less(&self.faults.panics), "no publishing today");
        if one_less(&self.faults.beyond) {
            return Err(PublishError::Refused { index: 1_000, kind: ErrorKind::Denied });
        }
        let poisoned = |frame: &Outgoing| {
            self.faults.poison.is_some_and(|poison| frame.payload.windows(poison.len()).any(|part| part == poison))
        };
        if frames.iter().any(poisoned) {
            return Err(PublishError::Unknown(Error::unavailable("the broker closes the channel")));
        }
        self.link.publish(frames).await
    }

    async fn close(&self) -> Result<()> {
        self.link.close().await
    }
}

async fn texts(socket: &mut Socket, count: usize) -> Vec<String> {
    let mut texts = Vec::new();
    while texts.len() < count {
        let next = tokio::time::timeout(SOON, socket.next()).await.expect("in time").expect("connected");
        texts.push(String::from_utf8(next.packet.data.to_vec()).unwrap());
    }
    texts
}

async fn panicked(events: &mut roomcast_core::Events, part: &str) {
    told(events, |event| matches!(event, Event::Panicked { what, .. } if what.contains(part)).then_some(())).await;
}

#[tokio::test]
async fn g23_a_publish_that_panics_is_tried_again() {
    let memory = Memory::new();
    let odd = Odd::on(&memory);
    let (one, two) = (odd.node().await, Node::on(&memory).await);
    let (mut socket, mut events) = (two.socket(["lobby"]), one.cluster.events());
    odd.0.panics.store(2, Ordering::SeqCst);
    one.chat.to("lobby").emit("still here").await.unwrap();
    assert_eq!(texts(&mut socket, 1).await, ["still here"]);
    panicked(&mut events, "publish").await;
    assert!(one.cluster.stats().panics >= 1);
}

#[tokio::test]
async fn g23_a_writer_that_panics_goes_on() {
    let memory = Memory::new();
    let odd = Odd::on(&memory);
    let (one, two) = (odd.node().await, Node::on(&memory).await);
    let (mut socket, mut events) = (two.socket(["lobby"]), one.cluster.events());
    odd.0.limits.store(1, Ordering::SeqCst);
    for n in 0..3 {
        one.chat.to("lobby").emit(n.to_string()).await.unwrap();
    }
    assert_eq!(texts(&mut socket, 3).await, ["0", "1", "2"]);
    panicked(&mut events, "the writer").await;
}

struct PanickingWaker;

impl Wake for PanickingWaker {
    fn wake(self: Arc<Self>) {
        panic!("woken");
    }
}

#[tokio::test]
async fn g23_a_reader_that_panics_goes_on() {
    let memory = Memory::new();
    let (one, two) = (Node::on(&memory).await, Node::on(&memory).await);
    eventually(|| one.cluster.nodes().len() == 2).await;
    let (mut asked, mut mine) = (two.socket(["lobby"]), one.socket(["lobby"]));
    let mut events = one.cluster.events();
    let mut acks = one.chat.to("lobby").timeout(Duration::from_secs(5)).emit_with_ack("?").await.unwrap();
    {
        // Whoever waits for the answers is woken on the reader, by code of the application.
        let waker = Waker::from(Arc::new(PanickingWaker));
        let mut next = pin!(acks.next());
        assert!(next.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    }
    let question = asked.next().await.unwrap();
    question.ack.unwrap().send("!");
    panicked(&mut events, "the reader").await;
    drop(mine.next().await);
    two.chat.to("lobby").emit("heard").await.unwrap();
    assert_eq!(texts(&mut mine, 1).await, ["heard"]);
}

#[test]
fn g23_a_cluster_whose_runtime_is_gone_says_closed() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let memory = Memory::new();
    let first = runtime();
    let node = first.block_on(Node::on(&memory));
    let question = node.chat.to("lobby").fetch_sockets();
    drop(first);
    runtime().block_on(async {
        assert_eq!(node.chat.to("lobby").emit("?").await.unwrap_err().kind(), ErrorKind::Closed);
        assert_eq!(question.await.unwrap_err().kind(), ErrorKind::Closed);
        assert_eq!(node.cluster.flush(SOON).await.unwrap_err().kind(), ErrorKind::Closed);
    });
}

#[tokio::test(start_paused = true)]
async fn g08_a_message_that_the_broker_cannot_take_stops_nobody_for_ever() {
    let memory = Memory::new();
    let (one, two) = (Odd::with(&memory, Some(b"poison")).node().await, Node::on(&memory).await);
    let mut socket = two.socket(["lobby"]);
    for text in ["before", "poison", "after"] {
        one.chat.to("lobby").emit(text).await.unwrap();
    }
    assert_eq!(texts(&mut socket, 2).await, ["before", "after"]);
    assert_eq!(one.cluster.stats().refused, 1);
}

#[tokio::test]
async fn a_refusal_of_what_is_not_there_costs_nothing() {
    let memory = Memory::new();
    let odd = Odd::on(&memory);
    let (one, two) = (odd.node().await, Node::on(&memory).await);
    let mut socket = two.socket(["lobby"]);
    odd.0.beyond.store(1, Ordering::SeqCst);
    one.chat.to("lobby").emit("whole").await.unwrap();
    assert_eq!(texts(&mut socket, 1).await, ["whole"]);
    assert_eq!(one.cluster.stats().refused, 0);
}

#[tokio::test]
async fn g19_a_node_that_is_asked_all_the_time_closes_in_time() {
    let memory = Memory::new();
    let (one, two) = (Node::on(&memory).await, Node::on(&memory).await);
    eventually(|| two.cluster.nodes().len() == 2).await;
    let chat = two.chat.clone();
    let asking = tokio::spawn(async move {
        loop {
            let _ = chat.to("lobby").timeout(Duration::from_secs(1)).fetch_sockets().await;
            tokio::task::yield_now().await;
        }
    });
    one.cluster.close().await.unwrap();
    eventually(|| two.cluster.nodes().len() == 1).await;
    asking.abort();
}
