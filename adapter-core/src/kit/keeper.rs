//! What keeps a link up.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{sleep, timeout};

use crate::kit::outage::Outage;
use crate::kit::renewal::renewals;
use crate::kit::{Authority, Backoff, Breaker, Link, caught};
use crate::model::{BrokerInfo, Description, Error, ErrorKind, Limits, Result};
use crate::seams::{Backend, Capabilities, Channel, Inbox, Outgoing, PublishError, Reason};
use async_trait::async_trait;

/// How often a server is asked whether it is the authority, and how long it may take to answer.
const ASK: Duration = Duration::from_secs(2);

/// How long the old link stays open beside the new one. In that time the servers of a cluster learn of the new subscriptions.
const OVERLAP: Duration = Duration::from_millis(250);
/// What each channel that is wanted adds to the time of an attempt.
const EACH: Duration = Duration::from_millis(20);
/// How long it may take then to end.
const QUIT: Duration = Duration::from_secs(5);

/// The backend that keeps a [`Link`] up: it connects again when the link breaks, for ever and with a [`Backoff`],
/// subscribes to everything that is wanted, and tells the [`Inbox`]. The example is at [`Link`].
///
/// A panic of the link or of its client ends the link, and the next one is made.
///
/// The pauses are at most half a second for the first 30 s of an outage; then they grow with it, up to 5 s after five
/// minutes. When every server refuses (`Config` or `Denied`) they grow up to 5 to 10 s at once.
pub struct Keeper<L: Link> {
    shared: Arc<Shared<L::Handle>>,
    /// Ends by itself with the inbox; `close` awaits it.
    task: tokio::sync::Mutex<Option<JoinHandle<()>>>,
}

struct Shared<H> {
    state: Mutex<State<H>>,
    close: Notify,
}

#[derive(Clone)]
struct State<H> {
    /// None while the link is down.
    live: Option<Live<H>>,
    /// Those of the latest link.
    limits: Limits,
    /// What the latest link leads to.
    broker: Option<BrokerInfo>,
}

#[derive(Clone)]
struct Live<H> {
    handle: H,
    limits: Limits,
    breaker: Breaker,
}

/// A link, and what gives it up.
struct Made<L> {
    link: L,
    breaker: Breaker,
}

impl<L: Link> Keeper<L> {
    /// Makes the first link, and starts the task that keeps it up. The task ends with [`close`](Backend::close) or with the inbox.
    ///
    /// # Errors
    /// Those of [`Link::open`]: an absent broker is an error here. `Unavailable` if the server is not the
    /// [authority](Link::authority), and after the link's [time limit](Link::timeout).
    pub async fn connect(mut source: L::Source, inbox: Inbox) -> Result<Self> {
        let made = in_time::<L, _>(L::timeout(&source), Made::<L>::open(&mut source, &inbox)).await?;
        let state = made.state();
        let shared = Arc::new(Shared { state: Mutex::new(state), close: Notify::new() });
        let task = tokio::spawn(keep(source, Arc::clone(&shared), inbox, made));
        Ok(Self { shared, task: tokio::sync::Mutex::new(Some(task)) })
    }

    fn live(&self) -> Result<Live<L::Handle>> {
        let live = self.shared.lock().live.clone();
        live.ok_or_else(|| Error::unavailable(format!("the link to {} is down", L::BROKER)))
    }
}

#[async_trait]
impl<L: Link> Backend for Keeper<L> {
    fn capabilities(&self) -> Capabilities {
        L::CAPABILITIES
    }

    /// Those of the latest link.
    fn limits(&self) -> Limits {
        self.shared.lock().limits
    }

    fn broker(&self) -> Option<BrokerInfo> {
        self.shared.lock().broker.clone()
    }

    async fn describe(&self) -> Result<Description> {
        let described = L::describe(&self.live()?.handle).await?;
        Ok(Description { broker: described.broker.or_else(|| self.broker()), ..described })
    }

    /// If it fails with an error that may pass, the link is made again, which covers these channels.
    async fn subscribe(&self, channels: &[Channel]) -> Result<()> {
        let live = self.live()?;
        L::subscribe(&live.handle, channels).await.inspect_err(|error| {
            if !matches!(error.kind(), ErrorKind::Config | ErrorKind::Denied) {
                live.breaker.trip("a subscription was not confirmed");
            }
        })
    }

    async fn unsubscribe(&self, channels: &[Channel]) -> Result<()> {
        L::unsubscribe(&self.live()?.handle, channels).await
    }

