//! The link: one connection, replaced by another when it breaks.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::{future, mem, time::Duration};

use roomcast_core::backend::{
    Backend, Backoff, Capabilities, Channel, Connect, Inbox, Limits, Outgoing, PublishError, Reason, async_trait,
};
use roomcast_core::{Error, ErrorKind, Result};
use rumqttc::{
    AsyncClient, ClientError, ConnectReturnCode, ConnectionError, Event, EventLoop, MqttOptions, Packet, QoS,
    SubscribeFilter, SubscribeReasonCode,
};
use tokio::sync::{Notify, oneshot};
use tokio::time::timeout;

const LIMITS: Limits = Limits::max_frame(256 << 10);
/// What MQTT puts around a payload is less: a topic of 63 bytes and a few more. A list of subscriptions has to fit, too.
const PACKET: usize = LIMITS.max_frame + (64 << 10);
/// The client takes a link for dead when a ping is not answered before the next, even if it is busy: not too short. The broker
/// drops us after one and a half of these without a ping, so that a pause of our reading is never a long one.
const KEEP_ALIVE: Duration = Duration::from_secs(10);
/// How long a broker may take for a new link.
const PATIENCE: Duration = Duration::from_secs(2);
/// What the system holds to send, in bytes. The client takes turns to write and to read, and waits for room there: on a thin link
/// it has to get its turns in time. It bounds what goes out in one round trip, too.
const SENDING: u32 = 256 << 10;
/// How many requests may wait for the client to write them.
const QUEUE: usize = 4096;

/// The configuration: where the broker is, `mqtt://user:password@host:port`.
#[derive(Clone)]
pub struct Mqtt(MqttOptions);

impl Mqtt {
    /// A broker by its URL.
    ///
    /// # Errors
    /// `Config` when it is no URL of a broker.
    pub fn from_url(url: &str) -> Result<Self> {
        // Without a client id the broker gives each connection one, and with that a session of its own.
        let url = format!("{url}{}client_id=", if url.contains('?') { '&' } else { '?' });
        let options = MqttOptions::parse_url(url);
        let mut options =
            options.map_err(|error| Error::new(ErrorKind::Config, "no URL of an MQTT broker").with_source(error))?;
        options.set_clean_session(true).set_keep_alive(KEEP_ALIVE).set_max_packet_size(PACKET, PACKET);
        Ok(Self(options))
    }

    /// A new connection, once the broker has accepted it, with nothing subscribed.
    async fn open(&self, link: &Link) -> Result<EventLoop> {
        let (client, mut events) = AsyncClient::new(self.0.clone(), QUEUE);
        events.network_options.set_tcp_nodelay(true);
        events.network_options.set_tcp_send_buffer_size(SENDING);
        timeout(PATIENCE, events.poll()).await.map_err(unavailable)?.map_err(refused)?;
        *link.session() = Some(Session { client, asked: Default::default() });
        Ok(events)
    }
}

#[async_trait]
impl Connect for Mqtt {
    async fn connect(&self, inbox: Inbox) -> Result<Arc<dyn Backend>> {
        let link = Arc::new(Link::default());
        let events = self.open(&link).await?;
        let (mqtt, listening) = (self.clone(), Arc::clone(&link));
        tokio::spawn(async move {
            tokio::select! {
                () = inbox.closed() => {}
                () = listening.closed.notified() => {}
                () = listening.listen(&mqtt, &inbox, events) => {}
            }
            *listening.session() = None; // with which everybody who waits is answered
        });
        Ok(link)
    }
}

#[derive(Default)]
struct Link {
    /// The connection as it is now; none while it is down. Locked over no await.
    session: Mutex<Option<Session>>,
    reset: Notify,
    closed: Notify,
}

struct Session {
    client: AsyncClient,
    /// Who waits for the broker's word, by what was asked: it answers requests of a kind in their order.
    asked: [VecDeque<oneshot::Sender<bool>>; 3],
}

#[derive(Clone, Copy)]
enum Kind {
    Publish,
    Subscribe,
    Unsubscribe,
}

impl Link {
    fn session(&self) -> MutexGuard<'_, Option<Session>> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands the client a request; the answer is dropped with the connection.
    fn ask(
        &self,
        kind: Kind,
        request: impl FnOnce(&AsyncClient) -> Result<(), ClientError>,
    ) -> Result<oneshot::Receiver<bool>> {
        let (answer, answered) = oneshot::channel();
        let mut session = self.session();
        let session = session.as_mut().ok_or_else(|| Error::new(ErrorKind::Unavailable, "the link is down"))?;
        request(&session.client).map_err(unavailable)?;
        session.asked[kind as usize].push_back(answer);
        Ok(answered)
    }

    fn answer(&self, kind: Kind, granted: bool) {
        let waiting = self.session().as_mut().and_then(|session| session.asked[kind as usize].pop_front());
        let _ = waiting.map(|waiting| waiting.send(granted)); // whoever asked may have gone
    }

