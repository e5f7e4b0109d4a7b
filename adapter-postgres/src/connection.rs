//! One connection, with the task that drives it.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use roomcast_core::backend::{BrokerInfo, InPlace};
use roomcast_core::{Error, Result};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_postgres::error::SqlState;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{AsyncMessage, Client, SimpleQueryMessage, SimpleQueryRow, Socket};

use crate::config::Place;
use crate::error::error;
use crate::intake::Intake;
use crate::text;
use crate::tls::{self, Connector};
use crate::turns::Turns;

/// How long connecting to one host may take, login included, if the URL does not say.
const DIAL: Duration = Duration::from_secs(2);
/// How long a connection rests between the answer to one ping and the next.
const REST: Duration = Duration::from_millis(750);
/// How often we look whether anything has arrived while an answer is awaited.
const TICK: Duration = Duration::from_millis(250);
/// After so many quiet ticks the connection is dead. Ticks, not time: a stall of our own process counts as one.
const DEAD: usize = 9;
/// What is being published takes its time on a thin link; so many bytes are worth another tick.
const THIN: usize = 128 << 10;
/// How long the server may take to take leave.
const QUIT: Duration = Duration::from_millis(500);

/// One connection with the task that drives it, which ends with this value.
pub(crate) struct Connection {
    pub(crate) client: Arc<Client>,
    /// How it is asked: side by side, unless this is set.
    pub(crate) turns: Turns,
    pub(crate) pulse: Arc<Pulse>,
    /// What the server said it is.
    pub(crate) broker: Option<BrokerInfo>,
    /// The largest frame that fits into a notification of this server.
    pub(crate) max_frame: usize,
    /// What reads and writes the socket.
    pub(crate) driver: InPlace,
    driving: JoinHandle<()>,
    /// Closed when the driver has ended, however it did.
    over: watch::Receiver<()>,
}

/// What is known of a connection's life beside its pings.
#[derive(Debug, Default)]
pub(crate) struct Pulse {
    beats: AtomicU64,
    paused: AtomicBool,
    under_way: AtomicUsize,
}

impl Pulse {
    /// Something came from the server.
    pub(crate) fn beat(&self) {
        self.beats.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether we are the one who does not read.
    pub(crate) fn pause(&self, paused: bool) {
        self.paused.store(paused, Ordering::Relaxed);
    }

    /// So many bytes are being published, until the value is dropped.
    pub(crate) fn carries(&self, bytes: usize) -> impl Drop + '_ {
        struct Done<'a>(&'a Pulse, usize);
        impl Drop for Done<'_> {
            fn drop(&mut self) {
                self.0.under_way.fetch_sub(self.1, Ordering::Relaxed);
            }
        }
        self.under_way.fetch_add(bytes, Ordering::Relaxed);
        Done(self, bytes)
    }
}

impl Connection {
    /// How long connecting may take: the time of one host for each of them.
    pub(crate) fn timeout(place: &Place) -> Duration {
        let hosts = place.client.get_hosts().len().max(place.client.get_hostaddrs().len()).max(1);
        place.client.get_connect_timeout().copied().unwrap_or(DIAL).saturating_mul(hosts.min(100) as u32)
    }

    /// Connects and logs in; what is notified goes to the intake.
    ///
    /// # Errors
    /// `Config`, `Denied`, `Unavailable`.
    ///
    /// # Cancel safety
    /// Dropped, what was opened is closed.
    pub(crate) async fn open(place: &Place, intake: Option<Intake>) -> Result<Self> {
        let client = place.logged_in().await?;
        let limit = Self::timeout(place);
        let late = |_| Error::unavailable(format!("the PostgreSQL server has not answered in {} s", limit.as_secs()));
        timeout(limit, Self::dial(place, client, intake)).await.map_err(late)?
    }

    async fn dial(place: &Place, client: tokio_postgres::Config, intake: Option<Intake>) -> Result<Self> {
        let mut refused = None;
        for (mode, connector) in place.tls.attempts().await {
            let mut settings = client.clone();
            settings.ssl_mode(mode);
            if settings.get_connect_timeout().is_none() {
                settings.connect_timeout(DIAL / 2); // for each address of a host: the first may lead nowhere
            }
            match settings.connect(connector).await {
                Ok((client, connection)) => return Self::drive(client, connection, intake).await,
                // The server may want the other way: its pg_hba.conf tells connections with TLS from those without.
                Err(cause) => {
                    let other = cause.code() == Some(&SqlState::INVALID_AUTHORIZATION_SPECIFICATION);
                    let other = other || tls::refusal(&cause).is_some();
                    refused = Some(Error::most_telling(refused.take(), error(cause)));
                    if !other {
                        break;
                    }
                }
            }
        }
        Err(refused.unwrap_or_else(|| Error::config("sslmode leaves no way to connect")))
    }

