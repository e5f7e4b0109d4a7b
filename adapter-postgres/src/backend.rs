//! The link: one connection that publishes, one that listens.

use std::sync::Arc;
use std::time::Duration;

use roomcast_core::backend::{
    Authority, Breaker, BrokerInfo, Capabilities, Channel, Description, Inbox, Limits, Link, Outgoing, PublishError,
    Reason,
};
use roomcast_core::{ErrorKind, Result};
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Row, SimpleQueryMessage, Statement};

use crate::config::Postgres;
use crate::connection::{Connection, text};
use crate::description::describe;
use crate::error::{STANDBY, error, is_of_the_server};
use crate::intake::encode;
use crate::session::Session;

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
const NOTIFY_MANY: &str =
    "SELECT count(pg_notify(channel, payload)) FROM unnest($1::text[], $2::text[]) AS batch (channel, payload)";
/// Most batches of a node at rest.
const NOTIFY_ONE: &str = "SELECT pg_notify($1, $2)";

/// Both connections; the link is up only while both are.
pub(crate) struct Pair {
    publisher: Connection,
    listener: Connection,
    handle: Handle,
    max_frame: usize,
}

/// What calls go over.
#[derive(Clone)]
pub(crate) struct Handle {
    publisher: Session,
    /// None behind a pooler.
    prepared: Option<Arc<Prepared>>,
    listener: Session,
    breaker: Breaker,
}

/// Statements of a session that has been set up.
struct Prepared {
    many: Statement,
    one: Statement,
}

/// Publishes all of it, or nothing.
async fn notify(
    client: Arc<Client>,
    prepared: Option<Arc<Prepared>>,
    frames: Vec<Outgoing>,
) -> Result<Vec<Row>, tokio_postgres::Error> {
    let channels: Vec<_> = frames.iter().map(|frame| frame.channel.as_str()).collect();
    let texts: Vec<_> = frames.iter().enumerate().map(|(place, frame)| encode(place, &frame.payload)).collect();
    match (prepared.as_deref(), &channels[..], &texts[..]) {
        (None, ..) => client.query_typed(NOTIFY, &[(&channels, Type::TEXT_ARRAY), (&texts, Type::TEXT_ARRAY)]).await,
        (Some(prepared), [channel], [text]) => client.query(&prepared.one, &[channel, text]).await,
        (Some(prepared), ..) => client.query(&prepared.many, &[&channels, &texts]).await,
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
        let (mut publisher, listener) = tokio::try_join!(
            Connection::open(&postgres.publish, &name, None),
            Connection::open(&postgres.listen, &name, Some(inbox)),
        )?;
        let max_frame = listener.max_frame().await?;
        listener.session.ask(SESSION).await.map_err(error)?;
        let mut prepared = None;
        if postgres.pooled {
            publisher.session.turns = Some(Arc::default());
        } else {
            publisher.session.ask(SESSION).await.map_err(error)?;
            let prepare = |statement| publisher.session.client.prepare(statement);
            let (many, one) = tokio::try_join!(prepare(NOTIFY_MANY), prepare(NOTIFY_ONE)).map_err(error)?;
            prepared = Some(Arc::new(Prepared { many, one }));
        }
        let handle =
            Handle { publisher: publisher.session.clone(), prepared, listener: listener.session.clone(), breaker };
        Ok(Self { publisher, listener, handle, max_frame })
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
        for session in [&handle.publisher, &handle.listener] {
            let answer = session.ask("SELECT pg_is_in_recovery()").await.map_err(error)?;
            if text(&answer, 0) == Some("t") {
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
        let singles = if self.handle.prepared.is_some() { 2 } else { 1 };
        Limits::max_frame(self.max_frame).singles_in_flight(singles)
    }

    fn broker(&self) -> Option<BrokerInfo> {
        self.listener.broker.clone()
    }

    async fn describe(handle: &Handle) -> Result<Description> {
        describe(&handle.listener, handle.prepared.as_ref().map(|_| &handle.publisher)).await
    }

    async fn subscribe(handle: &Handle, channels: &[Channel]) -> Result<()> {
        for_each(&handle.listener.client, "LISTEN", channels).await
    }

    async fn unsubscribe(handle: &Handle, channels: &[Channel]) -> Result<()> {
        for_each(&handle.listener.client, "UNLISTEN", channels).await
    }

    /// One statement for most batches; the next when the one before is committed.
    async fn publish(handle: &Handle, messages: &[Outgoing]) -> Result<(), PublishError> {
        let mut sent = 0;
        for statement in statements(messages) {
            let bytes = statement.iter().map(|frame| frame.payload.len()).sum();
            let driver = handle.publisher.driver.clone();
            let notify = notify(Arc::clone(&handle.publisher.client), handle.prepared.clone(), statement.to_vec());
            // Written to the socket at once, on this thread.
            let notify = async move { driver.assist(notify).await };
            handle.publisher.in_turn(bytes, notify).await.map_err(|cause| {
                let lasts = cause.code().is_some_and(is_of_the_server);
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
        let (which, what) = tokio::select! {
            what = publisher.over(USAGE, |answer| warn(answer, &mut told)) => ("publishes", what),
            what = listener.over("", |_| {}) => ("listens", what),
        };
        format!("the connection that {which} {what}").into()
    }

    async fn quit(self) {
        tokio::join!(self.listener.quit(), self.publisher.quit());
    }
}

/// Tells that the server's queue of notifications fills.
fn warn(answer: &[SimpleQueryMessage], told: &mut usize) {
    let usage = text(answer, 0).and_then(|usage| usage.parse::<f64>().ok());
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
fn statements(batch: &[Outgoing]) -> impl Iterator<Item = &[Outgoing]> {
    let mut bytes = 0;
    batch.chunk_by(move |message, next| {
        bytes += message.payload.len();
        let fits = bytes + next.payload.len() <= STATEMENT;
        if !fits {
            bytes = 0;
        }
        fits
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
