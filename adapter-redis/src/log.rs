//! The link by a stream: one connection that adds to it, one that reads it.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use adapter_core::backend::{
    Authority, Breaker, Capabilities, Channel, HostPort, InPlace, Inbox, InboxFull, Limits, Link, Outgoing,
    PublishError, Reason,
};
use adapter_core::{Bytes, Error, Result};
use redis::aio::MultiplexedConnection;
use redis::{Cmd, Pipeline, RedisError, Value};
use tokio::time::{Instant, sleep, timeout};

use crate::backend::{QUIT, authority, check};
use crate::config::{Mode, Redis};
use crate::connection::{Connection, in_time};
use crate::entry::{Entry, Id, entries, last_id};
use crate::error::error;
use crate::stream::Pulse;

/// The stream holds so many of these at most: its size has a bound.
const LIMITS: Limits = Limits::max_frame(64 << 10).in_flight(2);
/// So many entries are read at once.
const COUNT: usize = 64;
/// An empty answer comes after this time, in milliseconds: the sign of life of the connection that reads.
const BLOCK: u64 = 1000;
/// How often we look whether a large answer is arriving.
const LOOK: Duration = Duration::from_secs(1);
/// How long the core gets to make room before it is offered more.
const STEP: Duration = Duration::from_millis(1);
/// The server deletes the stream when no node has added to it for this many seconds.
const KEPT: u64 = 3600;
/// So often the time is set anew, in seconds.
const RENEWED: u64 = 60;

/// How a link is made, and up to where the one before has read.
pub(crate) struct Reading {
    redis: Redis,
    position: Arc<Mutex<Option<Id>>>,
}

impl Reading {
    pub(crate) fn new(redis: Redis) -> Self {
        Self { redis, position: Arc::default() }
    }
}

/// Both connections; the link is up only while both are. One that waits for entries answers nothing else.
pub(crate) struct Log {
    publisher: Connection,
    reader: Connection,
    tail: Tail,
    handle: Handle,
}

/// What calls go over.
#[derive(Clone)]
pub(crate) struct Handle {
    publisher: MultiplexedConnection,
    driver: InPlace,
    reader: MultiplexedConnection,
    address: Arc<HostPort>,
    key: Arc<str>,
    channels: Channels,
    maxlen: u32,
    began: Instant,
    /// When the stream's time was set last, in seconds since then and 1; 0 is never.
    renewed: Arc<AtomicU64>,
    breaker: Breaker,
}

/// What of the stream is handed over.
#[derive(Clone, Default)]
struct Channels(Arc<Mutex<BTreeSet<Channel>>>);

impl Channels {
    // Guards one set, and nothing awaits while it is held.
    fn lock(&self) -> MutexGuard<'_, BTreeSet<Channel>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The reading end of the stream.
struct Tail {
    client: MultiplexedConnection,
    pulse: Arc<Pulse>,
    key: Arc<str>,
    channels: Channels,
    /// Up to where it is read.
    position: Id,
    /// The same for the next link.
    kept: Arc<Mutex<Option<Id>>>,
    /// What is no newer was there before this link.
    end: Id,
    /// The server's clock in milliseconds, and when it showed that.
    clock: (u64, Instant),
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
        let dial = redis.dial().await?;
        let (address, publisher) = redis.topology.publisher(&dial, &redis.mode).await?;
        let pulse = Arc::new(Pulse::default());
        let mut reader = Connection::with_pulse(&dial, &address, Arc::clone(&pulse), None).await?;
        let (end, clock) = end(&mut reader, &key).await?;
        let kept = Arc::clone(&reading.position);
        let position = match *lock(&kept) {
            None => end,
            Some(read) if read <= end => read,
            Some(_) => Id::ZERO, // another stream, all of which is new: the server has lost the one that we read
        };
        let client = reader.client.clone();
        let channels = Channels::default();
        let tail = Tail {
            client,
            pulse,
            key: Arc::clone(&key),
            channels: channels.clone(),
            position,
            kept,
            end,
            clock: (clock, Instant::now()),
        };
        tail.keep();
        let handle = Handle {
            publisher: publisher.client.clone(),
            driver: publisher.driver.clone(),
            reader: reader.client.clone(),
            address: Arc::new(address),
            key,
            channels,
            maxlen: *maxlen,
            began: Instant::now(),
            renewed: Arc::default(),
            breaker,
        };
        Ok(Self { publisher, reader, tail, handle })
    }

    fn timeout(reading: &Reading) -> Duration {
        reading.redis.attempt()
    }

    async fn authority(handle: &Handle) -> Result<Authority> {
        authority([&handle.publisher, &handle.reader], &handle.address).await
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
        let renew = handle.is_to_renew();
        if renew {
            pipeline.cmd("EXPIRE").arg(&*handle.key).arg(KEPT);
        }
        let mut publisher = handle.publisher.clone();
        let count = messages.len() + usize::from(renew);
        let sent = handle.driver.assist(publisher.send_packed_commands(&pipeline, 0, count)).await;
        let mut answers = sent.map_err(|cause| PublishError::Unknown(error(cause)))?;
        answers.truncate(messages.len()); // a stream that stays is no reason to fail
        check(answers).inspect_err(|refusal| {
            if matches!(refusal, PublishError::Unknown(_)) {
                handle.breaker.trip("the server does not take what is published");
            }
        })
    }

