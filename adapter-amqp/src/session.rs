//! What a node does on the broker while a link lasts: it binds, publishes, and learns what became of it.
//!
//! Publishing has a connection of its own, because a broker that is short of memory or disk stops reading from those that
//! publish: what has arrived is still taken and acknowledged by the other one, which is what gives the memory back.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::{MaybeDone, maybe_done};
use lapin::options::BasicPublishOptions;
use lapin::types::{FieldTable, ShortString};
use lapin::{BasicProperties, Confirmation, Event};
use roomcast_core::backend::{
    Breaker, Channel, Credentials, Description, HostPort, Inbox, Limits, Outgoing, PublishError, Reason, Renewal,
};
use roomcast_core::{Error, Result};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::belongings::Belongings;
use crate::config::{Amqp, short};
use crate::connection::{Connection, Events, next};
use crate::description::describe;
use crate::error;
use crate::intake::Intake;

/// What fits one frame of AMQP at the broker's usual `frame_max` of 128 KiB. Larger messages are not faster, and what waits
/// for a slow node is bounded in messages: 500 of these are 64 MiB.
const MAX_FRAME: usize = (128 << 10) - 8;

/// How long the broker may take to confirm; long after the silence of a dead one was noticed.
const CONFIRM: Duration = Duration::from_secs(5);

pub(crate) const BLOCKED: &str = "the broker accepts no messages now: it is short of memory or disk space";

/// The largest message that the broker takes, as far as it has said so. It outlives the session in which that is learned.
#[derive(Clone, Debug)]
pub(crate) struct Most(Arc<AtomicUsize>);

impl Default for Most {
    fn default() -> Self {
        Self(Arc::new(AtomicUsize::new(MAX_FRAME)))
    }
}

impl Most {
    fn limits(&self) -> Limits {
        // All messages of a batch are handed to the client in one poll, so batches keep their order.
        Limits::max_frame(self.0.load(Ordering::Relaxed)).in_flight(2)
    }

    /// Takes note of a refusal that names it.
    fn learn(&self, cause: &lapin::Error) {
        if let Some(most) = error::most(cause) {
            self.0.fetch_min(most, Ordering::Relaxed);
        }
    }
}

/// What a node uses a broker by while a link lasts.
pub(crate) struct Session {
    publisher: Connection,
    consumer: Connection,
    has: Belongings,
    limits: Limits,
    /// What is learned for the next session.
    most: Most,
    credentials: Credentials,
    /// When the login of both connections ends.
    pub(crate) expires: Option<Instant>,
    /// Why the session ended.
    over: Breaker,
    blocked: watch::Sender<bool>,
    /// The caller of a publish did not wait for its end.
    forsaken: AtomicBool,
}

impl Session {
    /// Connects to this broker, which was reached by this stream, and makes there what a node needs. Nothing is bound yet.
    ///
    /// # Errors
    /// `Config`, `Denied` or `Unavailable`.
    pub(crate) async fn open(amqp: &Amqp, host: &HostPort, stream: TcpStream, most: Most) -> Result<(Self, Intake)> {
        let second = async { Connection::open(amqp, host, Connection::dial(host).await?).await };
        let (publisher, consumer) = tokio::try_join!(Connection::open(amqp, host, stream), second)?;
        let prepared = timeout(CONFIRM, Self::prepare(amqp, publisher, consumer, most)).await;
        prepared.unwrap_or_else(|_| Err(Error::unavailable("the broker did not reply in time")))
    }

    async fn prepare(amqp: &Amqp, publisher: Connection, consumer: Connection, most: Most) -> Result<(Self, Intake)> {
        let events = [publisher.events(), consumer.events()];
        let (has, consumers) = Belongings::make(amqp, &publisher, &consumer).await?;
        let session = Self {
            publisher,
            consumer,
            has,
            limits: most.limits(),
            most,
            credentials: amqp.credentials.clone(),
            expires: amqp.expires(),
            over: Breaker::default(),
            blocked: watch::Sender::new(false),
            forsaken: AtomicBool::new(false),
        };
        Ok((session, Intake::new(consumers, events, amqp.prefetch)))
    }

