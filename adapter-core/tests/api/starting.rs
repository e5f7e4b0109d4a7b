//! Connecting while the broker is away.

use std::collections::VecDeque;
use std::error::Error as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use roomcast_core::backend::{
    Backend, Capabilities, Channel, Connect, Inbox, Limits, Outgoing, PublishError, async_trait,
};
use roomcast_core::{Cluster, Error, ErrorKind, Memory, Result, WhenUnreachable};

use crate::support::Node;

/// What one attempt to connect does.
#[derive(Clone, Copy)]
pub(crate) enum Attempt {
    Refuses(ErrorKind),
    /// The link breaks while the node subscribes.
    BreaksAtOnce,
    Panics,
    NeverEnds,
}

/// A broker that fails so often, then is there.
#[derive(Clone)]
pub(crate) struct Late {
    memory: Memory,
    failures: Arc<Mutex<VecDeque<Attempt>>>,
    attempts: Arc<AtomicUsize>,
}

impl Late {
    pub(crate) fn new(memory: &Memory, failures: impl IntoIterator<Item = Attempt>) -> Self {
        let failures = Arc::new(Mutex::new(failures.into_iter().collect()));
        Self { memory: memory.clone(), failures, attempts: Arc::default() }
    }

    pub(crate) fn attempts(&self) -> usize {
        self.attempts.load(Ordering::SeqCst)
    }

    /// It fails no more.
    pub(crate) fn comes(&self) {
        self.failures.lock().unwrap().clear();
    }
}

#[async_trait]
impl Connect for Late {
    async fn connect(&self, inbox: Inbox) -> Result<Arc<dyn Backend>> {
        self.attempts.fetch_add(1, Ordering::SeqCst);
        let failure = self.failures.lock().unwrap().pop_front();
        match failure {
            Some(Attempt::Refuses(kind)) => Err(Error::new(kind, "not now")),
            Some(Attempt::BreaksAtOnce) => {
                inbox.down("broken at once");
                Ok(Arc::new(Broken))
            }
            Some(Attempt::Panics) => panic!("as the test has asked"),
            Some(Attempt::NeverEnds) => std::future::pending().await,
            None => self.memory.connect(inbox).await,
        }
    }
}

/// A link that broke.
struct Broken;

#[async_trait]
impl Backend for Broken {
    fn capabilities(&self) -> Capabilities {
        Capabilities::default()
    }
    fn limits(&self) -> Limits {
        Limits::max_frame(512)
    }
    async fn subscribe(&self, _: &[Channel]) -> Result<()> {
        Err(Error::unavailable("the link is down"))
    }
    async fn unsubscribe(&self, _: &[Channel]) -> Result<()> {
        Err(Error::unavailable("the link is down"))
    }
    async fn publish(&self, _: &[Outgoing]) -> Result<(), PublishError> {
        Err(PublishError::Unknown(Error::unavailable("the link is down")))
    }
    async fn close(&self) -> Result<()> {
        Ok(())
    }
}

pub(crate) const AWAY: Attempt = Attempt::Refuses(ErrorKind::Unavailable);

#[tokio::test(start_paused = true)]
async fn by_default_the_first_failure_is_the_result() {
    let broker = Late::new(&Memory::new(), [AWAY]);
    let error = Cluster::connect(broker.clone()).await.unwrap_err();
    assert_eq!((error.kind(), broker.attempts()), (ErrorKind::Unavailable, 1));
}

#[tokio::test(start_paused = true)]
async fn a_node_that_waits_joins_once_the_broker_is_there() {
    let memory = Memory::new();
    let first = Node::on(&memory).await;
    let broker = Late::new(&memory, [AWAY, Attempt::BreaksAtOnce, Attempt::Refuses(ErrorKind::Timeout), AWAY]);
    let node = Cluster::builder().when_unreachable(WhenUnreachable::Wait).connect(broker.clone()).await.unwrap();
    assert_eq!((node.nodes().len(), broker.attempts()), (2, 5));
    let mut socket = first.socket(["lobby"]);
    node.of("/chat").unwrap().to("lobby").emit("here").await.unwrap();
    assert_eq!(socket.next().await.unwrap().packet.data, "here");
}

#[tokio::test(start_paused = true)]
async fn what_waiting_cannot_mend_ends_it_at_once() {
    for kind in [ErrorKind::Denied, ErrorKind::Config, ErrorKind::Unexpected] {
        let broker = Late::new(&Memory::new(), [AWAY, Attempt::Refuses(kind)]);
        let builder = Cluster::builder().when_unreachable(WhenUnreachable::Wait);
        let error = builder.connect(broker.clone()).await.unwrap_err();
        assert_eq!((error.kind(), broker.attempts()), (kind, 2));
    }
}

#[tokio::test(start_paused = true)]
async fn waiting_ends_with_the_connect_timeout_and_says_what_failed() {
    let broker = Late::new(&Memory::new(), [AWAY; 1000]);
    let builder = Cluster::builder().when_unreachable(WhenUnreachable::Wait).connect_timeout(Duration::from_secs(20));
    let error = builder.connect(broker.clone()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    let cause = error.source().and_then(|cause| cause.downcast_ref::<Error>()).unwrap();
    assert_eq!(cause.kind(), ErrorKind::Unavailable);
    assert!((10..200).contains(&broker.attempts()), "{} attempts", broker.attempts());
}
