//! One connection, with the task that drives it.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use roomcast_core::backend::{BrokerInfo, Driver, Inbox, Limits, Pulse, SevenBit, Silence};
use roomcast_core::{Error, Result};
use tokio::time::{sleep, timeout};
use tokio_postgres::error::SqlState;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{AsyncMessage, SimpleQueryMessage, Socket};

use crate::config::Place;
use crate::description::product;
use crate::error::error;
use crate::intake::{HEAD, Intake};
use crate::session::Session;
use crate::tls::{self, Connector};

/// How long connecting to one host may take, login included, if the URL does not say.
const DIAL: Duration = Duration::from_secs(2);
/// How long a connection rests between the answer to one ping and the next.
const REST: Duration = Duration::from_millis(750);
/// A ping is asked with each rest, so that nothing has to be asked when a look finds nothing.
const SILENCE: Silence = Silence::new(REST, Duration::from_millis(250), 9);
/// How long the server may take to take leave.
const QUIT: Duration = Duration::from_millis(500);

/// One connection, with the task that drives it.
pub(crate) struct Connection {
    pub(crate) session: Session,
    /// What the server said it is.
    pub(crate) broker: Option<BrokerInfo>,
    driver: Driver,
}

impl Connection {
    /// How long connecting may take: the time of one host for each of them.
    pub(crate) fn timeout(place: &Place) -> Duration {
        let hosts = place.client.get_hosts().len().max(place.client.get_hostaddrs().len()).max(1);
        place.client.get_connect_timeout().copied().unwrap_or(DIAL).saturating_mul(hosts.min(100) as u32)
    }

    /// Connects and logs in by this name, where the URL says none; what is notified goes to the inbox.
    ///
    /// # Errors
    /// `Config`, `Denied`, `Unavailable`.
    ///
    /// # Cancel safety
    /// Dropped, what was opened is closed.
    pub(crate) async fn open(place: &Place, name: &str, inbox: Option<&Inbox>) -> Result<Self> {
        let client = place.logged_in(name).await?;
        let limit = Self::timeout(place);
        let late = |_| Error::unavailable(format!("the PostgreSQL server has not answered in {} s", limit.as_secs()));
        timeout(limit, Self::dial(place, client, inbox)).await.map_err(late)?
    }

    async fn dial(place: &Place, client: tokio_postgres::Config, inbox: Option<&Inbox>) -> Result<Self> {
        let mut refused = None;
        for (mode, connector) in place.tls.attempts().await {
            let mut settings = client.clone();
            settings.ssl_mode(mode);
            if settings.get_connect_timeout().is_none() {
                settings.connect_timeout(DIAL / 2); // for each address of a host: the first may lead nowhere
            }
            match settings.connect(connector).await {
                Ok((client, connection)) => return Ok(Self::driven(client, connection, inbox)),
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

    fn driven(client: tokio_postgres::Client, connection: Driven, inbox: Option<&Inbox>) -> Self {
        let broker = connection.parameter("server_version").map(product);
        let pulse = Arc::new(Pulse::default());
        let intake = inbox.map(|inbox| Intake::new(inbox.clone(), Arc::clone(&pulse)));
        let driver = Driver::spawn(drive(connection, intake));
        let session = Session { client: Arc::new(client), driver: driver.in_place().clone(), pulse, turns: None };
        Self { session, broker, driver }
    }

    /// Asks for the largest frame that fits into a notification of this server.
    ///
    /// # Errors
    /// `Config` if that is too little.
    pub(crate) async fn max_frame(&self) -> Result<usize> {
        // What PostgreSQL calls NOTIFY_PAYLOAD_MAX_LENGTH, 8,000 as it is usually built, less the end of the text.
        const ASK: &str = "SELECT current_setting('block_size')::int - current_setting('max_identifier_length')::int - 130 \
                           WHERE current_setting('max_identifier_length')::int >= 63";
        let said = self.session.ask(ASK).await.map_err(error)?;
        let characters = text(&said, 0).and_then(|text| text.parse::<usize>().ok()).unwrap_or(0);
        let frame = SevenBit::capacity(characters.saturating_sub(HEAD));
        if frame < Limits::MIN_FRAME {
            return Err(Error::config("this PostgreSQL server was built with too short names or blocks for Roomcast"));
        }
        Ok(frame)
    }

    /// Asks this again and again; returns what has become of the connection when it is of no use any more.
    pub(crate) async fn over(
        &self,
        ask: &'static str,
        mut answered: impl FnMut(&[SimpleQueryMessage]),
    ) -> &'static str {
        let pings = async {
            loop {
                sleep(REST).await;
                answered(&self.session.ask(ask).await.unwrap_or_default());
            }
        };
        tokio::select! {
            never = pings => never,
            () = SILENCE.of(&self.session.pulse, async || {}, |_| false) => "is silent",
            () = self.driver.ended() => "was closed",
        }
    }

    /// Takes leave, so that the server has forgotten this node when it returns.
    pub(crate) async fn quit(self) {
        // The server has gone, or is too slow: it will find a closed connection, which comes to the same.
        let _ = timeout(QUIT, self.session.ask("UNLISTEN *")).await;
    }
}

/// What stands in this place of an answer's first row.
pub(crate) fn text(answer: &[SimpleQueryMessage], at: usize) -> Option<&str> {
    answer.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(at),
        _ => None,
    })
}

type Driven = tokio_postgres::Connection<Socket, <Connector as MakeTlsConnect<Socket>>::Stream>;

/// Drives a connection to its end. While the intake waits for room nothing is read: the rest waits in the socket, then at
/// the server, which keeps what is notified in a queue of its own.
async fn drive(mut connection: Driven, mut intake: Option<Intake>) {
    while let Some(message) = poll_fn(|cx| connection.poll_message(cx)).await {
        match (message, &mut intake) {
            (Ok(AsyncMessage::Notification(notification)), Some(intake)) => {
                intake.take(notification.channel(), notification.payload()).await;
            }
            (Ok(_), _) => {}
            (Err(cause), _) => return tracing::debug!(%cause, "a connection to PostgreSQL has ended"),
        }
    }
}
