//! The two connections of a link.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use redis::Pipeline;
use redis::aio::MultiplexedConnection;
use roomcast_core::backend::{
    Authority, Breaker, BrokerInfo, Credentials, HostPort, InPlace, Inbox, PublishError, Reason, Renewal,
};
use roomcast_core::{ErrorKind, Result};
use tokio::time::timeout;

use crate::config::Redis;
use crate::connection::{Connection, Dial, call};
use crate::description::hello;
use crate::error::{error, is_of_the_server, replica};
use crate::intake::Intake;
use crate::topology::{Server, Topology};

/// How long the server may take to take leave.
const QUIT: Duration = Duration::from_millis(500);

/// One connection that publishes and one that receives, to the server that is to be used; the link is up only while both are.
///
/// They are two so that frames that arrive, or wait because the inbox is full, never delay the answers to what is
/// published.
pub(crate) struct Pair {
    publisher: Connection,
    pub(crate) receiver: Connection,
    topology: Topology,
    dial: Dial,
    pub(crate) broker: Option<BrokerInfo>,
    pub(crate) calls: Calls,
}

/// What calls go over.
#[derive(Clone)]
pub(crate) struct Calls {
    pub(crate) publisher: MultiplexedConnection,
    pub(crate) receiver: MultiplexedConnection,
    driver: InPlace,
    address: HostPort,
    credentials: Credentials,
    breaker: Breaker,
}

impl Pair {
    /// Connects to the server that is to be used now. What it pushes goes to the intake.
    ///
    /// # Errors
    /// `Config`, `Denied`, `Unavailable`.
    pub(crate) async fn open(
        redis: &Redis,
        inbox: &Inbox,
        breaker: Breaker,
        intake: Option<Arc<Intake>>,
    ) -> Result<Self> {
        let Redis { topology, credentials, tls, mode } = redis.clone();
        let dial = Dial { login: credentials.login().await?, tls, name: inbox.client_name() };
        let Server { address, connection: publisher, broker } = topology.find(&dial, &mode).await?;
        let receiver = Connection::open(&dial, &address, intake).await?;
        let calls = Calls {
            publisher: publisher.client.clone(),
            receiver: receiver.client.clone(),
            driver: publisher.driver.in_place().clone(),
            address,
            credentials,
            breaker,
        };
        Ok(Self { publisher, receiver, topology, dial, broker, calls })
    }

    /// Waits until the connections are of no use any more; returns why.
    pub(crate) async fn broken(&self) -> Reason {
        tokio::select! {
            why = self.publisher.ends() => format!("the connection that publishes {why}").into(),
            why = self.receiver.ends() => format!("the connection that receives {why}").into(),
            reason = self.topology.replaced(&self.dial, &self.calls.address) => reason,
        }
    }

    pub(crate) fn expires(&self) -> Option<Instant> {
        self.dial.login.expires
    }
}

impl Calls {
    /// A replica takes what is published, and passes it to nobody but its own subscribers. Each connection is asked: behind
    /// a balancer they may have come to different servers.
    ///
    /// # Errors
    /// Those of the questions.
    pub(crate) async fn authority(&self) -> Result<Authority> {
        for connection in [&self.publisher, &self.receiver] {
            if hello(connection).await.map_err(error)?.is_replica {
                return Ok(Authority::Elsewhere(replica(&self.address).into()));
            }
        }
        Ok(Authority::Here)
    }

    /// Sends messages, and what else is in the pipeline behind them: whether that is done does not count. A server that lives and
    /// does not take them is given up: it is loading, no longer the owner of our slot, or has lost its cluster, and another may have
    /// to be found.
    ///
    /// # Errors
    /// As [`Link::publish`](roomcast_core::backend::Link::publish).
    pub(crate) async fn publish(&self, pipeline: &Pipeline, messages: usize) -> Result<(), PublishError> {
        let mut publisher = self.publisher.clone();
        let sent = self.driver.assist(publisher.send_packed_commands(pipeline, 0, pipeline.len())).await;
        let answers = sent.map_err(|cause| PublishError::Unknown(error(cause)))?.into_iter().take(messages);
        let refusal = answers.enumerate().find_map(|(index, answer)| Some((index, answer.extract_error().err()?)));
        let Some((index, cause)) = refusal else { return Ok(()) };
        let is_of_the_server = is_of_the_server(&cause);
        let error = error(cause);
        if error.kind() == ErrorKind::Denied {
            return Err(PublishError::Refused { index, kind: ErrorKind::Denied });
        }
        if is_of_the_server {
            // No other connection would help; the batch is sent again in a while.
            return Err(PublishError::NotNow(error));
        }
        self.breaker.trip("the server does not accept what is published");
        Err(PublishError::Unknown(error))
    }

    /// Logs in with the next login on the connections as they are: with RESP3 the one that subscribes takes it as well.
    ///
    /// # Errors
    /// Those of [`Credentials::login`] and of the server; a time-out.
    pub(crate) async fn renew(&self) -> Result<Renewal> {
        let login = self.credentials.login().await?;
        let words = [Some("AUTH"), login.user.as_deref(), login.password.as_deref()];
        let words: Vec<_> = words.into_iter().flatten().collect();
        for connection in [&self.publisher, &self.receiver] {
            call(connection, &words).await.map_err(error)?;
        }
        Ok(Renewal::Until(login.expires))
    }
}

/// Takes leave on these connections. A server that has gone, or is too slow, will find closed connections, which comes to the same.
pub(crate) async fn quit(connections: impl IntoIterator<Item = MultiplexedConnection>) {
    let quit = redis::cmd("QUIT");
    let each = connections.into_iter().map(async |mut connection| drop(connection.send_packed_command(&quit).await));
    let _ = timeout(QUIT, join_all(each)).await;
}
