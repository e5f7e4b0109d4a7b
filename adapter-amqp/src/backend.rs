//! The link: two connections to one of the brokers.
//!
//! Publishing has a connection of its own, because a broker that is short of memory or disk stops reading from those that
//! publish: what has arrived is still taken and acknowledged by the other one, which is what gives the memory back.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::{MaybeDone, maybe_done};
use futures_util::stream::{BoxStream, FuturesOrdered, StreamExt, select};
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::types::{FieldTable, ShortString};
use lapin::{BasicProperties, Confirmation, Event};
use roomcast_core::backend::{
    Authority, Breaker, BrokerInfo, Capabilities, Channel, Description, HostPort, Inbox, Limits, Link, Outgoing,
    PublishError, Reason, Renewal, Ring, in_turn,
};
use roomcast_core::{Error, Result};
use tokio::net::TcpStream;
use tokio::sync::{Mutex, watch};
use tokio::time::timeout;

use crate::Amqp;
use crate::connection::Connection;
use crate::description::describe;
use crate::error;
use crate::intake::Intake;

/// How long one broker may take: five seconds to be reached twice, five for the handshake, five to prepare what a node needs.
const EACH: Duration = Duration::from_secs(15);
/// How long binding may take.
const BINDING: Duration = Duration::from_secs(10);

/// What fits one frame of AMQP at the broker's usual `frame_max` of 128 KiB. Larger messages are not faster, and what waits
/// for a slow node is bounded in messages: 500 of these are 64 MiB.
const MAX_FRAME: usize = (128 << 10) - 8;

/// How long the broker may take to confirm; long after the silence of a dead one was noticed.
const CONFIRM: Duration = Duration::from_secs(5);

const BLOCKED: &str = "the broker accepts no messages now: it is short of memory or disk space";

/// The brokers that were named.
pub(crate) struct Brokers {
    amqp: Amqp,
    hosts: Ring<HostPort>,
    /// The largest message that they take, as far as they have said so.
    most: Arc<AtomicUsize>,
}

impl Brokers {
    pub(crate) fn new(amqp: Amqp) -> Self {
        Self { hosts: Ring::new(amqp.hosts.iter().cloned()), amqp, most: Arc::new(AtomicUsize::new(MAX_FRAME)) }
    }
}

/// One link, until it is of no use any more.
pub(crate) struct Line {
    session: Arc<Session>,
    intake: Intake,
    /// Of both connections.
    events: BoxStream<'static, Event>,
    /// That of [`Brokers`].
    most: Arc<AtomicUsize>,
}

/// What calls are made through.
pub(crate) struct Session {
    publisher: Connection,
    consumer: Connection,
    /// With the login of both connections.
    amqp: Amqp,
    queue: ShortString,
    limits: Limits,
    blocked: watch::Sender<bool>,
    /// Whether the link was given up.
    over: Breaker,
}

impl Link for Line {
    type Source = Brokers;
    type Handle = Arc<Session>;
    const BROKER: &'static str = "RabbitMQ";
    /// Ordered: a node publishes on one channel to one exchange, and receives from one queue by one consumer. The broker
    /// keeps the order on such a way, whatever the routing keys.
    const CAPABILITIES: Capabilities = Capabilities::ORDERED;

    async fn open(brokers: &mut Brokers, inbox: &Inbox, over: Breaker) -> Result<Self> {
        let amqp = brokers.amqp.logged_in(inbox.client_name()).await?;
        // A session is dear to a broker: while one is being made, those that were reached meanwhile wait.
        let turn = Mutex::new(());
        in_turn(brokers.hosts.round(), async |host| {
            let stream = Connection::dial(&host).await?;
            let _turn = turn.lock().await;
            Self::to(&host, stream, &amqp, &brokers.most, &over).await
        })
        .await
    }

    /// Every broker that is reached may cost its whole time.
    fn timeout(brokers: &Brokers) -> Duration {
        EACH * brokers.hosts.iter().len() as u32 + BINDING + brokers.amqp.credentials.limit()
    }

    /// A cluster of RabbitMQ routes what any of its servers takes. Which side goes on when it is cut in two is the servers'
    /// business: with `pause_minority` those of the smaller side close their connections, with `ignore` they tell nobody.
    async fn authority(_: &Arc<Session>) -> Result<Authority> {
        Ok(Authority::Here)
    }