    async fn hold(&mut self, inbox: &Inbox) -> Reason {
        let silence = (self.publisher.watch().silence(), self.reader.watch().silence());
        tokio::select! {
            () = self.publisher.ended() => "the connection that publishes was closed".into(),
            () = self.reader.ended() => "the connection that reads was closed".into(),
            () = silence.0 => "the server is silent on the connection that publishes".into(),
            () = silence.1 => "the server is silent on the connection that reads".into(),
            cause = self.tail.read(inbox) => Reason(format!("the stream cannot be read: {}", error(cause))),
        }
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

impl Tail {
    /// Hands over what is added to the stream until that fails.
    ///
    /// # Cancel safety
    /// What was not handed over is read by the next link.
    async fn read(&mut self, inbox: &Inbox) -> RedisError {
        loop {
            let entries = match self.next(inbox).await {
                Ok(entries) => entries,
                Err(cause) => return cause,
            };
            let full = entries.len() == COUNT;
            for Entry { id, fields } in entries {
                for (channel, payload) in
                    fields.into_iter().filter(|(channel, _)| self.channels.lock().contains(&**channel))
                {
                    self.hand_over(inbox, id, &channel, payload).await;
                }
                self.position = id;
                self.keep();
            }
            if full && self.is_trimmed().await {
                inbox.dropped("this node is too slow: the stream was trimmed before it was read");
                inbox.up(LIMITS);
            }
        }
    }

    async fn hand_over(&self, inbox: &Inbox, id: Id, channel: &str, mut payload: Bytes) {
        loop {
            match inbox.frame_at(channel, payload, self.age(id)) {
                Ok(()) => return,
                Err(InboxFull(back)) => payload = back,
            }
            inbox.ready().await;
            sleep(STEP).await;
        }
    }

    /// How long ago an entry was added, where that was before this link.
    fn age(&self, id: Id) -> Duration {
        if id > self.end {
            return Duration::ZERO;
        }
        let (clock, at) = self.clock;
        Duration::from_millis(clock.saturating_sub(id.milliseconds())) + at.elapsed()
    }

    /// The next entries; none when nothing was added for a while.
    async fn next(&mut self, inbox: &Inbox) -> Result<Vec<Entry>, RedisError> {
        let mut read = redis::cmd("XREAD");
        read.arg("COUNT").arg(COUNT).arg("BLOCK").arg(BLOCK).arg("STREAMS").arg(&*self.key);
        read.arg(self.position.to_string());
        let mut seen = self.pulse.reads();
        let reply = self.client.send_packed_command(&read);
        tokio::pin!(reply);
        loop {
            tokio::select! {
                reply = &mut reply => return reply?.extract_error().and_then(entries),
                () = sleep(LOOK) => {
                    let reads = self.pulse.reads();
                    if std::mem::replace(&mut seen, reads) != reads {
                        inbox.alive();
                    }
                }
            }
        }
    }

    /// Whether the stream has lost what was to be read next: nothing up to our position is there any more. Asked when there is
    /// more to read than comes at once.
    async fn is_trimmed(&mut self) -> bool {
        let mut first = redis::cmd("XRANGE");
        first.arg(&*self.key).arg("-").arg(self.position.to_string()).arg("COUNT").arg(1);
        matches!(in_time(self.client.send_packed_command(&first)).await, Ok(Value::Array(entries)) if entries.is_empty())
    }

    fn keep(&self) {
        *lock(&self.kept) = Some(self.position);
    }
}

/// Where the stream ends now, and what the server's clock shows, in milliseconds.
async fn end(reader: &mut Connection, key: &str) -> Result<(Id, u64)> {
    let info = Cmd::new().arg("XINFO").arg("STREAM").arg(key).clone();
    let last = match reader.call(&info).await {
        Ok(info) => {
            last_id(&info).ok_or_else(|| Error::unavailable("the Redis server does not say where the stream ends"))?
        }
        Err(cause) if cause.detail().is_some_and(|detail| detail.contains("no such key")) => Id::ZERO,
        Err(cause) if cause.code() == Some("WRONGTYPE") => {
            return Err(Error::config(format!(
                "the key {key} holds something else: name another one by the option stream"
            )));
        }
        Err(cause) => return Err(error(cause)),
    };
    let time = reader.call(&redis::cmd("TIME")).await.map_err(error)?;
    let (seconds, micros): (u64, u64) = redis::from_redis_value(time).map_err(|cause| error(cause.into()))?;
    Ok((last, seconds * 1000 + micros / 1000))
}

// Guards one number, and nothing awaits while it is held.
fn lock(position: &Mutex<Option<Id>>) -> MutexGuard<'_, Option<Id>> {
    position.lock().unwrap_or_else(PoisonError::into_inner)
}
