//! The link: a connection to one of the servers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_nats::ServerAddr;
use roomcast_core::Result;
use roomcast_core::backend::{
    Authority, Breaker, BrokerInfo, Channel, Description, Inbox, Limits, Link, Outgoing, PublishError, Reason, Renewal,
    Ring, in_turn, in_turn_limit,
};
use tokio::time::sleep;

use crate::Nats;
use crate::connection::{Connection, News};
use crate::description;

/// How long the node gets, after messages were dropped, before it is told that it receives everything again.
const RELIEF: Duration = Duration::from_millis(100);

/// How long a server may take: two seconds of dialling for each of a few addresses, and the first confirmation.
const EACH: Duration = Duration::from_secs(10);
/// How long subscribing may take.
const SUBSCRIBING: Duration = Duration::from_secs(10);

/// Every server that we know of.
pub(crate) struct Servers {
    nats: Nats,
    /// Those of the configuration.
    named: Ring<ServerAddr>,
    /// What those told of others.
    heard: Ring<ServerAddr>,
}

impl Servers {
    pub(crate) fn new(nats: Nats) -> Self {
        Self { named: Ring::new(nats.servers().to_vec()), heard: Ring::new([]), nats }
    }

    /// Connects to the first server that takes us: all that were named, and one that we have heard of. Not all of
    /// those, since a server may know its sisters by addresses that lead nowhere from here, and each costs a timeout.
    ///
    /// # Errors
    /// If none does, the most telling refusal.
    async fn open(&mut self, inbox: &Inbox) -> Result<Arc<Connection>> {
        self.nats.name_connections(inbox.client_name());
        let turns = self.named.round().chain(self.heard.round().take(1));
        let connection = in_turn(turns, |server| Connection::open(&self.nats, server, inbox)).await?;
        if self.nats.discovers() {
            self.learn(&connection);
        }
        Ok(connection)
    }

    fn learn(&mut self, connection: &Connection) {
        const MOST: usize = 64;
        let scheme = self.named.iter().next().map_or("nats", ServerAddr::scheme).to_owned();
        // Servers of the same cluster, as the one that we are connected to knows them.
        for other in connection.info().connect_urls {
            let Ok(server) = format!("{scheme}://{other}").parse::<ServerAddr>() else { continue };
            let known = self.named.iter().chain(self.heard.iter()).any(|known| *known == server);
            if self.heard.iter().len() < MOST && !known {
                self.heard.push(server);
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

    fn timeout(servers: &Servers) -> Duration {
        in_turn_limit(servers.named.iter().len() + 1, EACH + servers.nats.credentials.limit()) + SUBSCRIBING
    }

    /// No server of NATS is above the others: each passes on what it is given to all that it has routes to, and there is no
    /// role to ask for.
    async fn authority(_: &Arc<Connection>) -> Result<Authority> {
        Ok(Authority::Here)
    }

    fn handle(&self) -> Arc<Connection> {
        Arc::clone(&self.0)
    }

    fn limits(&self) -> Limits {
        self.0.limits()
    }

    fn broker(&self) -> Option<BrokerInfo> {
        description::broker(&self.0.info())
    }

    async fn describe(connection: &Arc<Connection>) -> Result<Description> {
        Ok(description::describe(&connection.info()))
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
                News::Over(reason) => return reason,
                News::Dropped => {
                    inbox.dropped("this node did not take its messages in time, and the client dropped some");
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

    /// A server in lame duck mode takes no new connections, and ends those that it has after a while.
    async fn leaving(connection: &Arc<Connection>) -> Reason {
        connection.leaving().await
    }

    fn expires(&self) -> Option<Instant> {
        self.0.expires
    }

    /// Not by a successor with the same JWT.
    async fn renew(connection: &Arc<Connection>) -> Result<Renewal> {
        connection.has_next_login().map(|()| Renewal::BySuccessor)
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