    async fn send(&self, key: ShortString, payload: &[u8]) -> Result<Confirmation, lapin::Error> {
        let options = BasicPublishOptions::default();
        let sent = self.has.publish.basic_publish(
            self.has.exchange.clone(),
            key,
            options,
            payload,
            BasicProperties::default(),
        );
        sent.await?.await
    }

    /// What the broker takes on this link.
    pub(crate) fn limits(&self) -> Limits {
        self.limits
    }

    /// Whether it is still of use.
    pub(crate) fn is_alive(&self) -> bool {
        !self.over.is_tripped()
    }

    /// What the broker says of itself.
    pub(crate) fn describe(&self) -> Description {
        describe(self.publisher.broker(), self.publisher.agreed(), self.is_blocked())
    }

    /// Whether the broker takes no messages for now.
    pub(crate) fn is_blocked(&self) -> bool {
        *self.blocked.borrow()
    }

    /// Gives the session up.
    pub(crate) fn end(&self, reason: impl Into<Reason>) {
        self.over.trip(reason);
    }

    /// Waits until it was given up; returns why.
    pub(crate) async fn ended(&self) -> String {
        self.over.tripped().await.to_string()
    }

    /// Binds our queue to these channels, all in one round trip.
    ///
    /// # Cancel safety
    /// Safe: what was bound stays so.
    pub(crate) async fn bind(&self, channels: &[Channel]) -> Result<()> {
        let bind = |queue, exchange, key| {
            self.has.control.queue_bind(queue, exchange, key, Default::default(), FieldTable::default())
        };
        self.for_each(channels, bind).await
    }

    /// Takes these bindings back.
    pub(crate) async fn unbind(&self, channels: &[Channel]) -> Result<()> {
        let unbind = |queue, exchange, key| self.has.control.queue_unbind(queue, exchange, key, FieldTable::default());
        self.for_each(channels, unbind).await
    }

    async fn for_each<F>(
        &self,
        channels: &[Channel],
        call: impl Fn(ShortString, ShortString, ShortString) -> F,
    ) -> Result<()>
    where
        F: Future<Output = Result<(), lapin::Error>>,
    {
        let keys = channels.iter().map(|channel| short(channel.as_str())).collect::<Result<Vec<_>>>()?;
        let calls = keys.into_iter().map(|key| call(self.has.queue.clone(), self.has.exchange.clone(), key));
        let all = async {
            for mut call in handed_over(calls) {
                // Each: a cluster of brokers takes milliseconds for one binding, and there may be thousands.
                timeout(CONFIRM, call.as_mut()).await.map_err(|_| Error::unavailable("the broker does not confirm"))?;
                call.as_mut().take_output().unwrap_or(Ok(())).map_err(error::broken)?;
            }
            Ok(())
        };
        tokio::select! {
            done = all => done,
            reason = self.ended() => Err(Error::unavailable(reason)),
        }
    }

    /// Hands the frames to the broker, and waits until it has them all.
    ///
    /// # Cancel safety
    /// Safe; any of the frames may have been sent then.
    pub(crate) async fn publish(&self, frames: &[Outgoing]) -> Result<(), PublishError> {
        let unknown = |text: String| PublishError::Unknown(Error::unavailable(text));
        if self.is_blocked() {
            return Err(unknown(BLOCKED.to_owned()));
        }
        self.forget_forsaken();
        let keys = frames.iter().map(|frame| short(frame.channel.as_str())).collect::<Result<Vec<_>>>();
        let keys = keys.map_err(PublishError::Unknown)?;
        let calls = keys.into_iter().zip(frames).map(|(key, frame)| self.send(key, &frame.payload));
        let all = async {
            let forsaken = Forsaken(&self.forsaken);
            for mut call in handed_over(calls) {
                call.as_mut().await;
                match call.as_mut().take_output() {
                    Some(Ok(confirmation)) if confirmation.is_nack() => {
                        return Err(unknown("the broker could not keep a message".to_owned()));
                    }
                    // Also for what is denied: the broker ends the channel, and the client says so of all that waits.
                    Some(Err(cause)) => {
                        self.most.learn(&cause);
                        return Err(PublishError::Unknown(error::broken(cause)));
                    }
                    _ => {}
                }
            }
            std::mem::forget(forsaken); // every confirmation was taken
            Ok(())
        };
        let mut blocked = self.blocked.subscribe();
        tokio::select! {
            biased; // an answer says more than the end that follows it
            done = all => done,
            reason = self.ended() => Err(unknown(reason)),
            _ = blocked.wait_for(|blocked| *blocked) => Err(unknown(BLOCKED.to_owned())),
        }
    }

