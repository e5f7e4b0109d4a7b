//! The link by a stream: one connection that adds to it, one that reads it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use redis::Pipeline;
use redis::aio::MultiplexedConnection;
use roomcast_core::backend::{
    Authority, Breaker, BrokerInfo, Capabilities, Channel, Credentials, Description, InPlace, Inbox, Limits, Link,
    Outgoing, PublishError, Pulse, Reason, Renewal,
};
use roomcast_core::{Error, Result};
use tokio::time::timeout;

use crate::backend::{QUIT, Server, broken, publish};
use crate::config::{Mode, Redis};
use crate::connection::{Connection, renew};
use crate::description::{Carrier, describe};
use crate::error::error;
use crate::streams::intake::{Channels, Position, Tail};
use crate::topology::{Sentinels, replaced};

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

/// Both connections; the link is up only while both are. One that waits for entries answers nothing else.
pub(crate) struct Log {
    publisher: Connection,
    reader: Connection,
    sentinels: Option<Sentinels>,
    tail: Tail,
    expires: Option<Instant>,
    handle: Handle,
}

/// What calls go over.
#[derive(Clone)]
pub(crate) struct Handle {
    publisher: MultiplexedConnection,
    driver: InPlace,
    reader: MultiplexedConnection,
    server: Arc<Server>,
    key: Arc<str>,
    channels: Channels,
    maxlen: u32,
    began: Instant,
    /// When the stream's time was set last, in seconds since then and 1; 0 is never.
    renewed: Arc<AtomicU64>,
    credentials: Credentials,
    breaker: Breaker,
}

impl Link for Log {
    type Source = Reading;
    type Handle = Handle;
    const BROKER: &'static str = "Redis";
    /// Ordered: a node adds on one connection to one stream. Replays: each reader has a position of its own.
    const CAPABILITIES: Capabilities = Capabilities::ORDERED.replays();

    async fn open(reading: &mut Reading, inbox: &Inbox, breaker: Breaker) -> Result<Self> {
        let redis = &reading.redis;
        let Mode::Stream { key, maxlen } = &redis.mode else { return Err(Error::config("no stream is configured")) };
        let key = key.clone().unwrap_or_else(|| format!("rc.{}", inbox.cluster()).into());
        let dial = redis.dial(inbox.client_name()).await?;
        let (address, publisher) = redis.topology.publisher(&dial, &redis.mode).await?;
        let sentinels = redis.topology.sentinels_of(&dial, &address);
        let pulse = Arc::new(Pulse::default());
        let mut reader = Connection::with_pulse(&dial, &address, Arc::clone(&pulse), None).await?;
        let channels = Channels::default();
        let position = reading.position.clone();
        let tail = Tail::open(&mut reader, pulse, Arc::clone(&key), channels.clone(), position).await?;
        let handle = Handle {
            publisher: publisher.client.clone(),
            driver: publisher.driver.clone(),
            reader: reader.client.clone(),
            server: Arc::new(Server::at(address)),
            key,
            channels,
            maxlen: *maxlen,
            began: Instant::now(),
            renewed: Arc::default(),
            credentials: redis.credentials.clone(),
            breaker,
        };
        Ok(Self { publisher, reader, sentinels, tail, expires: dial.login.expires, handle })
    }

    fn timeout(reading: &Reading) -> Duration {
        reading.redis.attempt()
    }

    async fn authority(handle: &Handle) -> Result<Authority> {
        handle.server.authority([&handle.publisher, &handle.reader]).await
    }

    fn broker(&self) -> Option<BrokerInfo> {
        self.handle.server.broker()
    }

    async fn describe(handle: &Handle) -> Result<Description> {
        describe(&handle.publisher, Carrier::Stream).await
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
        if handle.is_to_renew() {
            pipeline.cmd("EXPIRE").arg(&*handle.key).arg(KEPT);
        }
        publish(&handle.publisher, &handle.driver, &pipeline, messages.len(), &handle.breaker).await
    }

    async fn hold(&mut self, inbox: &Inbox) -> Reason {
        tokio::select! {
            reason = broken(&mut self.publisher, &mut self.reader) => reason,
            reason = replaced(self.sentinels.as_ref()) => reason,
            cause = self.tail.read(inbox) => format!("the stream cannot be read: {}", error(cause)).into(),
        }
    }

    fn expires(&self) -> Option<Instant> {
        self.expires
    }

    async fn renew(handle: &Handle) -> Result<Renewal> {
        renew([&handle.publisher, &handle.reader], &handle.credentials).await
    }

    async fn quit(mut self) {
        // The connection that reads may be waiting for entries: it is closed.
        let _ = timeout(QUIT, self.handle.publisher.send_packed_command(&redis::cmd("QUIT"))).await;
    }
}

impl Handle {
    /// Whether the stream's time is to be set anew.
    fn is_to_renew(&self) -> bool {
        let now = self.began.elapsed().as_secs() + 1;
        let renewed = self.renewed.load(Ordering::Relaxed);
        let due = renewed == 0 || now >= renewed + RENEWED;
        if due {
            self.renewed.store(now, Ordering::Relaxed);
        }
        due
    }
}
