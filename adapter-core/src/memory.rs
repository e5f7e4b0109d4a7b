//! The embedded backend: any number of nodes in one process.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use async_trait::async_trait;

use crate::model::{Error, ErrorKind, Limits, Result};
use crate::seams::{Backend, Capabilities, Channel, Connect, Inbox, InboxFull, Outgoing, PublishError};

/// How long one publish waits for nodes that do not read. After that they lose its messages, and are told so.
const PATIENCE: Duration = Duration::from_secs(1);

/// The embedded backend: any number of nodes in one process, for development, tests and single-server deployments.
///
/// Messages travel by reference count. A publisher waits up to one second for nodes whose inbox is full.
///
/// # Examples
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), adapter_core::Error> {
/// use adapter_core::{Cluster, Memory};
///
/// let one = Cluster::connect(Memory::named("docs")).await?;
/// let two = Cluster::connect(Memory::named("docs")).await?;
/// assert_eq!(two.nodes().len(), 2);
/// # two.close().await?; one.close().await }
/// ```
#[derive(Clone, Debug)]
pub struct Memory(Arc<Broker>);

#[derive(Debug)]
struct Broker {
    subscribers: Mutex<Subscribers>,
    limits: Limits,
}

#[derive(Debug, Default)]
struct Subscribers {
    by_channel: HashMap<Channel, Vec<(u64, Inbox)>>,
}

impl Memory {
    /// A new broker. The nodes that connect with clones of this value see each other.
    pub fn new() -> Self {
        Self::with_limits(Limits::max_frame(usize::MAX))
    }

    /// A new broker whose messages have at most so many bytes, as a real broker's have.
    pub fn with_limits(limits: Limits) -> Self {
        Self(Arc::new(Broker { subscribers: Mutex::default(), limits }))
    }

    /// The broker of this name in this process. It exists as long as a node is connected to it.
    pub fn named(name: &str) -> Self {
        static NAMED: LazyLock<Mutex<HashMap<String, Weak<Broker>>>> = LazyLock::new(Mutex::default);
        let mut named = NAMED.lock().unwrap_or_else(PoisonError::into_inner);
        named.retain(|_, broker| broker.strong_count() > 0);
        if let Some(broker) = named.get(name).and_then(Weak::upgrade) {
            return Self(broker);
        }
        let memory = Self::new();
        named.insert(name.to_owned(), Arc::downgrade(&memory.0));
        memory
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Connect for Memory {
    async fn connect(&self, inbox: Inbox) -> Result<Arc<dyn Backend>> {
        static NEWEST: AtomicU64 = AtomicU64::new(0);
        let id = NEWEST.fetch_add(1, Ordering::Relaxed);
        Ok(Arc::new(Link { id, inbox, broker: Arc::clone(&self.0) }))
    }
}

/// One node's connection.
struct Link {
    id: u64,
    inbox: Inbox,
    broker: Arc<Broker>,
}

impl Link {
    fn leave(&self, gone: impl Fn(&Channel) -> bool) {
        self.broker.lock().by_channel.retain(|channel, subscribers| {
            subscribers.retain(|(id, _)| *id != self.id || !gone(channel));
            !subscribers.is_empty()
        });
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.leave(|_| true);
    }
}

#[async_trait]
impl Backend for Link {
    fn capabilities(&self) -> Capabilities {
        Capabilities::default().ordered()
    }

    fn limits(&self) -> Limits {
        self.broker.limits
    }

    async fn subscribe(&self, channels: &[Channel]) -> Result<()> {
        let mut subscribers = self.broker.lock();
        for channel in channels {
            let list = subscribers.by_channel.entry(channel.clone()).or_default();
            if !list.iter().any(|(id, _)| *id == self.id) {
                list.push((self.id, self.inbox.clone()));
            }
        }
        Ok(())
    }

    async fn unsubscribe(&self, channels: &[Channel]) -> Result<()> {
        self.leave(|channel| channels.contains(channel));
        Ok(())
    }

    async fn publish(&self, frames: &[Outgoing]) -> Result<(), PublishError> {
        let until = tokio::time::Instant::now() + PATIENCE;
        for (index, frame) in frames.iter().enumerate() {
            if frame.payload.len() > self.broker.limits.max_frame {
                return Err(PublishError::Refused { index, kind: ErrorKind::TooLarge });
            }
            for inbox in self.broker.subscribers_of(&frame.channel) {
                let mut payload = frame.payload.clone();
                while let Err(InboxFull(back)) = inbox.frame(frame.channel.as_str(), payload) {
                    payload = back;
                    if tokio::time::timeout_at(until, inbox.ready()).await.is_err() {
                        inbox.dropped("this node did not read for a second, and a message was dropped");
                        inbox.up(self.broker.limits);
                        break;
                    }
                }
            }
        }
        Ok(())
    }

    async fn close(&self) -> Result<(), Error> {
        self.leave(|_| true);
        Ok(())
    }
}

impl Broker {
    fn subscribers_of(&self, channel: &Channel) -> Vec<Inbox> {
        let subscribers = self.lock();
        let of = subscribers.by_channel.get(channel).into_iter().flatten();
        of.map(|(_, inbox)| inbox.clone()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Subscribers> {
        self.subscribers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