    fn handle(&self) -> Arc<Session> {
        Arc::clone(&self.session)
    }

    fn limits(&self) -> Limits {
        self.session.limits
    }

    fn broker(&self) -> Option<BrokerInfo> {
        self.session.publisher.broker()
    }

    async fn describe(session: &Arc<Session>) -> Result<Description> {
        Ok(describe(session.publisher.agreed(), session.is_blocked()))
    }

    /// Binds the node's queue to these channels.
    async fn subscribe(session: &Arc<Session>, channels: &[Channel]) -> Result<()> {
        let bind = |queue, exchange, key| {
            session.consumer.channel.queue_bind(queue, exchange, key, Default::default(), FieldTable::default())
        };
        session.for_each(channels, bind).await
    }

    async fn unsubscribe(session: &Arc<Session>, channels: &[Channel]) -> Result<()> {
        let unbind =
            |queue, exchange, key| session.consumer.channel.queue_unbind(queue, exchange, key, FieldTable::default());
        session.for_each(channels, unbind).await
    }

    async fn publish(session: &Arc<Session>, frames: &[Outgoing]) -> Result<(), PublishError> {
        let unknown = |text: &str| Err(PublishError::Unknown(Error::unavailable(text)));
        session.forget_confirmations();
        let confirmed = async {
            for mut call in handed_over(frames.iter().map(|frame| session.send(frame))) {
                call.as_mut().await;
                let Some(confirmation) = call.as_mut().take_output() else { continue };
                // An error, too, for what is denied: the broker ends the channel, and the client says so of all that waits.
                if confirmation.map_err(|cause| PublishError::Unknown(error::broken(cause)))?.is_nack() {
                    return unknown("the broker could not keep a message");
                }
            }
            Ok(())
        };
        let mut blocked = session.blocked.subscribe();
        tokio::select! {
            biased; // nothing is sent to a broker that does not read; a confirmation says more than the end that follows it
            _ = blocked.wait_for(|blocked| *blocked) => unknown(BLOCKED),
            done = confirmed => done,
            reason = session.over.tripped() => unknown(&reason.to_string()),
        }
    }

    async fn hold(&mut self, inbox: &Inbox) -> Reason {
        let Self { session, intake, events, most } = self;
        let up = || {
            if !session.is_blocked() {
                inbox.up(session.limits); // else it is told when the broker takes messages
            }
        };
        let why = tokio::select! {
            why = intake.run(inbox, up) => why,
            cause = session.follow(events, inbox) => {
                if let Some(limit) = error::most(&cause) {
                    most.fetch_min(limit, Ordering::Relaxed); // it is for the next link
                }
                format!("the connection to the broker: {cause}")
            }
            () = session.publisher.silence(None) => "the connection that publishes is silent".to_owned(),
            () = session.consumer.silence(Some(inbox)) => "the connection that receives is silent".to_owned(),
        };
        why.into()
    }

    fn expires(&self) -> Option<Instant> {
        self.session.amqp.expires()
    }

    /// On both connections. A blocked one does not read: what it was given would be old when it does.
    async fn renew(session: &Arc<Session>) -> Result<Renewal> {
        if session.is_blocked() {
            return Err(Error::unavailable(BLOCKED));
        }
        let login = session.amqp.credentials.login().await?;
        let secret = login.password.unwrap_or_default();
        tokio::try_join!(session.publisher.renew(&secret), session.consumer.renew(&secret))?;
        Ok(Renewal::Until(login.expires))
    }

    async fn quit(self) {
        let Session { publisher, consumer, queue, over, .. } = &*self.session;
        over.trip("closed"); // for calls that are under way
        // With the connection it would go as well, a moment later.
        let _ = timeout(CONFIRM / 5, consumer.channel.queue_delete(queue.clone(), Default::default())).await;
        tokio::join!(publisher.close(), consumer.close());
    }
}

impl Drop for Line {
    /// For calls that are under way.
    fn drop(&mut self) {
        self.session.over.trip("the link is made again");
    }
}

