//! One connection to one broker, from its handshake to its end.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::{FutureExt, Stream};
use lapin::{AsyncTcpStream, Channel, Configuration, ConnectionProperties, Event};
use roomcast_core::backend::{BrokerInfo, HostPort, Inbox, Pulse, Silence, Wire, tcp};
use roomcast_core::{Error, Result};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_util::compat::TokioAsyncReadCompatExt;
use tokio_util::io::InspectReader;

use crate::config::Amqp;
use crate::error;
use crate::greeting::{Said, ear};
use crate::runtime::runtime;

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

/// One connection to one broker. Dropping it cuts it.
pub(crate) struct Connection {
    client: lapin::Connection,
    /// For all but what is delivered.
    pub(crate) channel: Channel,
    broker: Said,
    cut: CutOnDrop,
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
            let wire = Wire::over(stream, amqp.tls.as_ref(), &host.host, Arc::clone(&pulse)).await;
            let wire = wire.map_err(error::tls)?;
            tokio::select! {
                opened = Self::handshake(amqp, host, wire, Arc::clone(&pulse)) => opened,
                () = DEAF.of(&pulse, async || {}, |_| false) => Err(Error::unavailable("the broker is silent")),
            }
        };
        let late = |_| Err(Error::unavailable("the broker did not reply in time"));
        timeout(HANDSHAKE, opened).await.unwrap_or_else(late)
    }

    async fn handshake(amqp: &Amqp, host: &HostPort, wire: Wire, pulse: Arc<Pulse>) -> Result<Self> {
        let (cut, broker) = (CutOnDrop(Arc::clone(&pulse)), Said::default());
        let socket = Mutex::new(Some(InspectReader::new(wire, ear(Arc::clone(&broker))).compat()));
        // Called once: the client is told to make no second attempt.
        let connect = async move |_, _| {
            let socket = socket.lock().unwrap_or_else(PoisonError::into_inner).take();
            socket.map(AsyncTcpStream::Plain).ok_or_else(|| io::Error::from(io::ErrorKind::ConnectionAborted).into())
        };
        let named = ConnectionProperties::default().with_connection_name(amqp.name.clone().unwrap_or_default().into());
        let opened = async {
            let client = lapin::Connection::connector(amqp.uri(host), runtime(pulse), connect, named).await?;
            let channel = client.create_channel().await?;
            Ok(Self { client, channel, broker, cut })
        };
        opened.await.map_err(|cause| error::connecting(amqp, cause))
    }

    /// What the broker said of itself.
    pub(crate) fn broker(&self) -> Option<BrokerInfo> {
        self.broker.get().cloned()
    }

    /// What was agreed upon with it.
    pub(crate) fn agreed(&self) -> &Configuration {
        self.client.configuration()
    }

    /// What the client tells of it from now on; each event goes to one of those who ask.
    pub(crate) fn events(&self) -> impl Stream<Item = Event> + Send + 'static {
        self.client.events_listener()
    }

    /// Another channel. The client closes one that nobody holds.
    pub(crate) async fn another_channel(&self) -> Result<Channel, lapin::Error> {
        self.client.create_channel().await
    }

    /// Returns when the broker has been silent for too long although it was asked. A blocked connection is not asked, for the
    /// broker does not read from it: the other one then tells whether it lives. `inbox` is for a connection that receives: what
    /// comes in may be parts of messages.
    pub(crate) async fn silence(&self, inbox: Option<&Inbox>) {
        // Any question has an answer; this one changes nothing, since consumers keep the limit they began with. Polled once: that
        // sends it. What becomes of it is seen by its bytes.
        let ask = async || drop(self.channel.basic_qos(1, Default::default()).now_or_never());
        let excused = |bytes| {
            if let Some(inbox) = inbox.filter(|_| bytes > PARTS) {
                inbox.alive();
            }
            self.client.status().connected() && self.client.status().blocked()
        };
        SILENCE.of(&self.cut.0, ask, excused).await;
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
        self.cut.0.cut();
    }
}
