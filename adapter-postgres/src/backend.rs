//! The link: one connection that publishes, one that listens.

use std::sync::Arc;
use std::time::Duration;

use roomcast_core::backend::{
    Authority, Breaker, BrokerInfo, Capabilities, Channel, Description, InPlace, Inbox, Limits, Link, Outgoing,
    PublishError, Reason,
};
use roomcast_core::{ErrorKind, Result};
use tokio_postgres::types::Type;
use tokio_postgres::{Client, SimpleQueryMessage, Statement};

use crate::config::Postgres;
use crate::connection::{Connection, Pulse, row};
use crate::description::describe;
use crate::error::{STANDBY, error, is_of_the_server};
use crate::intake::Intake;
use crate::text;
use crate::turns::Turns;

/// How long all that is asked on new connections may take.
const READY: Duration = Duration::from_secs(10);
/// So many channels in one transaction.
const CHUNK: usize = 500;
/// How full the server's queue may be until somebody is told.
const THRESHOLDS: [f64; 4] = [0.25, 0.5, 0.75, 0.9];
/// Many messages in one statement, and so in one transaction: each commit that notifies takes a lock of the whole server.
/// The rows of `unnest` come in the order of the arrays. A commit need not reach the disk: notifications do not survive a
/// crash in any case. This is sent as an unnamed statement, since a pooler could not carry a prepared one.
const NOTIFY: &str = "SELECT count(pg_notify(channel, payload)), set_config('synchronous_commit', 'off', true) \
                      FROM unnest($1, $2) AS batch (channel, payload)";
/// The same where nodes have a session of their own, which is set up once. The limits of time that a role or a database sets for
/// applications are none for us; a server without one of these settings is asked for none. A listener that is frozen, so that its
/// kernel answers and nobody reads, must not fill the queue that the whole server has once: the server ends its connection
/// after half a minute, unless somebody has set another time.
const SESSION: &str = "SELECT set_config(name, CASE name WHEN 'synchronous_commit' THEN 'off' \
    WHEN 'tcp_user_timeout' THEN '30s' ELSE '0' END, false) FROM pg_settings WHERE name IN ('synchronous_commit', \
    'statement_timeout', 'lock_timeout', 'transaction_timeout', 'idle_session_timeout', 'idle_in_transaction_session_timeout') \
    OR name = 'tcp_user_timeout' AND setting = '0'";
const PREPARED: &str = "SELECT count(pg_notify(channel, payload)) FROM unnest($1, $2) AS batch (channel, payload)";
/// Most batches of a node at rest.
const PREPARED_ONE: &str = "SELECT pg_notify($1, $2)";

/// Both connections; the link is up only while both are.
pub(crate) struct Pair {
    publisher: Connection,
    listener: Connection,
    handle: Handle,
}

/// What calls go over.
#[derive(Clone)]
pub(crate) struct Handle {
    publisher: Arc<Client>,
    turns: Turns,
    /// None behind a pooler.
    prepared: Option<Arc<Prepared>>,
    driver: InPlace,
    pulse: Arc<Pulse>,
    listener: Arc<Client>,
    breaker: Breaker,
}

/// Statements of a session that has been set up.
struct Prepared {
    many: Statement,
    one: Statement,
}

impl Prepared {
    async fn on(client: &Client) -> Result<Self> {
        let (many, one) = tokio::try_join!(
            client.prepare_typed(PREPARED, &[Type::TEXT_ARRAY, Type::TEXT_ARRAY]),
            client.prepare_typed(PREPARED_ONE, &[Type::TEXT, Type::TEXT]),
        )
        .map_err(error)?;
        Ok(Self { many, one })
    }
}

impl Handle {
    /// Publishes all of it, or nothing.
    async fn notify(&self, frames: &[Outgoing]) -> Result<(), tokio_postgres::Error> {
        let channels: Vec<_> = frames.iter().map(|frame| frame.channel.as_str()).collect();
        let texts: Vec<_> =
            frames.iter().enumerate().map(|(place, frame)| text::encode(place, &frame.payload)).collect();
        let _carries = self.pulse.carries(texts.iter().map(String::len).sum());
        let published = match (self.prepared.as_deref(), &channels[..], &texts[..]) {
            (None, ..) => {
                let (publisher, driver) = (Arc::clone(&self.publisher), self.driver.clone());
                let channels: Vec<_> = channels.into_iter().map(str::to_owned).collect();
                let notified = async move {
                    let parameters = [(&channels as _, Type::TEXT_ARRAY), (&texts as _, Type::TEXT_ARRAY)];
                    driver.assist(publisher.query_typed(NOTIFY, &parameters)).await
                };
                self.turns.take(notified).await
            }
            (Some(prepared), [channel], [text]) => {
                self.driver.assist(self.publisher.query(&prepared.one, &[channel, text])).await
            }
            (Some(prepared), ..) => {
                self.driver.assist(self.publisher.query(&prepared.many, &[&channels, &texts])).await
            }
        };
        published?;
        self.pulse.beat();
        Ok(())
    }
}

