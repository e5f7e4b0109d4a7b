//! The link: a connection to one of the servers.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use adapter_core::{Breaker, Channel, Error, Inbox, Limits, Link, Outgoing, PublishError, Reason, Result, anywhere};
use async_nats::ServerAddr;
use tokio::time::sleep;

use crate::Nats;
use crate::connection::{Connection, News};

/// How long the node gets, after messages were dropped, before it is told that it receives everything again.
const RELIEF: Duration = Duration::from_millis(100);

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
        named.rotate_left(anywhere(named.len()));
        Self { nats, named, heard: VecDeque::new() }
    }

    /// Connects to the first server that takes us: all that were named, and one that we have heard of. Not all of
    /// those, since a server may know its sisters by addresses that lead nowhere from here, and each costs a timeout.
    ///
    /// # Errors
    /// If none does, the most telling refusal.
    async fn open(&mut self, inbox: &Inbox) -> Result<Arc<Connection>> {
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

/// One connection, until it is of no use any more.
pub(crate) struct Line(Arc<Connection>);

/// Not ordered: the server keeps the order of a publisher across channels, but the client hands each subscription over in a
/// queue of its own, and what stands in two queues has lost its order.
impl Link for Line {
    type Source = Servers;
    type Handle = Arc<Connection>;
    const BROKER: &'static str = "NATS";

    async fn open(servers: &mut Servers, inbox: &Inbox, _: Breaker) -> Result<Self> {
        servers.open(inbox).await.map(Self)
    }

    fn handle(&self) -> Arc<Connection> {
        Arc::clone(&self.0)
    }

    fn limits(&self) -> Limits {
        self.0.limits()
    }

    async fn subscribe(connection: &Arc<Connection>, channels: &[Channel]) -> Result<()> {
        connection.subscribe(channels).await
    }

    async fn unsubscribe(connection: &Arc<Connection>, channels: &[Channel]) -> Result<()> {
        connection.unsubscribe(channels).await;
        Ok(())
    }

    async fn publish(connection: &Arc<Connection>, messages: &[Outgoing]) -> Result<(), PublishError> {
        connection.publish(messages).await
    }

    /// Tells of dropped messages until the connection ends.
    async fn hold(&mut self, inbox: &Inbox) -> Reason {
        loop {
            match self.0.news().await {
                News::Over(reason) => return reason.into(),
                News::Dropped => {
                    inbox.down("this node did not take its messages in time, and the client dropped some");
                    sleep(RELIEF).await;
                    self.0.forget_drops();
                    if self.0.is_confirmed().await {
                        inbox.up(self.0.limits());
                    } else {
                        self.0.end("the server does not confirm");
                    }
                }
            }
        }
    }

    async fn quit(self) {
        self.0.close().await;
    }
}

impl Drop for Line {
    /// For calls that are under way.
    fn drop(&mut self) {
        self.0.end("the link is made again");
    }
}