impl Line {
    /// Connects to this broker, which was reached by this stream, and makes there what a node needs. Nothing is bound yet.
    async fn to(
        host: &HostPort,
        stream: TcpStream,
        amqp: &Amqp,
        most: &Arc<AtomicUsize>,
        over: &Breaker,
    ) -> Result<Self> {
        let second = async { Connection::open(amqp, host, Connection::dial(host).await?).await };
        let (publisher, consumer) = tokio::try_join!(Connection::open(amqp, host, stream), second)?;
        let events = select(publisher.events(), consumer.events()).boxed();
        let prepared = async {
            let confirms = publisher.channel.confirm_select(ConfirmSelectOptions::default()).await;
            confirms.map_err(|cause| error::preparing(amqp, cause))?;
            Intake::open(amqp, &consumer).await
        };
        let late = |_| Err(Error::unavailable("the broker did not reply in time"));
        let intake = timeout(CONFIRM, prepared).await.unwrap_or_else(late)?;
        let session = Session {
            publisher,
            consumer,
            amqp: amqp.clone(),
            queue: intake.queue.clone(),
            // All messages of a batch are handed to the client in one poll, so batches keep their order.
            limits: Limits::max_frame(most.load(Ordering::Relaxed)).in_flight(2),
            blocked: watch::Sender::new(false),
            over: over.clone(),
        };
        Ok(Self { session: Arc::new(session), intake, events, most: Arc::clone(most) })
    }
}

impl Session {
    /// Whether the broker takes no messages for now.
    fn is_blocked(&self) -> bool {
        *self.blocked.borrow()
    }

    /// Makes a call for each of these channels, all in one round trip.
    async fn for_each<F>(
        &self,
        channels: &[Channel],
        call: impl Fn(ShortString, ShortString, ShortString) -> F,
    ) -> Result<()>
    where
        F: Future<Output = Result<(), lapin::Error>>,
    {
        let calls = channels.iter().map(|channel| call(self.queue.clone(), self.amqp.exchange.clone(), key(channel)));
        // The client is given them in this order, nearly all of them at once.
        let mut calls: FuturesOrdered<_> = calls.collect();
        let all = async {
            // Each: a cluster of brokers takes milliseconds for one binding, and there may be thousands.
            let late = |_| Error::unavailable("the broker does not confirm");
            while let Some(done) = timeout(CONFIRM, calls.next()).await.map_err(late)? {
                done.map_err(error::broken)?;
            }
            Ok(())
        };
        tokio::select! {
            done = all => done,
            reason = self.over.tripped() => Err(Error::unavailable(reason.to_string())),
        }
    }

    async fn send(&self, frame: &Outgoing) -> Result<Confirmation, lapin::Error> {
        let (exchange, key) = (self.amqp.exchange.clone(), key(&frame.channel));
        let (options, properties) = (BasicPublishOptions::default(), BasicProperties::default());
        self.publisher.channel.basic_publish(exchange, key, options, &frame.payload, properties).await?.await
    }

    /// The client keeps the confirmations that nobody waited for, until it is asked for them.
    fn forget_confirmations(&self) {
        // Twice: the first call may begin to wait for the last confirmation, the second takes what is there.
        for _ in 0..2 {
            let _ = self.publisher.channel.wait_for_confirms().now_or_never();
        }
    }

    /// Tells what the client tells of the connections; returns why one has ended.
    async fn follow(&self, events: &mut BoxStream<'static, Event>, inbox: &Inbox) -> lapin::Error {
        loop {
            match events.next().await {
                Some(Event::ConnectionBlocked(_)) => {
                    self.blocked.send_replace(true);
                    inbox.down(BLOCKED);
                }
                Some(Event::ConnectionUnblocked) => {
                    self.blocked.send_replace(false);
                    inbox.up(self.limits);
                }
                Some(Event::Error(cause)) => return cause,
                Some(_) => {}
                None => std::future::pending().await, // the connections have ended, and are silent
            }
        }
    }
}

/// Hands calls to the client: each is polled once, which puts its frames into the client's queue, before any is awaited. In this
/// order, whatever the threads do: one of `futures`' collections may stop half-way through the first round.
fn handed_over<F: Future>(calls: impl Iterator<Item = F>) -> Vec<Pin<Box<MaybeDone<F>>>> {
    let mut handed: Vec<_> = calls.map(|call| Box::pin(maybe_done(call))).collect();
    for call in &mut handed {
        let _ = call.as_mut().now_or_never();
    }
    handed
}

/// The routing key of this channel.
fn key(channel: &Channel) -> ShortString {
    ShortString::try_new(channel.as_str()).expect("the name of a channel has at most 63 bytes")
}
