//! The reading end of the stream: what is added, on its way into the inbox.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use adapter_core::backend::{Channel, Inbox, InboxFull, Pulse};
use adapter_core::{Bytes, Error, Result};
use redis::aio::MultiplexedConnection;
use redis::{Cmd, RedisError, Value};
use tokio::time::{Instant, sleep};

use crate::connection::{Connection, in_time};
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

/// Up to where the links of one node have read; `None` before the first.
pub(super) type Position = Arc<Mutex<Option<Id>>>;

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
    /// The server's clock in milliseconds, and when it showed that.
    clock: (u64, Instant),
}

impl Tail {
    /// Begins where the link before has stopped, or at the end of the stream.
    ///
    /// # Errors
    /// `Config` if the key holds something else; those of the questions.
    pub(super) async fn open(
        reader: &mut Connection,
        pulse: Arc<Pulse>,
        key: Arc<str>,
        channels: Channels,
        kept: Position,
    ) -> Result<Self> {
        let (end, clock) = end(reader, &key).await?;
        let position = match *lock(&kept) {
            None => end,
            Some(read) if read <= end => read,
            Some(_) => Id::ZERO, // another stream, all of which is new: the server has lost the one that we read
        };
        let client = reader.client.clone();
        let tail = Self { client, pulse, key, channels, position, kept, end, clock: (clock, Instant::now()) };
        tail.keep();
        Ok(tail)
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
