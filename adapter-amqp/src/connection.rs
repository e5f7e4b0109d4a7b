//! One connection to one broker, from its handshake to its end.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_rs::Runtime;
use futures_util::{FutureExt, Stream, StreamExt};
use lapin::{AsyncTcpStream, Channel, Configuration, ConnectionProperties, Event};
use roomcast_core::backend::{self, BrokerInfo, HostPort, Inbox, Pulse, Silence, tcp};
use roomcast_core::{Error, Result};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::config::Amqp;
use crate::error;
use crate::greeting::{Greeting, Said};
use crate::runtime::Kit;
use crate::wire::Wire;

/// How often is looked whether bytes have come.
const TICK: Duration = Duration::from_millis(500);
/// A broker that is silent in spite of a question is given up after three seconds.
const SILENCE: Silence = Silence::new(TICK, TICK, 5);
/// More than this in one tick is more than heartbeats and answers to our own questions: parts of messages.
const PARTS: u64 = 4096;
/// How long a broker may take from DNS to being reached.
const DIAL: Duration = Duration::from_millis(2500);
/// How long it may take from there to being ready, and after which silence during the login it counts as dead.
const HANDSHAKE: Duration = Duration::from_secs(5);
const DEAF: Silence = Silence::new(TICK, TICK, 3);
/// How long it may take to say goodbye.
const GOODBYE: Duration = Duration::from_secs(1);

/// What the client tells of a connection.
pub(crate) type Events = Pin<Box<dyn Stream<Item = Event> + Send>>;

/// One connection to one broker. Dropping it cuts it.
pub(crate) struct Connection {
    client: lapin::Connection,
    broker: Said,
    pulse: Arc<Pulse>,
    _cut: CutOnDrop,
}

/// Ends a connection whose owner is gone, also one whose handshake was given up half-way.
struct CutOnDrop(Arc<Pulse>);

impl Drop for CutOnDrop {
    fn drop(&mut self) {
        self.0.cut();
    }
}

impl Connection {
    /// Reaches this broker.
    ///
    /// # Errors
    /// `Unavailable`.
    pub(crate) async fn dial(host: &HostPort) -> Result<TcpStream> {
        let reached = timeout(DIAL, tcp(&host.host, host.port, DIAL)).await;
        reached.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())).map_err(error::unreachable)
    }

    /// Logs in to the broker at the other end of this stream, and opens the virtual host.
    ///
    /// # Errors
    /// `Config`, `Denied` or `Unavailable`.
    pub(crate) async fn open(amqp: &Amqp, host: &HostPort, stream: TcpStream) -> Result<Self> {
        let opened = async {
            let pulse = Arc::new(Pulse::default());
            let wire = backend::Wire::over(stream, amqp.tls.as_ref(), &host.host, Arc::clone(&pulse)).await;
            let broker = Said::default();
            let wire = Wire { stream: wire.map_err(error::tls)?, greeting: Greeting::new(Arc::clone(&broker)) };
            tokio::select! {
                opened = Self::handshake(amqp, host, wire, broker, Arc::clone(&pulse)) => opened,
                () = DEAF.of(&pulse, async || {}, |_| false) => Err(Error::unavailable("the broker is silent")),
            }
        };
        let late = |_| Err(Error::unavailable("the broker did not reply in time"));
        timeout(HANDSHAKE, opened).await.unwrap_or_else(late)
    }

    async fn handshake(amqp: &Amqp, host: &HostPort, wire: Wire, broker: Said, pulse: Arc<Pulse>) -> Result<Self> {
        let cut = CutOnDrop(Arc::clone(&pulse));
        let wire = Mutex::new(Some(wire));
        // Called once: the client is told to make no second attempt.
        let connect = async move |_, _| {
            let wire = wire.lock().unwrap_or_else(PoisonError::into_inner).take();
            wire.map(AsyncTcpStream::Plain).ok_or_else(|| io::Error::from(io::ErrorKind::ConnectionAborted).into())
        };
        let options =
            ConnectionProperties::default().with_connection_name(amqp.name.clone().unwrap_or_default().into());
        let runtime = Runtime::new(Kit::new(Arc::clone(&pulse)));
        let client = lapin::Connection::connector(amqp.uri(host), runtime, connect, options).await;
        let client = client.map_err(|cause| error::connecting(amqp, cause))?;
        Ok(Self { client, broker, pulse, _cut: cut })
    }

    /// What the broker said of itself.
    pub(crate) fn broker(&self) -> Option<BrokerInfo> {
        self.broker.get()?.clone()
    }

    /// What was agreed upon with it.
    pub(crate) fn agreed(&self) -> &Configuration {
        self.client.configuration()
    }

    pub(crate) fn events(&self) -> Events {
        Box::pin(self.client.events_listener())
    }

    pub(crate) async fn channel(&self) -> Result<Channel, lapin::Error> {
        self.client.create_channel().await
    }

    /// Returns when the connection or this channel has ended, or the broker has been silent for too long although it was
    /// asked; returns which. A blocked connection is not asked, for the broker does not read from it: the other one then
    /// tells whether it lives. `inbox` is for a connection that receives: what comes in may be parts of messages.
    pub(crate) async fn silence(&self, channel: &Channel, inbox: Option<&Inbox>) -> &'static str {
        // Any question has an answer; this one changes nothing, since consumers keep the limit they began with. Polled once: that
        // sends it. What becomes of it is seen by its bytes.
        let ask = async || drop(channel.basic_qos(1, Default::default()).now_or_never());
        let excused = |bytes| {
            if let Some(inbox) = inbox.filter(|_| bytes > PARTS) {
                inbox.alive();
            }
            self.client.status().blocked()
        };
        // Events say so too, and more; this is for those that got lost.
        let ended = async {
            while self.client.status().connected() && channel.status().connected() {
                sleep(TICK).await;
            }
        };
        tokio::select! {
            () = SILENCE.of(&self.pulse, ask, excused) => "is silent",
            () = ended => "has ended",
        }
    }

    /// Gives the broker the next secret of the login that the connection was made with. One that it refuses ends the connection.
    ///
    /// # Errors
    /// `Unavailable` when the connection has ended.
    pub(crate) async fn renew(&self, secret: &str) -> Result<()> {
        self.client.update_secret(secret.into(), "it ends soon".into()).await.map_err(error::broken)
    }

    /// Says goodbye, and ends it.
    pub(crate) async fn close(&self) {
        let goodbye = self.client.close(200, "closed".into());
        let _ = timeout(GOODBYE, goodbye).await; // it ends without a goodbye then
        self.pulse.cut();
    }
}

/// The next event; never, when there are no more.
pub(crate) async fn next(events: &mut Events) -> Event {
    match events.next().await {
        Some(event) => event,
        None => std::future::pending().await,
    }
}
