//! The embedded backend with a switch: an outage, or a link that is dead without anybody's saying so.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use roomcast_core::backend::{
    Backend, Capabilities, Channel, Connect, Inbox, Limits, Outgoing, PublishError, Reason, async_trait,
};
use roomcast_core::{Error, ErrorKind, Memory, Result};
use tokio::sync::{OnceCell, watch};

/// How the link of one node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Up,
    /// Nothing gets through, and the backend says so.
    Down,
    /// Nothing arrives, and the backend says that this node was too slow for it.
    Dropping,
    /// Nothing gets through, and nobody says so until the link is reset.
    Dead,
    /// One in a hundred of the messages that this node publishes is lost, and nobody says so.
    Leaky,
    /// Everything gets through, but the backend cannot tell: every publish has an unknown outcome.
    Doubtful,
    /// Everything gets through, and the broker never confirms it.
    Unconfirmed,
    /// The broker answers that it takes nothing.
    Full,
}

/// A node's way to the broker, with its switch.
#[derive(Clone)]
pub(crate) struct Faulty(Arc<Shared>);

struct Shared {
    memory: Memory,
    mode: watch::Sender<Mode>,
    /// Messages that the backend was given to publish.
    published: AtomicUsize,
    /// How often the node gave its link up.
    resets: AtomicUsize,
    link: OnceCell<(Arc<dyn Backend>, Inbox)>,
}

impl Faulty {
    pub(crate) fn on(memory: &Memory) -> Self {
        let (mode, published, link) = (watch::Sender::new(Mode::Up), AtomicUsize::new(0), OnceCell::new());
        let resets = AtomicUsize::new(0);
        Self(Arc::new(Shared { memory: memory.clone(), mode, published, resets, link }))
    }

    pub(crate) fn published(&self) -> usize {
        self.0.published.load(Ordering::SeqCst)
    }

    pub(crate) fn resets(&self) -> usize {
        self.0.resets.load(Ordering::SeqCst)
    }

    pub(crate) async fn set(&self, mode: Mode) {
        let (link, inbox) = self.0.link.get().expect("connected");
        let channels = inbox.channels();
        let before = self.0.mode.send_replace(mode);
        match mode {
            Mode::Up | Mode::Leaky | Mode::Doubtful | Mode::Unconfirmed => {
                link.subscribe(&channels).await.unwrap();
                if before != mode {
                    inbox.up(link.limits());
                }
            }
            Mode::Down => {
                link.unsubscribe(&channels).await.unwrap();
                inbox.down("switched off");
            }
            Mode::Dropping => {
                link.unsubscribe(&channels).await.unwrap();
                inbox.dropped("too slow");
            }
            Mode::Dead => link.unsubscribe(&channels).await.unwrap(),
            Mode::Full => {}
        }
    }
}

#[async_trait]
impl Connect for Faulty {
    async fn connect(&self, inbox: Inbox) -> Result<Arc<dyn Backend>> {
        let link = self.0.memory.connect(inbox.clone()).await?;
        self.0.link.set((Arc::clone(&link), inbox)).ok().expect("one node for each");
        Ok(Arc::new(Link { link, faulty: self.clone() }))
    }
}

struct Link {
    link: Arc<dyn Backend>,
    faulty: Faulty,
}

fn unknown() -> PublishError {
    PublishError::Unknown(Error::new(ErrorKind::Unavailable, "switched off"))
}

#[async_trait]
impl Backend for Link {
    fn capabilities(&self) -> Capabilities {
        self.link.capabilities()
    }
    fn limits(&self) -> Limits {
        self.link.limits()
    }
    async fn subscribe(&self, channels: &[Channel]) -> Result<()> {
        self.link.subscribe(channels).await
    }
    async fn unsubscribe(&self, channels: &[Channel]) -> Result<()> {
        self.link.unsubscribe(channels).await
    }
    async fn publish(&self, frames: &[Outgoing]) -> Result<(), PublishError> {
        let before = self.faulty.0.published.fetch_add(frames.len(), Ordering::SeqCst);
        let mode = *self.faulty.0.mode.borrow();
        match mode {
            Mode::Up | Mode::Dropping => self.link.publish(frames).await,
            Mode::Leaky => {
                let stays = |(at, _): &(usize, &Outgoing)| (before + at) % 100 != 99;
                let left: Vec<_> = frames.iter().enumerate().filter(stays).map(|(_, frame)| frame.clone()).collect();
                self.link.publish(&left).await
            }
            Mode::Down => Err(unknown()),
            Mode::Full => Err(PublishError::NotNow(Error::new(ErrorKind::Unavailable, "the disk is full: make room"))),
            Mode::Dead => std::future::pending().await,
            Mode::Doubtful => self.link.publish(frames).await.and(Err(unknown())),
            Mode::Unconfirmed => {
                self.link.publish(frames).await?;
                std::future::pending().await
            }
        }
    }
    async fn reset(&self, _: Reason) {
        self.faulty.0.resets.fetch_add(1, Ordering::SeqCst);
        if *self.faulty.0.mode.borrow() == Mode::Dead {
            self.faulty.set(Mode::Down).await;
            self.faulty.set(Mode::Up).await;
        }
    }
    async fn close(&self) -> Result<()> {
        self.link.close().await
    }
}
