//! The link: one connection that publishes, one that subscribes.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use redis::{Pipeline, RedisError, Value};
use roomcast_core::backend::{
    Authority, Breaker, BrokerInfo, Capabilities, Channel, Credentials, Description, HostPort, InPlace, Inbox, Limits,
    Link, Outgoing, PublishError, Pulse, Reason, Renewal,
};
use roomcast_core::{ErrorKind, Result};
use tokio::time::timeout;

use crate::config::{Mode, Redis};
use crate::connection::{Connection, hello, in_time, renew};
use crate::description::{Carrier, describe};
use crate::error::{error, is_of_the_server, kind};
use crate::intake::Intake;
use crate::topology::{Sentinels, replaced};

/// Half of what an operator may set as the smallest limit of a message (`proto-max-bulk-len`) and of what one client
/// has sent and the server has not handled (`client-query-buffer-limit`): 1 MiB each. The default limits are far above,
/// but larger messages are not faster (the README has the figures), and they fill the buffers of slow subscribers in
/// larger steps.
// A pipeline is queued whole in one poll, so batches keep their order.
const LIMITS: Limits = Limits::max_frame(512 << 10).in_flight(2);
/// So many subscriptions in one round trip.
const CHUNK: usize = 500;
/// How long the server may take to take leave.
pub(crate) const QUIT: Duration = Duration::from_millis(500);

/// Both connections; the link is up only while both are.
///
/// They are two so that frames that arrive, or wait because the inbox is full, never delay the answers to what is
/// published.
pub(crate) struct Pair {
    publisher: Connection,
    subscriber: Connection,
    sentinels: Option<Sentinels>,
    expires: Option<Instant>,
    handle: Handle,
}

/// What calls go over.
#[derive(Clone)]
pub(crate) struct Handle {
    publisher: MultiplexedConnection,
    driver: InPlace,
    subscriber: MultiplexedConnection,
    server: Arc<Server>,
    sharded: bool,
    intake: Arc<Intake>,
    credentials: Credentials,
    breaker: Breaker,
}

impl Link for Pair {
    type Source = Redis;
    type Handle = Handle;
    const BROKER: &'static str = "Redis";
    /// Ordered: a node publishes on one connection to one server, which carries out its commands one after the other
    /// and writes each message to all subscribers before it looks at the next. In Redis Cluster, too: all channels
    /// are in one slot.
    const CAPABILITIES: Capabilities = Capabilities::ORDERED;

    /// Connects to the server that is to be used now.
    async fn open(redis: &mut Redis, inbox: &Inbox, breaker: Breaker) -> Result<Self> {
        let dial = redis.dial(inbox.client_name()).await?;
        let (address, publisher) = redis.topology.publisher(&dial, &redis.mode).await?;
        let sentinels = redis.topology.sentinels_of(&dial, &address);
        let pulse = Arc::new(Pulse::default());
        let intake = Intake::new(inbox.clone(), redis.mode.prefix(), Arc::clone(&pulse), breaker.clone());
        let intake = Arc::new(intake);
        let subscriber = Connection::with_pulse(&dial, &address, pulse, Some(Arc::clone(&intake))).await?;
        let handle = Handle {
            publisher: publisher.client.clone(),
            driver: publisher.driver.clone(),
            subscriber: subscriber.client.clone(),
            server: Arc::new(Server::at(address)),
            sharded: matches!(redis.mode, Mode::Sharded { .. }),
            intake,
            credentials: redis.credentials.clone(),
            breaker,
        };
        Ok(Self { publisher, subscriber, sentinels, expires: dial.login.expires, handle })
    }

    fn timeout(redis: &Redis) -> Duration {
        redis.attempt()
    }

    async fn authority(handle: &Handle) -> Result<Authority> {
        handle.server.authority([&handle.publisher, &handle.subscriber]).await
    }

    fn broker(&self) -> Option<BrokerInfo> {
        self.handle.server.broker()
    }

    async fn describe(handle: &Handle) -> Result<Description> {
        let carrier = if handle.sharded { Carrier::Sharded } else { Carrier::PubSub };
        describe(&handle.publisher, carrier).await
    }

    fn handle(&self) -> Handle {
        self.handle.clone()
    }

    fn limits(&self) -> Limits {
        LIMITS
    }

    async fn subscribe(handle: &Handle, channels: &[Channel]) -> Result<()> {
        handle.for_each(if handle.sharded { "SSUBSCRIBE" } else { "SUBSCRIBE" }, channels).await
    }

    async fn unsubscribe(handle: &Handle, channels: &[Channel]) -> Result<()> {
        if handle.sharded {
            handle.intake.leave(channels);
        }
        handle.for_each(if handle.sharded { "SUNSUBSCRIBE" } else { "UNSUBSCRIBE" }, channels).await
    }

    /// One round trip for the whole batch. Those after a message that the server's access rules refuse may have been
    /// sent as well: the core sends them again, and receivers drop the copies.
    async fn publish(handle: &Handle, messages: &[Outgoing]) -> Result<(), PublishError> {
        let command = if handle.sharded { "SPUBLISH" } else { "PUBLISH" };
        let mut pipeline = Pipeline::with_capacity(messages.len());
        for message in messages {
            pipeline.cmd(command).arg(handle.intake.name(&message.channel)).arg(&message.payload[..]);
        }
        publish(&handle.publisher, &handle.driver, &pipeline, messages.len(), &handle.breaker).await
    }