    /// The client keeps confirmations that nobody waited for until it is asked for them.
    fn forget_forsaken(&self) {
        if self.forsaken.swap(false, Ordering::AcqRel) {
            // Twice: the first call may begin to wait for the last confirmation, the second takes what is there.
            let _ = self.has.publish.wait_for_confirms().now_or_never();
            let _ = self.has.publish.wait_for_confirms().now_or_never();
        }
    }

    /// Tells that everything is received, unless the broker takes no messages: then it is told when it does.
    pub(crate) fn tell_up(&self, inbox: &Inbox) {
        if !self.is_blocked() {
            inbox.up(self.limits);
        }
    }

    /// Follows what the client tells of the connection that publishes; returns why the session ended.
    pub(crate) async fn follow_publisher(&self, events: &mut Events, inbox: &Inbox) -> String {
        loop {
            match next(events).await {
                Event::ConnectionBlocked(_) => {
                    self.blocked.send_replace(true);
                    inbox.down(BLOCKED);
                }
                Event::ConnectionUnblocked => {
                    self.blocked.send_replace(false);
                    inbox.up(self.limits);
                }
                Event::Error(cause) => {
                    self.most.learn(&cause);
                    return format!("the connection that publishes: {cause}");
                }
                _ => {}
            }
        }
    }

    /// Waits until one of the connections is dead; returns which.
    pub(crate) async fn silence(&self, inbox: &Inbox) -> String {
        tokio::select! {
            why = self.publisher.silence(&self.has.publish, None) => format!("the connection that publishes {why}"),
            why = self.consumer.silence(&self.has.control, Some(inbox)) => format!("the connection that receives {why}"),
        }
    }

    /// Logs in with the next login on both connections. A blocked one does not read: what it was given would be old when it does.
    ///
    /// # Errors
    /// `Unavailable` while the broker takes no messages, and when a connection has ended.
    ///
    /// # Cancel safety
    /// Safe.
    pub(crate) async fn renew(&self) -> Result<Renewal> {
        if self.is_blocked() {
            return Err(Error::unavailable(BLOCKED));
        }
        let login = self.credentials.login().await?;
        let secret = login.password.unwrap_or_default();
        tokio::try_join!(self.publisher.renew(&secret), self.consumer.renew(&secret))?;
        Ok(Renewal::Until(login.expires))
    }

    /// Leaves nothing on the broker, and says goodbye.
    pub(crate) async fn close(&self) {
        if self.is_alive() {
            // With the connection it would go as well, a moment later.
            let _ =
                timeout(CONFIRM / 5, self.has.control.queue_delete(self.has.queue.clone(), Default::default())).await;
            tokio::join!(self.publisher.close(), self.consumer.close());
        }
        self.end("closed");
    }
}

/// Says, if it is dropped before the end, that confirmations may be left.
struct Forsaken<'a>(&'a AtomicBool);

impl Drop for Forsaken<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// Hands calls to the client, in order: each is polled once, which puts its frames into the client's queue, and none is
/// awaited before all are there.
fn handed_over<F: Future>(calls: impl Iterator<Item = F>) -> Vec<Pin<Box<MaybeDone<F>>>> {
    let mut handed: Vec<_> = calls.map(|call| Box::pin(maybe_done(call))).collect();
    for call in &mut handed {
        let _ = call.as_mut().now_or_never();
    }
    handed
}
