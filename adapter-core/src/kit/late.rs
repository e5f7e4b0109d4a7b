//! A backend whose broker need not be there yet.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::kit::Backoff;
use crate::kit::outage::{Outage, tell};
use crate::model::{BrokerInfo, Description, Error, ErrorKind, Limits, Result};
use crate::seams::{Backend, Capabilities, Channel, Connect, Inbox, Outgoing, PublishError, Reason};

/// How long a backend that could not subscribe may take to end.
const END: Duration = Duration::from_secs(1);

/// The backend that is there before its broker: until one of its attempts to connect succeeds, it is a backend whose link is
/// down. Then it is that backend, which says `up` once every channel that the [`Inbox`] wants is confirmed.
///
/// The pauses between attempts are those of a [`Keeper`](crate::kit::Keeper) in an outage. Attempts end with the inbox, and with
/// this.
pub(crate) struct Late {
    there: Arc<OnceLock<Arc<dyn Backend>>>,
    task: Mutex<JoinSet<()>>,
}

impl Late {
    /// Begins to connect. What comes of the first attempt is sent to the receiver: connected and subscribed, or why not. If it
    /// was received, nobody says `up` for it.
    ///
    /// `limit` bounds each attempt.
    pub(crate) fn begin(connect: impl Connect, inbox: Inbox, limit: Duration) -> (Self, oneshot::Receiver<Result<()>>) {
        let (first, attempted) = oneshot::channel();
        let there = Arc::new(OnceLock::new());
        let attempts = Attempts { connect: Arc::new(connect), inbox, limit };
        let mut task = JoinSet::new();
        task.spawn(attempts.run(Arc::clone(&there), first));
        (Self { there, task: Mutex::new(task) }, attempted)
    }

    fn there(&self) -> Result<&Arc<dyn Backend>> {
        self.there.get().ok_or_else(|| Error::unavailable("the broker has not been reached yet"))
    }
}

#[async_trait]
impl Backend for Late {
    fn capabilities(&self) -> Capabilities {
        self.there.get().map_or_else(Capabilities::default, |there| there.capabilities())
    }

    /// Before the broker is there, none: what is written without them is cut again when it is sent.
    fn limits(&self) -> Limits {
        self.there.get().map_or_else(|| Limits::max_frame(usize::MAX), |there| there.limits())
    }

    fn broker(&self) -> Option<BrokerInfo> {
        self.there.get()?.broker()
    }

    async fn describe(&self) -> Result<Description> {
        self.there()?.describe().await
    }

    async fn subscribe(&self, channels: &[Channel]) -> Result<()> {
        self.there()?.subscribe(channels).await
    }

    async fn unsubscribe(&self, channels: &[Channel]) -> Result<()> {
        self.there()?.unsubscribe(channels).await
    }

    async fn publish(&self, frames: &[Outgoing]) -> Result<(), PublishError> {
        self.there().map_err(PublishError::Unknown)?.publish(frames).await
    }

    async fn reset(&self, reason: Reason) {
        if let Ok(there) = self.there() {
            there.reset(reason).await;
        }
    }

    async fn close(&self) -> Result<()> {
        let mut task = std::mem::take(&mut *self.task.lock().unwrap_or_else(PoisonError::into_inner));
        task.shutdown().await;
        match self.there.get() {
            Some(there) => there.close().await,
            None => Ok(()),
        }
    }
}

/// What the attempts are made with.
struct Attempts<C> {
    connect: Arc<C>,
    inbox: Inbox,
    limit: Duration,
}

impl<C: Connect> Attempts<C> {
    async fn run(self, there: Arc<OnceLock<Arc<dyn Backend>>>, first: oneshot::Sender<Result<()>>) {
        let inbox = self.inbox.clone();
        tokio::select! {
            biased;
            () = inbox.closed() => {}
            () = self.succeed(&there, first) => {}
        }
    }

    /// Ends with the first attempt that succeeds.
    async fn succeed(&self, there: &OnceLock<Arc<dyn Backend>>, first: oneshot::Sender<Result<()>>) {
        let (mut first, mut outage, mut backoff) = (Some(first), Outage::new(), Backoff::default());
        loop {
            match self.attempt().await {
                Ok(backend) => {
                    let limits = backend.limits();
                    let _ = there.set(backend); // once: this is the only place, and it returns
                    let told = first.is_some_and(|first| first.send(Ok(())).is_ok());
                    if !told {
                        self.inbox.up(limits);
                    }
                    return;
                }
                Err(error) => {
                    self.inbox.attempt(); // there will be another one
                    let news = outage.failed(&error);
                    // The error of the first attempt is the caller's, as long as the caller waits for it.
                    let taken = first.take().is_some_and(|first| first.send(Err(error.clone())).is_ok());
                    if let Some(cause) = news.filter(|_| !taken) {
                        tell(&error, &cause, "not connected yet", &self.inbox);
                    }
                }
            }
            backoff.wait_at_most(outage.longest()).await;
        }
    }

    /// In a task of its own: a panic costs the attempt.
    async fn attempt(&self) -> Result<Arc<dyn Backend>> {
        let (connect, inbox, limit) = (Arc::clone(&self.connect), self.inbox.clone(), self.limit);
        let mut attempt = JoinSet::new();
        attempt.spawn(async move {
            let late = |_| Error::unavailable(format!("the broker did not reply within {limit:?}"));
            let backend = timeout(limit, connect.connect(inbox.clone())).await.map_err(late)??;
            let subscribed =
                timeout(limit, backend.subscribe(&inbox.channels())).await.map_err(late).and_then(|done| done);
            match subscribed {
                Ok(()) => Ok(backend),
                Err(error) => {
                    let _ = timeout(END, backend.close()).await; // it must say nothing beside the next one
                    Err(error)
                }
            }
        });
        match attempt.join_next().await {
            Some(Ok(attempted)) => attempted,
            Some(Err(panicked)) => Err(Error::unexpected("the code that connects panicked").with_source(panicked)),
            None => Err(Error::unexpected("the code that connects was stopped")),
        }
    }
}

/// Whether the broker may just be away.
pub(crate) fn waiting_helps(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Timeout)
}