impl Link for Pair {
    type Source = Postgres;
    type Handle = Handle;
    const BROKER: &'static str = "PostgreSQL";
    /// Ordered: a node publishes on one connection, one transaction after the other; the order of commits is that of the
    /// server's one queue, and a listener is given what is in it on one connection.
    const CAPABILITIES: Capabilities = Capabilities::ORDERED;

    async fn open(postgres: &mut Postgres, inbox: &Inbox, breaker: Breaker) -> Result<Self> {
        let name = inbox.client_name();
        [&mut postgres.publish, &mut postgres.listen].into_iter().for_each(|place| place.name_connections(&name));
        let (mut publisher, listener) = tokio::try_join!(
            Connection::open(&postgres.publish, None),
            Connection::open(&postgres.listen, Some(Intake::new(inbox.clone()))),
        )?;
        listener.client.simple_query(SESSION).await.map_err(error)?;
        let prepared = match postgres.pooled {
            true => {
                publisher.turns = Turns::one_by_one();
                None
            }
            false => {
                publisher.client.simple_query(SESSION).await.map_err(error)?;
                Some(Arc::new(Prepared::on(&publisher.client).await?))
            }
        };
        let handle = Handle {
            publisher: Arc::clone(&publisher.client),
            turns: publisher.turns.clone(),
            prepared,
            driver: publisher.driver.clone(),
            pulse: Arc::clone(&publisher.pulse),
            listener: Arc::clone(&listener.client),
            breaker,
        };
        Ok(Self { publisher, listener, handle })
    }

    /// Both connections are made at once.
    fn timeout(postgres: &Postgres) -> Duration {
        let each = |place| Connection::timeout(place).saturating_add(place.credentials.limit());
        let [listen, publish] = [&postgres.listen, &postgres.publish].map(each);
        listen.max(publish).saturating_add(READY)
    }

    /// A hot standby can neither `LISTEN` nor `NOTIFY`. A session never comes to be on one, since a primary restarts for that,
    /// but a pooler may take what is published to another server than before.
    async fn authority(handle: &Handle) -> Result<Authority> {
        const ASK: &str = "SELECT pg_is_in_recovery()";
        for (client, turns) in [(&handle.publisher, &handle.turns), (&handle.listener, &Turns::default())] {
            let answer = turns.ask(client, ASK).await.map_err(error)?;
            if row(&answer).and_then(|row| row.get(0)) == Some("t") {
                return Ok(Authority::Elsewhere(STANDBY.into()));
            }
        }
        Ok(Authority::Here)
    }

    fn handle(&self) -> Handle {
        self.handle.clone()
    }

    fn limits(&self) -> Limits {
        // One message is one statement, and statements are carried out in their order.
        let limits = Limits::max_frame(self.publisher.max_frame);
        if self.publisher.turns.are_taken() { limits } else { limits.singles_in_flight(2) }
    }

    fn broker(&self) -> Option<BrokerInfo> {
        self.listener.broker.clone()
    }

    async fn describe(handle: &Handle) -> Result<Description> {
        // Without prepared statements the publisher goes another way, through a pooler.
        describe(&handle.listener, handle.prepared.as_ref().map(|_| &*handle.publisher)).await
    }

    async fn subscribe(handle: &Handle, channels: &[Channel]) -> Result<()> {
        for_each(&handle.listener, "LISTEN", channels).await
    }

    async fn unsubscribe(handle: &Handle, channels: &[Channel]) -> Result<()> {
        for_each(&handle.listener, "UNLISTEN", channels).await
    }

