//! The task that receives, makes the next session when one ends, binds again, and reports.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use adapter_core::{Backoff, Error, Inbox, Result};

use crate::Amqp;
use crate::backend::Link;
use crate::config::Host;
use crate::intake::Intake;
use crate::session::Session;

/// The longest wait between two rounds over the brokers.
const LONGEST: Duration = Duration::from_millis(500);

type Open = (Arc<Session>, Intake);

/// The brokers that were named.
pub(crate) struct Brokers {
    amqp: Amqp,
    /// In the order in which they are tried; each goes to the end when it was.
    hosts: VecDeque<Host>,
}

impl Brokers {
    pub(crate) fn new(amqp: Amqp) -> Self {
        let mut hosts = VecDeque::from(amqp.hosts().to_vec());
        // The nodes spread over the brokers.
        let first = getrandom::u32().unwrap_or_default() as usize % hosts.len().max(1);
        hosts.rotate_left(first);
        Self { amqp, hosts }
    }

    /// Opens a session with the first broker that takes us.
    ///
    /// # Errors
    /// If none does, the most telling refusal.
    pub(crate) async fn open(&mut self) -> Result<Open> {
        let mut failed = None;
        for _ in 0..self.hosts.len() {
            self.hosts.rotate_left(1);
            let Some(host) = self.hosts.back() else { break };
            match Session::open(&self.amqp, host).await {
                Ok((session, intake)) => return Ok((Arc::new(session), intake)),
                Err(error) => failed = Some(Error::most_telling(failed, error)),
            }
        }
        Err(failed.unwrap_or_else(|| Error::config("no broker is named")))
    }
}

/// Keeps the link until the cluster is closed.
pub(crate) async fn listen(link: Arc<Link>, mut brokers: Brokers, inbox: Inbox, first: Open) {
    let mut closing = link.closing.subscribe();
    tokio::select! {
        () = inbox.closed() => {}
        _ = closing.wait_for(|closing| *closing) => {}
        () = keep(&link, &mut brokers, &inbox, first) => {}
    }
    let last = link.current.send_replace(None);
    if let Some(session) = last {
        session.close().await;
    }
    link.closed.send_replace(true);
}

async fn keep(link: &Link, brokers: &mut Brokers, inbox: &Inbox, first: Open) {
    let (mut session, mut intake) = first;
    let mut backoff = Backoff::at_most(LONGEST);
    loop {
        backoff.connected();
        let reason = intake.run(&session, inbox).await;
        link.current.send_replace(None);
        session.end(reason.as_str());
        inbox.down(reason);
        drop((session, intake)); // and its sockets with it
        (session, intake) = restore(link, brokers, inbox, &mut backoff).await;
    }
}

/// Connects again, for ever.
async fn restore(link: &Link, brokers: &mut Brokers, inbox: &Inbox, backoff: &mut Backoff) -> Open {
    let mut told = None;
    loop {
        backoff.wait().await;
        match attempt(link, brokers, inbox).await {
            Ok(open) => return open,
            Err(error) => {
                link.current.send_replace(None);
                if told != Some(error.kind()) {
                    tracing::warn!(%error, kind = ?error.kind(), "still without a connection to RabbitMQ");
                    told = Some(error.kind());
                }
            }
        }
    }
}

async fn attempt(link: &Link, brokers: &mut Brokers, inbox: &Inbox) -> Result<Open> {
    let (session, intake) = brokers.open().await?;
    let first = inbox.channels();
    session.bind(&first).await?;
    link.current.send_replace(Some(Arc::clone(&session)));
    // What was wanted meanwhile met no session, and what is wanted from now on meets this one.
    let first: HashSet<_> = first.into_iter().collect();
    let missed: Vec<_> = inbox.channels().into_iter().filter(|channel| !first.contains(channel)).collect();
    session.bind(&missed).await?;
    session.tell_up(inbox);
    Ok((session, intake))
}