    async fn hold(&mut self, _: &Inbox) -> Reason {
        tokio::select! {
            reason = broken(&mut self.publisher, &mut self.subscriber) => reason,
            reason = replaced(self.sentinels.as_ref()) => reason,
            never = self.handle.intake.hand_over() => match never {},
        }
    }

    fn expires(&self) -> Option<Instant> {
        self.expires
    }

    async fn renew(handle: &Handle) -> Result<Renewal> {
        renew([&handle.publisher, &handle.subscriber], &handle.credentials).await
    }

    async fn quit(self) {
        let quit = redis::cmd("QUIT");
        let Handle { mut publisher, mut subscriber, .. } = self.handle;
        let both = async { tokio::join!(publisher.send_packed_command(&quit), subscriber.send_packed_command(&quit)) };
        // The server has gone, or is too slow: it will find closed connections, which comes to the same.
        let _ = timeout(QUIT, both).await;
    }
}

impl Handle {
    /// Carries out one command for each channel, in as few round trips as is good for the server; returns once all are
    /// confirmed.
    ///
    /// # Errors
    /// The first that the server gave; the other channels of its chunk may be confirmed.
    async fn for_each(&self, command: &str, channels: &[Channel]) -> Result<()> {
        for chunk in channels.chunks(CHUNK) {
            let mut pipeline = Pipeline::with_capacity(chunk.len());
            for channel in chunk {
                pipeline.cmd(command).arg(self.intake.name(channel));
            }
            let mut subscriber = self.subscriber.clone();
            let sent = in_time(subscriber.send_packed_commands(&pipeline, 0, chunk.len())).await;
            for answer in sent.map_err(error)? {
                answer.extract_error().map_err(error)?;
            }
        }
        Ok(())
    }
}

/// The server that a link leads to.
pub(crate) struct Server {
    address: HostPort,
    /// What it said first of itself.
    broker: OnceLock<BrokerInfo>,
}

impl Server {
    pub(crate) fn at(address: HostPort) -> Self {
        Self { address, broker: OnceLock::new() }
    }

    /// A replica takes what is published, and passes it to nobody but its own subscribers. Each connection is asked: behind
    /// a balancer they may have come to different servers.
    ///
    /// # Errors
    /// Those of the questions.
    pub(crate) async fn authority(&self, connections: [&MultiplexedConnection; 2]) -> Result<Authority> {
        for connection in connections {
            let said = hello(&mut connection.clone()).await.map_err(error)?;
            if said.is_replica {
                return Ok(Authority::Elsewhere(replica(&self.address)));
            }
            if let Some(broker) = said.broker {
                self.broker.get_or_init(|| broker);
            }
        }
        Ok(Authority::Here)
    }

    /// What it is, once it was asked for its authority.
    pub(crate) fn broker(&self) -> Option<BrokerInfo> {
        self.broker.get().cloned()
    }
}

fn replica(address: &HostPort) -> Reason {
    Reason::from(format!(
        "the Redis server at {address} is a replica, and what is published there does not reach the master: name the \
         master, or let redis+sentinel:// or redis+cluster:// find it"
    ))
}

/// Sends messages, and what else is in the pipeline behind them: whether that is done does not count. A server that lives and does
/// not take them is given up: it is loading, no longer the owner of our slot, or has lost its cluster, and another may have to be
/// found.
pub(crate) async fn publish(
    publisher: &MultiplexedConnection,
    driver: &InPlace,
    pipeline: &Pipeline,
    messages: usize,
    breaker: &Breaker,
) -> Result<(), PublishError> {
    let mut publisher = publisher.clone();
    let sent = driver.assist(publisher.send_packed_commands(pipeline, 0, pipeline.len())).await;
    let mut answers = sent.map_err(|cause| PublishError::Unknown(error(cause)))?;
    answers.truncate(messages);
    let Some((index, cause)) = first_refusal(answers) else { return Ok(()) };
    match kind(&cause) {
        kind @ (ErrorKind::Denied | ErrorKind::TooLarge) => return Err(PublishError::Refused { index, kind }),
        // No other connection would help; the batch is sent again in a while.
        _ if is_of_the_server(&cause) => return Err(PublishError::NotNow(error(cause))),
        // It lives and cannot publish, as a master that has become a replica: another may have to be found.
        _ => breaker.trip("the server does not accept what is published"),
    }
    Err(PublishError::Unknown(error(cause)))
}

/// Waits until one of the connections of a link is of no use any more; returns why.
pub(crate) async fn broken(publisher: &mut Connection, receiver: &mut Connection) -> Reason {
    let silence = (publisher.watch().silence(), receiver.watch().silence());
    let why = tokio::select! {
        () = publisher.ended() => "the connection that publishes was closed",
        () = receiver.ended() => "the connection that receives was closed",
        () = silence.0 => "the server is silent on the connection that publishes",
        () = silence.1 => "the server is silent on the connection that receives",
    };
    why.into()
}

/// The first message that the server has refused, and why.
fn first_refusal(answers: Vec<Value>) -> Option<(usize, RedisError)> {
    let refusal = |answer| if let Value::ServerError(cause) = answer { Some(RedisError::from(cause)) } else { None };
    answers.into_iter().enumerate().find_map(|(index, answer)| Some((index, refusal(answer)?)))
}
