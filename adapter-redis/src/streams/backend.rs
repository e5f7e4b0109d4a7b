//! The link by a stream: one connection adds to it, one reads it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use redis::Pipeline;
use roomcast_core::backend::{
    Authority, Breaker, BrokerInfo, Capabilities, Channel, Description, Inbox, Limits, Link, Outgoing, PublishError,
    Reason, Renewal,
};
use roomcast_core::{Error, Result};

use crate::config::{Mode, Redis};
use crate::description::describe;
use crate::error::error;
use crate::pair::{Calls, Pair, quit};
use crate::streams::intake::{Channels, Position, Tail};

/// The stream holds so many of these at most: its size has a bound.
pub(super) const LIMITS: Limits = Limits::max_frame(64 << 10).in_flight(2);
/// The server deletes the stream when no node has added to it for this many seconds.
const KEPT: u64 = 3600;
/// So often the time is set anew, in seconds.
const RENEWED: u64 = 60;

/// How a link is made, and up to where the one before has read.
pub(crate) struct Reading {
    redis: Redis,
    position: Position,
}

impl Reading {
    pub(crate) fn new(redis: Redis) -> Self {
        Self { redis, position: Position::default() }
    }
}

/// A link that reads on where the one before has stopped. A connection that waits for entries answers nothing else.
pub(crate) struct Log {
    pair: Pair,
    tail: Tail,
    handle: Handle,
}

/// What calls go over.
#[derive(Clone)]
pub(crate) struct Handle {
    calls: Calls,
    mode: Mode,
    key: Arc<str>,
    channels: Channels,
    maxlen: u32,
    began: Instant,
    /// When the stream's time is to be set anew, in seconds since then.
    due: Arc<AtomicU64>,
}

impl Link for Log {
    type Source = Reading;
    type Handle = Handle;
    const BROKER: &'static str = "Redis";
    /// Ordered: a node adds on one connection to one stream. Replays: each reader has a position of its own.
    const CAPABILITIES: Capabilities = Capabilities::ORDERED.replays();

    async fn open(reading: &mut Reading, inbox: &Inbox, breaker: Breaker) -> Result<Self> {
        let mode = reading.redis.mode.clone();
        let Mode::Streams { key, maxlen } = &mode else { return Err(Error::config("no stream is configured")) };
        let key: Arc<str> = key.clone().unwrap_or_else(|| format!("rc.{}", inbox.cluster())).into();
        let pair = Pair::open(&reading.redis, inbox, breaker, None).await?;
        let (channels, position) = (Channels::default(), reading.position.clone());
        let tail = Tail::open(&pair.receiver, Arc::clone(&key), channels.clone(), position).await?;
        let (calls, maxlen) = (pair.calls.clone(), *maxlen);
        let handle = Handle { calls, mode, key, channels, maxlen, began: Instant::now(), due: Arc::default() };
        Ok(Self { pair, tail, handle })
    }

    fn timeout(reading: &Reading) -> Duration {
        reading.redis.attempt()
    }

    async fn authority(handle: &Handle) -> Result<Authority> {
        handle.calls.authority().await
    }

    fn broker(&self) -> Option<BrokerInfo> {
        self.pair.broker.clone()
    }

    async fn describe(handle: &Handle) -> Result<Description> {
        describe(&handle.calls.publisher, &handle.mode).await
    }

    fn handle(&self) -> Handle {
        self.handle.clone()
    }

    fn limits(&self) -> Limits {
        LIMITS
    }

    /// All channels are in the one stream, and what is added from now on is read after this.
    async fn subscribe(handle: &Handle, channels: &[Channel]) -> Result<()> {
        handle.channels.lock().extend(channels.iter().cloned());
        Ok(())
    }

    async fn unsubscribe(handle: &Handle, channels: &[Channel]) -> Result<()> {
        handle.channels.lock().retain(|channel| !channels.contains(channel));
        Ok(())
    }

    async fn publish(handle: &Handle, messages: &[Outgoing]) -> Result<(), PublishError> {
        let mut pipeline = Pipeline::with_capacity(messages.len() + 1);
        for message in messages {
            let add = pipeline.cmd("XADD").arg(&*handle.key).arg("MAXLEN").arg("~").arg(handle.maxlen).arg("*");
            add.arg(message.channel.as_str()).arg(&message.payload[..]);
        }
        if handle.is_due() {
            pipeline.cmd("EXPIRE").arg(&*handle.key).arg(KEPT);
        }
        handle.calls.publish(&pipeline, messages.len()).await
    }

    async fn hold(&mut self, inbox: &Inbox) -> Reason {
        tokio::select! {
            reason = self.pair.broken() => reason,
            cause = self.tail.read(inbox) => format!("the stream cannot be read: {}", error(cause)).into(),
        }
    }

    fn expires(&self) -> Option<Instant> {
        self.pair.expires()
    }

    async fn renew(handle: &Handle) -> Result<Renewal> {
        handle.calls.renew().await
    }

    async fn quit(self) {
        // The connection that reads may be waiting for entries: it is closed.
        quit([self.handle.calls.publisher]).await;
    }
}

impl Handle {
    /// Whether the stream's time is to be set anew.
    fn is_due(&self) -> bool {
        let now = self.began.elapsed().as_secs();
        let is_due = now >= self.due.load(Ordering::Relaxed);
        if is_due {
            self.due.store(now + RENEWED, Ordering::Relaxed);
        }
        is_due
    }
}