    /// One statement for most batches; the next when the one before is committed.
    async fn publish(handle: &Handle, messages: &[Outgoing]) -> Result<(), PublishError> {
        let mut sent = 0;
        for statement in statements(messages) {
            handle.notify(statement).await.map_err(|cause| {
                let lasts = is_of_the_server(&cause);
                let error = error(cause);
                match error.kind() {
                    // Of all of them: none was sent.
                    ErrorKind::Denied => return PublishError::Refused { index: sent, kind: ErrorKind::Denied },
                    // No other connection would help; the batch is sent again in a while.
                    _ if lasts => return PublishError::NotNow(error),
                    // It lives and cannot publish, as a primary that has become a standby: another may have to be found.
                    _ => handle.breaker.trip("the server does not accept what is published"),
                }
                PublishError::Unknown(error)
            })?;
            sent += statement.len();
        }
        Ok(())
    }

    async fn hold(&mut self, _: &Inbox) -> Reason {
        /// Not only to be told: a full queue has room again by this alone, when it has been read.
        const USAGE: &str = "SELECT pg_notification_queue_usage()";
        let Self { publisher, listener, .. } = self;
        let mut told = 0;
        let why = tokio::select! {
            () = publisher.silence(USAGE, |answer| warn(answer, &mut told)) => {
                "the server is silent on the connection that publishes"
            }
            () = listener.silence("", |_| {}) => "the server is silent on the connection that listens",
            () = publisher.ended() => "the connection that publishes was closed",
            () = listener.ended() => "the connection that listens was closed",
        };
        why.into()
    }

    async fn quit(self) {
        tokio::join!(self.listener.quit(), self.publisher.quit());
    }
}

/// Tells that the server's queue of notifications fills.
fn warn(answer: &[SimpleQueryMessage], told: &mut usize) {
    let usage = row(answer).and_then(|row| row.get(0)?.parse::<f64>().ok());
    if let Some(usage) = usage.filter(|usage| climbs(*usage, told)) {
        tracing::warn!(usage, "PostgreSQL's queue of notifications fills: a listener of the database does not read");
    }
}

/// Whether a threshold is reached that was not told of yet on the way up.
fn climbs(usage: f64, told: &mut usize) -> bool {
    let reached = THRESHOLDS.iter().filter(|threshold| usage >= **threshold).count();
    reached > std::mem::replace(told, reached)
}

/// So many bytes in one statement, or one message: nothing of it is heard before all of it is committed, and our own pings
/// wait behind it.
const STATEMENT: usize = 1 << 20;

/// A batch, in parts of that size.
fn statements(mut batch: &[Outgoing]) -> impl Iterator<Item = &[Outgoing]> {
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fits = |message: &&Outgoing| {
            bytes += message.payload.len();
            bytes <= STATEMENT
        };
        let count = batch.iter().take_while(fits).count().max(1).min(batch.len());
        let (statement, rest) = batch.split_at(count);
        batch = rest;
        Some(statement).filter(|statement| !statement.is_empty())
    })
}

/// Carries out one command for each channel, many in one transaction; returns once they are committed.
///
/// # Errors
/// The first that the server gave; those of earlier chunks are done.
async fn for_each(client: &Client, command: &str, channels: &[Channel]) -> Result<()> {
    for chunk in channels.chunks(CHUNK) {
        // In quotes, for the case of letters and for dots. A channel's letters need no escape, and 63 bytes are not cut.
        let all: String = chunk.iter().map(|channel| format!("{command} \"{channel}\";")).collect();
        client.batch_execute(&all).await.map_err(error)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_batch_is_several_statements() {
        let channel = Channel::new("rc.a").expect("valid");
        let batch = |sizes: &[usize]| -> Vec<_> {
            sizes.iter().map(|size| Outgoing::new(channel.clone(), vec![0; *size].into())).collect()
        };
        let cut = |sizes: &[usize]| statements(&batch(sizes)).map(<[_]>::len).collect::<Vec<_>>();
        assert_eq!(cut(&[]), [0; 0]);
        assert_eq!(cut(&[0, 1, STATEMENT - 1]), [3]);
        assert_eq!(cut(&[STATEMENT / 2, STATEMENT / 2, 1, STATEMENT, STATEMENT + 1, 7]), [2, 1, 1, 1, 1]);
    }

    #[test]
    fn each_threshold_is_told_once_on_the_way_up() {
        let mut told = 0;
        let usages = [0.0, 0.2, 0.25, 0.3, 0.8, 0.9, 1.0, 0.6, 0.7, 0.0, 0.5];
        let heard = usages.map(|usage| climbs(usage, &mut told));
        let (yes, no) = (true, false);
        assert_eq!(heard, [no, no, yes, no, yes, yes, no, no, no, no, yes]);
    }
}