    /// Hands over what arrives until the connection breaks: why it did. To stop reading is to pause the broker.
    async fn serve(&self, mut events: EventLoop, inbox: &Inbox) -> Reason {
        loop {
            match events.poll().await {
                Ok(Event::Incoming(Packet::Publish(message))) => {
                    while inbox.frame(&message.topic, message.payload.clone()).is_err() {
                        inbox.ready().await;
                    }
                }
                Ok(Event::Incoming(Packet::PubAck(_))) => self.answer(Kind::Publish, true),
                Ok(Event::Incoming(Packet::SubAck(answer))) => {
                    self.answer(Kind::Subscribe, !answer.return_codes.contains(&SubscribeReasonCode::Failure));
                }
                Ok(Event::Incoming(Packet::UnsubAck(_))) => self.answer(Kind::Unsubscribe, true),
                Ok(_) => {}
                Err(error) => return error.to_string().into(),
            }
        }
    }

    /// Serves one connection after the other, for ever.
    async fn listen(&self, mqtt: &Mqtt, inbox: &Inbox, mut events: EventLoop) {
        let (mut up, mut backoff) = (true, Backoff::default());
        backoff.connected();
        loop {
            let restore = async {
                if !up {
                    // Read when `ask` uses the new link: a channel that is wanted since then is asked for by `subscribe`.
                    timeout(PATIENCE, self.subscribe(&inbox.channels())).await.map_err(unavailable)??;
                    inbox.up(LIMITS);
                    up = true;
                    backoff.connected();
                }
                future::pending::<Result<()>>().await
            };
            let reason = tokio::select! {
                reason = self.serve(events, inbox) => reason,
                failed = restore => format!("the channels are not confirmed: {failed:?}").into(),
                () = self.reset.notified() => "the core found it dead".into(),
            };
            *self.session() = None;
            if mem::take(&mut up) {
                inbox.down(reason);
            }
            events = loop {
                backoff.wait().await;
                if let Ok(events) = mqtt.open(self).await {
                    break events;
                }
            };
        }
    }
}

#[async_trait]
impl Backend for Link {
    fn capabilities(&self) -> Capabilities {
        Capabilities::default() // MQTT promises the order within a topic alone
    }

    fn limits(&self) -> Limits {
        LIMITS
    }

    async fn subscribe(&self, channels: &[Channel]) -> Result<()> {
        if channels.is_empty() {
            return Ok(()); // MQTT has no such request
        }
        let filters = channels.iter().map(|channel| SubscribeFilter::new(channel.to_string(), QoS::AtLeastOnce));
        confirmed(self.ask(Kind::Subscribe, |client| client.try_subscribe_many(filters))?).await
    }

    async fn unsubscribe(&self, channels: &[Channel]) -> Result<()> {
        for channel in channels {
            confirmed(self.ask(Kind::Unsubscribe, |client| client.try_unsubscribe(channel.as_str()))?).await?;
        }
        Ok(())
    }

    async fn publish(&self, frames: &[Outgoing]) -> Result<(), PublishError> {
        let too_large = frames.iter().position(|frame| frame.payload.len() > LIMITS.max_frame);
        let mut answers = Vec::with_capacity(frames.len());
        for Outgoing { channel, payload, .. } in &frames[..too_large.unwrap_or(frames.len())] {
            let publish =
                |client: &AsyncClient| client.try_publish(channel.as_str(), QoS::AtLeastOnce, false, payload.clone());
            answers.push(self.ask(Kind::Publish, publish).map_err(PublishError::Unknown)?);
        }
        for answer in answers {
            confirmed(answer).await.map_err(PublishError::Unknown)?;
        }
        too_large.map_or(Ok(()), |index| Err(PublishError::Refused { index, kind: ErrorKind::TooLarge }))
    }

    async fn reset(&self, _: Reason) {
        self.reset.notify_one();
    }

    async fn close(&self) -> Result<()> {
        self.closed.notify_one();
        Ok(())
    }
}

async fn confirmed(answered: oneshot::Receiver<bool>) -> Result<()> {
    match answered.await.map_err(unavailable)? {
        true => Ok(()),
        false => Err(Error::new(ErrorKind::Denied, "the broker refuses a subscription")),
    }
}

fn unavailable(cause: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(ErrorKind::Unavailable, "the broker cannot be reached").with_source(cause)
}

fn refused(cause: ConnectionError) -> Error {
    use ConnectReturnCode::{BadUserNamePassword, NotAuthorized};
    match cause {
        ConnectionError::ConnectionRefused(BadUserNamePassword | NotAuthorized) => {
            Error::new(ErrorKind::Denied, "the broker refused the login").with_source(cause)
        }
        _ => unavailable(cause),
    }
}
