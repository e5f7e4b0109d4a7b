//! The backend: what the core asks for, on the link as it is now.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use adapter_core::{
    Backend, Capabilities, Channel, Error, ErrorKind, Inbox, Limits, Outgoing, PublishError, Reason, Result,
    async_trait,
};
use redis::aio::MultiplexedConnection;
use redis::{Pipeline, RedisError, Value};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;

use crate::config::{Mode, Redis};
use crate::error::{error, kind};
use crate::intake::Intake;
use crate::link::{Link, for_each};
use crate::listen;

/// Half of what an operator may set as the smallest limit of a message (`proto-max-bulk-len`) and of what one client
/// has sent and the server has not handled (`client-query-buffer-limit`): 1 MiB each. The default limits are far above,
/// but larger messages are not faster (the README has the figures), and they fill the buffers of slow subscribers in
/// larger steps.
pub(crate) const LIMITS: Limits = Limits::max_frame(512 << 10);

/// Connects, and starts the task that keeps the link up.
pub(crate) async fn connect(redis: Redis, inbox: Inbox) -> Result<Arc<dyn Backend>> {
    let link = Link::open(&redis, &inbox).await?;
    let shared = Arc::new(Shared { sharded: redis.mode != Mode::PubSub, live: Mutex::default(), close: Notify::new() });
    shared.set(Some(Live::of(&link)));
    let task = tokio::spawn(listen::run(redis, Arc::clone(&shared), inbox, link));
    Ok(Arc::new(Client { shared, task: Mutex::new(Some(task)) }))
}

/// What the calls and the listening task share.
pub(crate) struct Shared {
    sharded: bool,
    live: Mutex<Option<Live>>,
    /// Somebody called `close`.
    pub(crate) close: Notify,
}

/// The link while it is up.
#[derive(Clone)]
pub(crate) struct Live {
    publisher: MultiplexedConnection,
    subscriber: MultiplexedConnection,
    intake: Arc<Intake>,
    breaker: mpsc::Sender<Reason>,
}

impl Live {
    pub(crate) fn of(link: &Link) -> Self {
        Self {
            publisher: link.publisher.client.clone(),
            subscriber: link.subscriber.client.clone(),
            intake: Arc::clone(&link.intake),
            breaker: link.breaker.clone(),
        }
    }

    fn fail(&self, reason: impl Into<Reason>) {
        let _ = self.breaker.try_send(reason.into()); // full: it fails already
    }
}

impl Shared {
    /// The link is up on these connections, or down.
    pub(crate) fn set(&self, live: Option<Live>) {
        *self.lock() = live;
    }

    pub(crate) fn subscribe_command(&self) -> &'static str {
        if self.sharded { "SSUBSCRIBE" } else { "SUBSCRIBE" }
    }

    fn live(&self) -> Result<Live> {
        self.lock().clone().ok_or_else(|| Error::unavailable("the link to Redis is down"))
    }

    // Guards one field.
    fn lock(&self) -> MutexGuard<'_, Option<Live>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Client {
    shared: Arc<Shared>,
    /// Ends by itself with the inbox; `close` awaits it.
    task: Mutex<Option<JoinHandle<()>>>,
}

#[async_trait]
impl Backend for Client {
    /// Ordered: a node publishes on one connection to one server, which carries out its commands one after the other
    /// and writes each message to all subscribers before it looks at the next. In Redis Cluster, too: all channels
    /// are in one slot.
    fn capabilities(&self) -> Capabilities {
        Capabilities::default().ordered()
    }

    fn limits(&self) -> Limits {
        LIMITS
    }

    async fn subscribe(&self, channels: &[Channel]) -> Result<()> {
        let live = self.shared.live()?;
        let done = for_each(&live.subscriber, self.shared.subscribe_command(), &live.intake, channels).await;
        if let Err(error) = &done
            && error.kind() != ErrorKind::Denied
        {
            // The next link covers these channels, so there has to be one.
            live.fail("a subscription was not confirmed");
        }
        done
    }

    async fn unsubscribe(&self, channels: &[Channel]) -> Result<()> {
        let live = self.shared.live()?;
        let command = if self.shared.sharded {
            live.intake.leave(channels);
            "SUNSUBSCRIBE"
        } else {
            "UNSUBSCRIBE"
        };
        for_each(&live.subscriber, command, &live.intake, channels).await
    }

    /// One round trip for the whole batch. Those after a message that the server's access rules refuse may have been
    /// sent as well: the core sends them again, and receivers drop the copies.
    async fn publish(&self, frames: &[Outgoing]) -> Result<(), PublishError> {
        let mut live = self.shared.live().map_err(PublishError::Unknown)?;
        let oversized = frames.iter().position(|frame| frame.payload.len() > LIMITS.max_frame);
        let sendable = &frames[..oversized.unwrap_or(frames.len())];
        if !sendable.is_empty() {
            let command = if self.shared.sharded { "SPUBLISH" } else { "PUBLISH" };
            let mut pipeline = Pipeline::with_capacity(sendable.len());
            for frame in sendable {
                pipeline.cmd(command).arg(live.intake.name(&frame.channel)).arg(&frame.payload[..]);
            }
            let sent = live.publisher.send_packed_commands(&pipeline, 0, sendable.len()).await;
            let answers = sent.map_err(|cause| PublishError::Unknown(error(cause)))?;
            check(answers).inspect_err(|refusal| {
                if matches!(refusal, PublishError::Unknown(_)) {
                    // It lives and cannot publish: it is loading, no longer the owner of our slot, or has lost its
                    // cluster. Then another server may have to be found.
                    live.fail("the server does not take what is published");
                }
            })?;
        }
        match oversized {
            Some(index) => Err(PublishError::Refused { index, kind: ErrorKind::TooLarge }),
            None => Ok(()),
        }
    }

    async fn reset(&self, reason: Reason) {
        if let Ok(live) = self.shared.live() {
            live.fail(reason);
        }
    }

    /// Returns once the server has forgotten this node, if it can be reached.
    async fn close(&self) -> Result<()> {
        self.shared.close.notify_one();
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        match task {
            Some(task) => task.await.map_err(|cause| {
                Error::new(ErrorKind::Unexpected, "the task that keeps the link to Redis has failed").with_source(cause)
            }),
            None => Ok(()),
        }
    }
}

/// What the server said to each message.
fn check(answers: Vec<Value>) -> Result<(), PublishError> {
    for (index, answer) in answers.into_iter().enumerate() {
        if let Value::ServerError(cause) = answer {
            let cause = RedisError::from(cause);
            return Err(match kind(&cause) {
                kind @ (ErrorKind::Denied | ErrorKind::TooLarge) => PublishError::Refused { index, kind },
                _ => PublishError::Unknown(error(cause)),
            });
        }
    }
    Ok(())
}
