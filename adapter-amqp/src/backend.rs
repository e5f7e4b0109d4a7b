//! The link: a session with one of the brokers, and what is delivered on it.

use std::collections::VecDeque;
use std::sync::Arc;

use adapter_core::{
    Breaker, Capabilities, Channel, Error, Inbox, Limits, Link, Outgoing, PublishError, Reason, Result, anywhere,
};

use crate::Amqp;
use crate::config::Host;
use crate::intake::Intake;
use crate::session::{LIMITS, Session};

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
        hosts.rotate_left(anywhere(hosts.len()));
        Self { amqp, hosts }
    }

    /// Opens a session with the first broker that takes us.
    ///
    /// # Errors
    /// If none does, the most telling refusal.
    async fn open(&mut self) -> Result<Line> {
        let mut failed = None;
        for _ in 0..self.hosts.len() {
            self.hosts.rotate_left(1);
            let Some(host) = self.hosts.back() else { break };
            match Session::open(&self.amqp, host).await {
                Ok((session, intake)) => return Ok(Line { session: Arc::new(session), intake }),
                Err(error) => failed = Some(Error::most_telling(failed, error)),
            }
        }
        Err(failed.unwrap_or_else(|| Error::config("no broker is named")))
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

    async fn open(brokers: &mut Brokers, _: &Inbox, _: Breaker) -> Result<Self> {
        brokers.open().await
    }

    fn handle(&self) -> Arc<Session> {
        Arc::clone(&self.session)
    }

    fn limits(&self) -> Limits {
        LIMITS
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