    async fn publish(&self, frames: &[Outgoing]) -> Result<(), PublishError> {
        let live = self.live().map_err(PublishError::Unknown)?;
        let (sendable, refused) = live.limits.sendable(frames);
        if !sendable.is_empty() {
            L::publish(&live.handle, sendable).await?;
        }
        refused
    }

    async fn reset(&self, reason: Reason) {
        if let Ok(live) = self.live() {
            live.breaker.trip(reason);
        }
    }

    /// Returns once the broker has forgotten this node, if it can be reached. If the future is dropped, closing goes on; another call waits
    /// for its end.
    async fn close(&self) -> Result<()> {
        self.shared.close.notify_one();
        let mut task = self.task.lock().await;
        let ended = match task.as_mut() {
            Some(running) => running.await,
            None => return Ok(()),
        };
        *task = None;
        let failed = || Error::unexpected(format!("the task that keeps the link to {} has failed", L::BROKER));
        ended.map_err(|cause| failed().with_source(cause))
    }
}

impl<H> Shared<H> {
    fn down(&self) {
        self.lock().live = None;
    }

    // All fields change together; nothing awaits or calls out while it is held.
    fn lock(&self) -> MutexGuard<'_, State<H>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<L: Link> Made<L> {
    /// Connects, and asks whether the server is the authority.
    async fn open(source: &mut L::Source, inbox: &Inbox) -> Result<Self> {
        let breaker = Breaker::default();
        let link = L::open(source, inbox, breaker.clone()).await?;
        match L::authority(&link.handle()).await? {
            Authority::Here => Ok(Self { link, breaker }),
            Authority::Elsewhere(reason) => Err(Error::unavailable(reason.0)),
        }
    }

    fn live(&self) -> Live<L::Handle> {
        Live { handle: self.link.handle(), limits: self.link.limits(), breaker: self.breaker.clone() }
    }

    fn state(&self) -> State<L::Handle> {
        State { limits: self.link.limits(), broker: self.link.broker(), live: Some(self.live()) }
    }

    /// Returns why the link is of no use any more.
    async fn broken(&mut self, inbox: &Inbox) -> Reason {
        let handle = self.link.handle();
        let broken = async {
            tokio::select! {
                reason = self.link.hold(inbox) => reason,
                reason = self.breaker.tripped() => reason,
                reason = demoted::<L>(&handle) => reason,
            }
        };
        guarded(broken).await.unwrap_or_else(|panicked| panicked)
    }
}

/// What follows a link.
enum End<L: Link> {
    /// It broke.
    Broken(Reason),
    /// Its successor is up.
    Succeeded(Made<L>),
    /// The cluster is closed.
    Over,
}

/// Asks the server again and again whether it is the authority; returns why it is so no longer.
async fn demoted<L: Link>(handle: &L::Handle) -> Reason {
    loop {
        sleep(ASK).await;
        // A question that fails or is late says nothing about the role: the link's own heartbeat finds a dead server.
        if let Ok(Ok(Authority::Elsewhere(reason))) = timeout(ASK, L::authority(handle)).await {
            return reason;
        }
    }
}

/// Renews the login of the link while it is up. Returns why the link is going to end although it carries still, where it can have a
/// successor.
async fn leaves<L: Link>(handle: &L::Handle, expires: Option<Instant>, inbox: &Inbox) -> Reason {
    tokio::select! {
        reason = L::leaving(handle), if !L::CAPABILITIES.ordered => reason,
        reason = renewals::<L>(handle, expires, inbox) => reason,
    }
}

/// Does something of the link's; a panic is a reason to give the link up.
async fn guarded<T>(work: impl Future<Output = T>) -> Result<T, Reason> {
    caught(work).await.map_err(|_| Reason::from("the backend has panicked"))
}

/// How long an attempt may take: a broker that is busy takes its time for each of many subscriptions.
fn attempt<L: Link>(source: &L::Source, inbox: &Inbox) -> Duration {
    L::timeout(source) + EACH * u32::try_from(inbox.channels().len()).unwrap_or(u32::MAX)
}

/// Bounds the making of a link: a server that freezes half-way must not end the attempts.
async fn in_time<L: Link, T>(limit: Duration, making: impl Future<Output = Result<T>>) -> Result<T> {
    let late = |_| Error::unavailable(format!("the link to {} was not ready after {limit:?}", L::BROKER));
    timeout(limit, making).await.map_err(late)?
}

