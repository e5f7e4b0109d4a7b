//! The task that watches the connection, makes the next one, subscribes again, and reports.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use adapter_core::{Backoff, Error, Inbox, Result};
use async_nats::ServerAddr;
use tokio::time::sleep;

use crate::Nats;
use crate::backend::Link;
use crate::connection::{Connection, News};

/// How long the node gets, after messages were dropped, before it is told that it receives everything again.
const RELIEF: Duration = Duration::from_millis(100);

/// The longest wait between two rounds over the servers.
const LONGEST: Duration = Duration::from_millis(500);

/// Every server that we know of.
pub(crate) struct Servers {
    nats: Nats,
    /// Those of the configuration, in the order in which they are tried; each goes to the end when it was.
    named: VecDeque<ServerAddr>,
    /// What those told of others.
    heard: VecDeque<ServerAddr>,
}

impl Servers {
    pub(crate) fn new(nats: Nats) -> Self {
        let mut named = VecDeque::from(nats.servers().to_vec());
        // The nodes spread over the servers.
        let first = getrandom::u32().unwrap_or_default() as usize % named.len().max(1);
        named.rotate_left(first);
        Self { nats, named, heard: VecDeque::new() }
    }

    /// Connects to the first server that takes us: all that were named, and one that we have heard of. Not all of
    /// those, since a server may know its sisters by addresses that lead nowhere from here, and each costs a timeout.
    ///
    /// # Errors
    /// If none does, the most telling refusal.
    pub(crate) async fn open(&mut self, inbox: &Inbox) -> Result<Arc<Connection>> {
        let mut failed = None;
        for turn in 0..=self.named.len() {
            let known = if turn < self.named.len() { &mut self.named } else { &mut self.heard };
            let Some(server) = known.pop_front() else { break };
            known.push_back(server.clone());
            match Connection::open(&self.nats, &server, inbox).await {
                Ok(connection) => {
                    if self.nats.discovers() {
                        self.learn(&connection);
                    }
                    return Ok(connection);
                }
                Err(error) => failed = Some(Error::most_telling(failed, error)),
            }
        }
        Err(failed.unwrap_or_else(|| Error::config("no server of NATS is named")))
    }

    fn learn(&mut self, connection: &Connection) {
        const MOST: usize = 64;
        let scheme = self.named.front().map_or("nats", ServerAddr::scheme).to_owned();
        for other in connection.others() {
            let Ok(server) = format!("{scheme}://{other}").parse::<ServerAddr>() else { continue };
            if self.heard.len() < MOST && !self.named.contains(&server) && !self.heard.contains(&server) {
                self.heard.push_back(server);
            }
        }
    }
}

/// Keeps the link until the cluster is closed.
pub(crate) async fn listen(link: Arc<Link>, mut servers: Servers, inbox: Inbox) {
    let mut closing = link.closing.subscribe();
    tokio::select! {
        () = inbox.closed() => {}
        _ = closing.wait_for(|closing| *closing) => {}
        () = keep(&link, &mut servers, &inbox) => {}
    }
    let last = link.current.send_replace(None);
    if let Some(connection) = last {
        connection.close().await;
    }
    link.closed.send_replace(true);
}

async fn keep(link: &Link, servers: &mut Servers, inbox: &Inbox) {
    let mut backoff = Backoff::at_most(LONGEST);
    loop {
        backoff.connected();
        let current = link.current.borrow().clone();
        if let Some(connection) = current {
            let reason = watch(&connection, inbox).await;
            link.current.send_replace(None);
            connection.end(reason.as_str());
            inbox.down(reason);
        }
        restore(link, servers, inbox, &mut backoff).await;
    }
}

/// Tells of dropped messages until the connection ends; answers why it did.
async fn watch(connection: &Connection, inbox: &Inbox) -> String {
    loop {
        match connection.news().await {
            News::Over(reason) => return reason,
            News::Dropped => {
                inbox.down("this node did not take its messages in time, and the client dropped some");
                sleep(RELIEF).await;
                connection.forget_drops();
                if connection.is_confirmed().await {
                    inbox.up(connection.limits());
                }
            }
        }
    }
}

/// Connects again, for ever.
async fn restore(link: &Link, servers: &mut Servers, inbox: &Inbox, backoff: &mut Backoff) {
    let mut told = None;
    loop {
        backoff.wait().await;
        match attempt(link, servers, inbox).await {
            Ok(()) => return,
            Err(error) if told != Some(error.kind()) => {
                tracing::warn!(%error, kind = ?error.kind(), "still without a connection to NATS");
                told = Some(error.kind());
            }
            Err(_) => {}
        }
    }
}

async fn attempt(link: &Link, servers: &mut Servers, inbox: &Inbox) -> Result<()> {
    let connection = servers.open(inbox).await?;
    connection.subscribe(&inbox.channels()).await?;
    link.limits.send_replace(connection.limits());
    link.current.send_replace(Some(Arc::clone(&connection)));
    // What was wanted meanwhile met no connection, and what is wanted from now on meets this one.
    connection.subscribe(&inbox.channels()).await.inspect_err(|_| {
        link.current.send_replace(None);
    })?;
    inbox.up(connection.limits());
    Ok(())
}