    async fn drive(client: Client, connection: Driven, intake: Option<Intake>) -> Result<Self> {
        let broker = connection.parameter("server_version").map(|version| BrokerInfo::new("PostgreSQL", version));
        let intake = intake.unwrap_or_default();
        let pulse = intake.pulse();
        let (alive, over) = watch::channel(());
        let (driver, driving) = InPlace::spawn(async move {
            let _alive = alive;
            drive(connection, intake).await;
        });
        let (client, turns) = (Arc::new(client), Turns::default());
        let mut this = Self { client, turns, pulse, broker, max_frame: 0, driver, driving, over };
        this.max_frame = this.greet().await?;
        Ok(this)
    }

    /// Asks what the server can do; returns the largest frame that a notification takes there.
    async fn greet(&self) -> Result<usize> {
        const ASK: &str = "SELECT current_setting('block_size'), current_setting('max_identifier_length')";
        let said = self.client.simple_query(ASK).await.map_err(error)?;
        let row = row(&said);
        let number = |at| row.and_then(|row| row.get(at)).and_then(|text| text.parse::<usize>().ok()).unwrap_or(0);
        // What PostgreSQL calls NOTIFY_PAYLOAD_MAX_LENGTH, 8,000 as it is usually built, less the end of the text.
        let (block, name) = (number(0), number(1));
        let frame = text::capacity(block.saturating_sub(name + 1 + 128 + 1));
        if name < 63 || frame < roomcast_core::backend::Limits::MIN_FRAME {
            return Err(Error::config(
                "this PostgreSQL server was built with names or blocks that are too short for Roomcast",
            ));
        }
        Ok(frame)
    }

    /// Waits until the connection has ended.
    ///
    /// # Cancel safety
    /// Safe.
    pub(crate) async fn ended(&self) {
        // The driver holds the other end, and nothing is sent.
        let _ = self.over.clone().changed().await;
    }

    /// Asks this again and again; returns when the server has been silent for too long.
    pub(crate) async fn silence(&self, ask: &'static str, mut answered: impl FnMut(&[SimpleQueryMessage])) {
        loop {
            sleep(REST).await;
            let answer = self.turns.ask(&self.client, ask);
            tokio::pin!(answer);
            let (mut seen, mut quiet) = (self.beats(), 0);
            loop {
                tokio::select! {
                    answer = &mut answer => {
                        // It fails if the connection has ended, which others see.
                        answered(&answer.unwrap_or_default());
                        break;
                    }
                    () = sleep(TICK) => {}
                }
                let beats = self.beats();
                if beats != seen || self.pulse.paused.load(Ordering::Relaxed) {
                    (seen, quiet) = (beats, 0);
                    continue;
                }
                quiet += 1;
                if quiet >= DEAD + self.pulse.under_way.load(Ordering::Relaxed).min(THIN * 16) / THIN {
                    return;
                }
            }
        }
    }

    fn beats(&self) -> u64 {
        self.pulse.beats.load(Ordering::Relaxed)
    }

    /// Takes leave, so that the server has forgotten this node when it returns.
    pub(crate) async fn quit(self) {
        // The server has gone, or is too slow: it will find a closed connection, which comes to the same.
        let _ = timeout(QUIT, self.turns.ask(&self.client, "UNLISTEN *")).await;
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driving.abort(); // and the socket with it
    }
}

/// The first row of an answer.
pub(crate) fn row(answer: &[SimpleQueryMessage]) -> Option<&SimpleQueryRow> {
    answer.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    })
}

type Driven = tokio_postgres::Connection<Socket, <Connector as MakeTlsConnect<Socket>>::Stream>;

/// Drives a connection to its end. While the intake waits for room nothing is read: the rest waits in the socket, then at
/// the server, which keeps what is notified in a queue of its own.
async fn drive(mut connection: Driven, mut intake: Intake) {
    loop {
        match poll_fn(|cx| connection.poll_message(cx)).await {
            Some(Ok(AsyncMessage::Notification(notification))) => {
                intake.take(notification.channel(), notification.payload()).await;
            }
            Some(Ok(_)) => {}
            Some(Err(cause)) => return tracing::debug!(%cause, "a connection to PostgreSQL has ended"),
            None => return,
        }
    }
}