/// Keeps the link up until the cluster is closed.
async fn keep<L: Link>(mut source: L::Source, shared: Arc<Shared<L::Handle>>, inbox: Inbox, mut made: Made<L>) {
    let over = async {
        tokio::select! {
            () = inbox.closed() => {}
            () = shared.close.notified() => {}
        }
    };
    tokio::pin!(over);
    let mut backoff = Backoff::default();
    // Links that have a successor and take leave.
    let mut leaving = JoinSet::new();
    loop {
        backoff.connected();
        let (handle, limits) = (made.link.handle(), made.link.limits());
        let end = {
            let leaves = guarded(leaves::<L>(&handle, made.link.expires(), &inbox));
            let broken = made.broken(&inbox);
            tokio::pin!(broken, leaves);
            loop {
                tokio::select! {
                    reason = &mut broken => break End::Broken(reason),
                    () = &mut over => break End::Over,
                    reason = &mut leaves => {
                        let reason = match reason {
                            Ok(reason) => reason,
                            Err(panicked) => break End::Broken(panicked),
                        };
                        tracing::info!(broker = L::BROKER, %reason, "the next link is made before this one ends");
                        tokio::select! {
                            made = next(&mut source, &shared, &inbox, &mut backoff) => break End::Succeeded(made),
                            reason = &mut broken => break End::Broken(reason),
                            () = &mut over => break End::Over,
                        }
                    }
                    // What the link before had received and not handed over is missed: the core looks for it.
                    Some(_) = leaving.join_next() => inbox.up(limits),
                }
            }
        };
        match end {
            End::Over => {
                shared.down();
                return made.link.quit().await;
            }
            End::Succeeded(successor) => {
                let before = std::mem::replace(&mut made, successor);
                leaving.spawn(async move {
                    sleep(OVERLAP).await;
                    let _ = timeout(QUIT, before.link.quit()).await;
                });
                continue;
            }
            End::Broken(reason) => {
                shared.down();
                inbox.down(reason);
            }
        }
        drop(made);
        made = tokio::select! {
            made = next(&mut source, &shared, &inbox, &mut backoff) => made,
            () = &mut over => return shared.down(),
        };
    }
}

/// Makes the next link, however long it takes, and says that it is up. Until then calls go where they went before: to a link that
/// still carries, or nowhere.
async fn next<L: Link>(
    source: &mut L::Source,
    shared: &Shared<L::Handle>,
    inbox: &Inbox,
    backoff: &mut Backoff,
) -> Made<L> {
    let before = shared.lock().clone();
    let mut outage = Outage::new();
    loop {
        backoff.wait_at_most(outage.longest()).await; // the nodes of a server do not leave it all at once
        inbox.attempt();
        let made = guarded(in_time::<L, _>(attempt::<L>(source, inbox), make(source, shared, inbox))).await;
        match made.unwrap_or_else(|panicked| Err(Error::unexpected(panicked.0))) {
            Ok(made) => return made,
            Err(error) => {
                *shared.lock() = before.clone();
                outage.tell(&error, &format!("not connected to {} again yet", L::BROKER), inbox);
            }
        }
    }
}

/// Connects, subscribes to everything that is wanted, and says so.
async fn make<L: Link>(source: &mut L::Source, shared: &Shared<L::Handle>, inbox: &Inbox) -> Result<Made<L>> {
    let made = Made::<L>::open(source, inbox).await?;
    let (handle, limits) = (made.link.handle(), made.link.limits());
    let mut done = HashSet::new();
    subscribe::<L>(&handle, inbox, &mut done).await?;
    *shared.lock() = made.state();
    // From here on a new subscription is made by its own call; the second look finds those whose call went to the link before, or
    // to none.
    subscribe::<L>(&handle, inbox, &mut done).await?;
    inbox.up(limits); // where there was no outage, the core looks whether something got lost on the way
    Ok(made)
}

/// Subscribes to what is wanted and not done yet.
async fn subscribe<L: Link>(handle: &L::Handle, inbox: &Inbox, done: &mut HashSet<Channel>) -> Result<()> {
    let wanted: Vec<_> = inbox.channels().into_iter().filter(|channel| !done.contains(channel)).collect();
    if !wanted.is_empty() {
        L::subscribe(handle, &wanted).await?;
        done.extend(wanted);
    }
    Ok(())
}

#[cfg(test)]
#[path = "keeper_tests.rs"]
mod tests;
