//! The task that keeps the link up: it notices that it broke, connects again, listens again, and reports.

use std::collections::HashSet;
use std::sync::Arc;

use adapter_core::{Backoff, Channel, ErrorKind, Inbox, Limits, Reason, Result};
use tokio::sync::mpsc;
use tokio_postgres::{Client, SimpleQueryMessage};

use crate::backend::{Live, Shared};
use crate::config::Postgres;
use crate::connection::Connection;
use crate::error::error;
use crate::intake::Intake;

/// So many different causes of one outage are logged.
const CAUSES: usize = 8;
/// So many channels in one transaction.
const CHUNK: usize = 500;
/// How full the server's queue may be until somebody is told.
const THRESHOLDS: [f64; 4] = [0.25, 0.5, 0.75, 0.9];

/// Both connections; the link is up only while both are.
pub(crate) struct Link {
    pub(crate) publisher: Connection,
    pub(crate) listener: Connection,
    /// Why the link is of no use any more although both connections live.
    broken: mpsc::Receiver<Reason>,
    pub(crate) breaker: mpsc::Sender<Reason>,
}

impl Link {
    /// Makes both connections; nothing is listened to yet.
    ///
    /// # Errors
    /// `Config`, `Denied`, `Unavailable`.
    pub(crate) async fn open(postgres: &Postgres, inbox: &Inbox) -> Result<Self> {
        let (publisher, listener) = tokio::try_join!(
            Connection::open(&postgres.publish, None),
            Connection::open(&postgres.listen, Some(Intake::new(inbox.clone()))),
        )?;
        let (breaker, broken) = mpsc::channel(1);
        Ok(Self { publisher, listener, broken, breaker })
    }

    pub(crate) fn limits(&self) -> Limits {
        Limits::max_frame(self.publisher.max_frame)
    }

    /// Returns why the link is of no use any more.
    async fn hold(&mut self) -> Reason {
        const USAGE: &str = "SELECT pg_notification_queue_usage()";
        let Self { publisher, listener, broken, .. } = self;
        let mut told = 0;
        let silence = async {
            let silent = (publisher.silence(USAGE, |answer| warn(answer, &mut told)), listener.silence("", |_| {}));
            tokio::select! {
                () = silent.0 => "the server is silent on the connection that publishes",
                () = silent.1 => "the server is silent on the connection that listens",
            }
        };
        tokio::select! {
            reason = silence => return reason.into(),
            Some(reason) = broken.recv() => return reason,
            () = publisher.ended() => {}
            () = listener.ended() => {}
        }
        "the server closed a connection".into()
    }

    /// Takes leave.
    async fn quit(self) {
        tokio::join!(self.listener.quit(), self.publisher.quit());
    }
}

/// Tells that the server's queue of notifications fills, once for each threshold on the way up.
fn warn(answer: &[SimpleQueryMessage], told: &mut usize) {
    let usage = answer.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0)?.parse::<f64>().ok(),
        _ => None,
    });
    let Some(usage) = usage else { return };
    let reached = THRESHOLDS.iter().filter(|threshold| usage >= **threshold).count();
    if reached > *told {
        tracing::warn!(usage, "PostgreSQL's queue of notifications fills: a listener of the database does not read");
    }
    *told = reached;
}

/// Keeps the link up until the cluster is closed.
pub(crate) async fn run(postgres: Postgres, shared: Arc<Shared>, inbox: Inbox, mut link: Link) {
    let over = async {
        tokio::select! {
            () = inbox.closed() => {}
            () = shared.close.notified() => {}
        }
    };
    tokio::pin!(over);
    let mut backoff = Backoff::default();
    loop {
        backoff.connected();
        let reason = tokio::select! {
            reason = link.hold() => reason,
            () = &mut over => {
                shared.set(None);
                return link.quit().await;
            }
        };
        shared.set(None);
        inbox.down(reason);
        drop(link);
        link = tokio::select! {
            link = again(&postgres, &shared, &inbox, &mut backoff) => link,
            () = &mut over => return shared.set(None),
        };
    }
}

/// Makes the link again, however long it takes, and says that it is up.
async fn again(postgres: &Postgres, shared: &Shared, inbox: &Inbox, backoff: &mut Backoff) -> Link {
    let mut told = HashSet::new();
    loop {
        backoff.wait().await;
        match restore(postgres, shared, inbox).await {
            Ok(link) => return link,
            Err(error) => {
                shared.set(None);
                let cause = error.to_string();
                if told.len() < CAUSES && told.insert(cause) {
                    tracing::warn!(?postgres, "not connected again yet: {error}");
                }
            }
        }
    }
}

/// Connects, listens to everything that is wanted, and says so.
async fn restore(postgres: &Postgres, shared: &Shared, inbox: &Inbox) -> Result<Link> {
    let link = Link::open(postgres, inbox).await?;
    let mut done = HashSet::new();
    subscribe(&link, inbox, &mut done).await?;
    // From here on a new subscription is made by its own call; the second look finds those whose call has failed
    // because the link was not up.
    shared.set(Some(Live::of(&link)));
    subscribe(&link, inbox, &mut done).await?;
    inbox.up(link.limits());
    Ok(link)
}

async fn subscribe(link: &Link, inbox: &Inbox, done: &mut HashSet<Channel>) -> Result<()> {
    let wanted: Vec<_> = inbox.channels().into_iter().filter(|channel| !done.contains(channel)).collect();
    for_each(&link.listener.client, "LISTEN", &wanted).await?;
    done.extend(wanted);
    Ok(())
}

/// Carries out one command for each channel, many in one transaction; returns once they are committed.
///
/// # Errors
/// The first that the server gave; those of earlier chunks are done.
pub(crate) async fn for_each(client: &Client, command: &str, channels: &[Channel]) -> Result<()> {
    for chunk in channels.chunks(CHUNK) {
        // In quotes, for the case of letters and for dots. A channel's letters need no escape, and 63 bytes are not cut.
        let all: String = chunk.iter().map(|channel| format!("{command} \"{channel}\";")).collect();
        client.batch_execute(&all).await.map_err(error)?;
    }
    Ok(())
}

/// Whether waiting may help.
pub(crate) fn is_temporary(kind: ErrorKind) -> bool {
    !matches!(kind, ErrorKind::Config | ErrorKind::Denied)
}
