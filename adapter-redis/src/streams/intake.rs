//! The reading end of the stream: what is added, on its way into the inbox.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{RedisError, Value};
use roomcast_core::backend::{Channel, Inbox, Pulse};
use roomcast_core::{Error, Result};
use tokio::time::{Instant, sleep};

use crate::connection::{Connection, call};
use crate::description::time;
use crate::error::error;
use crate::streams::backend::LIMITS;
use crate::streams::entry::{Entry, Id, entries, last_id};

/// So many entries are read at once.
const COUNT: usize = 64;
/// An empty answer comes after this time, in milliseconds: the sign of life of the connection that reads.
const BLOCK: u64 = 1000;
/// How often we look whether a large answer is arriving.
const LOOK: Duration = Duration::from_secs(1);
/// How long the core gets to make room before it is offered more.
const STEP: Duration = Duration::from_millis(1);

/// What of the stream is handed over.
#[derive(Clone, Default)]
pub(super) struct Channels(Arc<Mutex<BTreeSet<Channel>>>);

impl Channels {
    // Guards one set, and nothing awaits while it is held.
    pub(super) fn lock(&self) -> MutexGuard<'_, BTreeSet<Channel>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Up to where the links of one node have read; nothing before the first.
#[derive(Clone, Default)]
pub(super) struct Position(Arc<Mutex<Option<Id>>>);

impl Position {
    // Guards one number, and nothing awaits while it is held.
    fn lock(&self) -> MutexGuard<'_, Option<Id>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The reading end of the stream.
pub(super) struct Tail {
    client: MultiplexedConnection,
    pulse: Arc<Pulse>,
    key: Arc<str>,
    channels: Channels,
    /// Up to where it is read.
    position: Id,
    /// The same for the next link.
    kept: Position,
    /// What is no newer was there before this link.
    end: Id,
    /// The server's clock, and when it showed that.
    clock: (Duration, Instant),
}

impl Tail {
    /// Begins where the link before has stopped, or at the end of the stream.
    ///
    /// # Errors
    /// `Config` if the key holds something else; those of the questions.
    pub(super) async fn open(reader: &Connection, key: Arc<str>, channels: Channels, kept: Position) -> Result<Self> {
        let end = end(reader, &key).await?;
        let told = reader.call(&["TIME"]).await.map_err(error)?;
        let told = time(told).ok_or_else(|| Error::unavailable("the Redis server does not tell the time"))?;
        let position = match *kept.lock() {
            None => end,
            Some(read) if read <= end => read,
            Some(_) => Id::ZERO, // another stream, all of which is new: the server has lost the one that we read
        };
        *kept.lock() = Some(position);
        let (client, pulse) = (reader.client.clone(), Arc::clone(&reader.pulse));
        Ok(Self { client, pulse, key, channels, position, kept, end, clock: (told, Instant::now()) })
    }

    /// Hands over what is added to the stream until that fails.
    ///
    /// # Cancel safety
    /// What was not handed over is read by the next link.
    pub(super) async fn read(&mut self, inbox: &Inbox) -> RedisError {
        loop {
            let entries = match self.next(inbox).await {
                Ok(entries) => entries,
                Err(cause) => return cause,
            };
            let full = entries.len() == COUNT;
            for Entry { id, fields } in entries {
                for (channel, payload) in fields {
                    // Whatever has the right may add to the stream.
                    let Ok(channel) = std::str::from_utf8(&channel) else { continue };
                    if !self.channels.lock().contains(channel) {
                        continue;
                    }
                    while inbox.frame_at(channel, payload.clone(), self.age(id)).is_err() {
                        inbox.ready().await;
                        sleep(STEP).await;
                    }
                }
                self.position = id;
                *self.kept.lock() = Some(id);
            }
            if full && self.is_trimmed().await {
                inbox.dropped("this node is too slow: the stream was trimmed before it was read");
                inbox.up(LIMITS);
            }
        }
    }

    /// How long ago an entry was added, where that was before this link.
    fn age(&self, id: Id) -> Duration {
        if id > self.end {
            return Duration::ZERO;
        }
        let (clock, at) = self.clock;
        clock.saturating_sub(Duration::from_millis(id.milliseconds())) + at.elapsed()
    }

    /// The next entries; none when nothing was added for a while.
    async fn next(&mut self, inbox: &Inbox) -> Result<Vec<Entry>, RedisError> {
        let mut read = redis::cmd("XREAD");
        read.arg("COUNT").arg(COUNT).arg("BLOCK").arg(BLOCK).arg("STREAMS").arg(&*self.key);
        read.arg(self.position.to_string());
        let mut seen = self.pulse.bytes();
        let reply = self.client.send_packed_command(&read);
        tokio::pin!(reply);
        loop {
            tokio::select! {
                reply = &mut reply => return reply?.extract_error().and_then(entries),
                () = sleep(LOOK) => {
                    let bytes = self.pulse.bytes();
                    if std::mem::replace(&mut seen, bytes) != bytes {
                        inbox.alive();
                    }
                }
            }
        }
    }

    /// Whether the stream has lost what was to be read next: nothing up to our position is there any more. Asked when there is
    /// more to read than comes at once.
    async fn is_trimmed(&self) -> bool {
        let question = ["XRANGE", &self.key, "-", &self.position.to_string(), "COUNT", "1"];
        matches!(call(&self.client, &question).await, Ok(Value::Array(entries)) if entries.is_empty())
    }
}

/// Where the stream ends now.
///
/// # Errors
/// `Config` if the key holds something else; those of the question.
async fn end(reader: &Connection, key: &str) -> Result<Id> {
    match reader.call(&["XINFO", "STREAM", key]).await {
        Ok(info) => {
            last_id(info).ok_or_else(|| Error::unavailable("the Redis server does not say where the stream ends"))
        }
        Err(cause) if cause.detail().is_some_and(|detail| detail.contains("no such key")) => Ok(Id::ZERO),
        Err(cause) if cause.code() == Some("WRONGTYPE") => {
            Err(Error::config(format!("the key {key} holds something else: name another one by the option stream")))
        }
        Err(cause) => Err(error(cause)),
    }
}
