//! The link: a session with one of the brokers, and what is delivered on it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use roomcast_core::Result;
use roomcast_core::backend::{
    Authority, Breaker, BrokerInfo, Capabilities, Channel, Description, HostPort, Inbox, Limits, Link, Outgoing,
    PublishError, Reason, Renewal, Ring, in_turn,
};
use tokio::sync::Mutex;

use crate::Amqp;
use crate::connection::Connection;
use crate::intake::Intake;
use crate::session::{Most, Session};

/// How long one broker may take: five seconds to be reached twice, five for the handshake, five to prepare what a node needs.
const EACH: Duration = Duration::from_secs(15);
/// How long binding may take.
const BINDING: Duration = Duration::from_secs(10);

/// The brokers that were named.
pub(crate) struct Brokers {
    amqp: Amqp,
    hosts: Ring<HostPort>,
    most: Most,
}

impl Brokers {
    pub(crate) fn new(amqp: Amqp) -> Self {
        Self { hosts: Ring::new(amqp.hosts.iter().cloned()), amqp, most: Most::default() }
    }
}

/// One session, until it is of no use any more.
pub(crate) struct Line {
    session: Arc<Session>,
    intake: Intake,
}

impl Link for Line {
    type Source = Brokers;
    type Handle = Arc<Session>;
    const BROKER: &'static str = "RabbitMQ";
    /// Ordered: a node publishes on one channel to one exchange, and receives from one queue by one consumer. The broker
    /// keeps the order on such a way, whatever the routing keys.
    const CAPABILITIES: Capabilities = Capabilities::ORDERED;

    async fn open(Brokers { amqp, hosts, most }: &mut Brokers, inbox: &Inbox, _: Breaker) -> Result<Self> {
        let amqp = amqp.logged_in(inbox.client_name()).await?;
        // A session is dear to a broker: while one is being made, those that were reached meanwhile wait.
        let turn = Mutex::new(());
        let (session, intake) = in_turn(hosts.round(), async |host| {
            let stream = Connection::dial(&host).await?;
            let _turn = turn.lock().await;
            Session::open(&amqp, &host, stream, most.clone()).await
        })
        .await?;
        Ok(Self { session: Arc::new(session), intake })
    }

    /// Every broker that is reached may cost its whole time.
    fn timeout(brokers: &Brokers) -> Duration {
        EACH * brokers.hosts.iter().len() as u32 + BINDING + brokers.amqp.credentials.limit()
    }

    /// A cluster of RabbitMQ routes what any of its servers takes. Which side goes on when it is cut in two is the servers'
    /// business: with `pause_minority` those of the smaller side close their connections.
    async fn authority(_: &Arc<Session>) -> Result<Authority> {
        Ok(Authority::Here)
    }

    fn handle(&self) -> Arc<Session> {
        Arc::clone(&self.session)
    }

    fn limits(&self) -> Limits {
        self.session.limits()
    }

    fn broker(&self) -> Option<BrokerInfo> {
        self.session.describe().broker
    }

    async fn describe(session: &Arc<Session>) -> Result<Description> {
        Ok(session.describe())
    }

    async fn subscribe(session: &Arc<Session>, channels: &[Channel]) -> Result<()> {
        // Whatever the broker has against it, it closes the channel of AMQP.
        session.bind(channels).await.inspect_err(|_| session.end("a binding was not confirmed"))
    }

    async fn unsubscribe(session: &Arc<Session>, channels: &[Channel]) -> Result<()> {
        session.unbind(channels).await
    }

    async fn publish(session: &Arc<Session>, messages: &[Outgoing]) -> Result<(), PublishError> {
        session.publish(messages).await
    }

    async fn hold(&mut self, inbox: &Inbox) -> Reason {
        self.intake.run(&self.session, inbox).await.into()
    }

    fn expires(&self) -> Option<Instant> {
        self.session.expires
    }

    async fn renew(session: &Arc<Session>) -> Result<Renewal> {
        session.renew().await
    }

    async fn quit(self) {
        self.session.close().await;
    }
}

impl Drop for Line {
    /// For calls that are under way.
    fn drop(&mut self) {
        self.session.end("the link is made again");
    }
}
