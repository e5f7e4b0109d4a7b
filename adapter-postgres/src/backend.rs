//! The backend: what the core asks for, on the link as it is now.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use adapter_core::{
    Backend, Capabilities, Channel, Error, ErrorKind, Inbox, Limits, Outgoing, PublishError, Reason, Result,
    async_trait,
};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use tokio_postgres::Client;
use tokio_postgres::types::Type;

use crate::config::Postgres;
use crate::connection::Pulse;
use crate::error::error;
use crate::listen::{self, Link};
use crate::text;

/// All of a batch in one statement, and so in one transaction: each commit that notifies takes a lock of the whole server.
/// The rows of `unnest` come in the order of the arrays. A commit need not reach the disk: notifications do not survive a
/// crash in any case. It is sent as an unnamed statement: a pooler could not carry a prepared one.
const NOTIFY: &str = "SELECT count(pg_notify(channel, payload)), set_config('synchronous_commit', 'off', true) \
                      FROM unnest($1, $2) AS batch (channel, payload)";

/// Connects, and starts the task that keeps the link up.
pub(crate) async fn connect(postgres: Postgres, inbox: Inbox) -> Result<Arc<dyn Backend>> {
    let link = Link::open(&postgres, &inbox).await?;
    let state = State { live: Some(Live::of(&link)), limits: link.limits() };
    let shared = Arc::new(Shared { state: Mutex::new(state), close: Notify::new() });
    let task = tokio::spawn(listen::run(postgres, Arc::clone(&shared), inbox, link));
    Ok(Arc::new(Node { shared, task: Mutex::new(Some(task)) }))
}

/// What the calls and the listening task share.
pub(crate) struct Shared {
    state: Mutex<State>,
    /// Somebody called `close`.
    pub(crate) close: Notify,
}

struct State {
    live: Option<Live>,
    /// Those of the latest link.
    limits: Limits,
}

/// The link while it is up.
#[derive(Clone)]
pub(crate) struct Live {
    publisher: Arc<Client>,
    pulse: Arc<Pulse>,
    listener: Arc<Client>,
    limits: Limits,
    breaker: mpsc::Sender<Reason>,
}

impl Live {
    pub(crate) fn of(link: &Link) -> Self {
        Self {
            publisher: Arc::clone(&link.publisher.client),
            pulse: Arc::clone(&link.publisher.pulse),
            listener: Arc::clone(&link.listener.client),
            limits: link.limits(),
            breaker: link.breaker.clone(),
        }
    }

    fn fail(&self, reason: impl Into<Reason>) {
        let _ = self.breaker.try_send(reason.into()); // full: it fails already
    }

    /// Publishes all of it, or nothing.
    async fn notify(&self, frames: &[Outgoing]) -> Result<()> {
        let channels: Vec<_> = frames.iter().map(|frame| frame.channel.as_str()).collect();
        let texts: Vec<_> =
            frames.iter().enumerate().map(|(place, frame)| text::encode(place, &frame.payload)).collect();
        let _carries = self.pulse.carries(texts.iter().map(String::len).sum());
        let parameters = [(&channels as _, Type::TEXT_ARRAY), (&texts as _, Type::TEXT_ARRAY)];
        self.publisher.query_typed(NOTIFY, &parameters).await.map(drop).map_err(error)
    }
}

impl Shared {
    /// The link is up on these connections, or down.
    pub(crate) fn set(&self, live: Option<Live>) {
        let mut state = self.lock();
        state.limits = live.as_ref().map_or(state.limits, |live| live.limits);
        state.live = live;
    }

    fn live(&self) -> Result<Live> {
        self.lock().live.clone().ok_or_else(|| Error::unavailable("the link to PostgreSQL is down"))
    }

    // Both fields change together; nothing awaits or calls out while it is held.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Node {
    shared: Arc<Shared>,
    /// Ends by itself with the inbox; `close` awaits it.
    task: Mutex<Option<JoinHandle<()>>>,
}

#[async_trait]
impl Backend for Node {
    /// Ordered: a node publishes on one connection, one transaction after the other; the order of commits is that of the
    /// server's one queue, and a listener is given what is in it on one connection.
    fn capabilities(&self) -> Capabilities {
        Capabilities::default().ordered()
    }

    fn limits(&self) -> Limits {
        self.shared.lock().limits
    }

    async fn subscribe(&self, channels: &[Channel]) -> Result<()> {
        let live = self.shared.live()?;
        listen::for_each(&live.listener, "LISTEN", channels).await.inspect_err(|error| {
            if listen::is_temporary(error.kind()) {
                // The next link covers these channels, so there has to be one.
                live.fail("a subscription was not confirmed");
            }
        })
    }

    async fn unsubscribe(&self, channels: &[Channel]) -> Result<()> {
        listen::for_each(&self.shared.live()?.listener, "UNLISTEN", channels).await
    }

    /// One statement for the whole batch.
    async fn publish(&self, frames: &[Outgoing]) -> Result<(), PublishError> {
        let live = self.shared.live().map_err(PublishError::Unknown)?;
        let oversized = frames.iter().position(|frame| frame.payload.len() > live.limits.max_frame);
        let sendable = &frames[..oversized.unwrap_or(frames.len())];
        if !sendable.is_empty() {
            live.notify(sendable).await.map_err(|error| match error.kind() {
                // Of all of them: none was sent.
                ErrorKind::Denied => PublishError::Refused { index: 0, kind: ErrorKind::Denied },
                _ => {
                    // It lives and cannot publish, as a primary that has become a standby: another may have to be found.
                    live.fail("the server does not take what is published");
                    PublishError::Unknown(error)
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
                Error::new(ErrorKind::Unexpected, "the task that keeps the link to PostgreSQL has failed")
                    .with_source(cause)
            }),
            None => Ok(()),
        }
    }
}
