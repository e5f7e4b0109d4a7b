//! What a server says of itself.

use std::time::Duration;

use roomcast_core::Result;
use roomcast_core::backend::{Advice, BrokerInfo, Description, LimitUnit, ServerLimit, compare_clocks};
use tokio_postgres::SimpleQueryMessage;

use crate::connection::text;
use crate::error::error;
use crate::session::Session;

/// The first releases in which `LISTEN` cannot fail for good any more.
const MENDED: [[u32; 2]; 6] = [[18, 1], [17, 7], [16, 11], [15, 15], [14, 20], [13, 23]];

const FACTS: &str =
    "SELECT current_setting('server_version'), current_setting('server_encoding'), pg_notification_queue_usage()";
const CLOCK: &str = "SELECT extract(epoch FROM clock_timestamp())";
/// A limit of -1 is none. A superuser is not held back by the last two, which is no reason not to look at them.
const CONNECTIONS: &str = "SELECT 'max_connections', sum(numbackends), \
        current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int \
        FROM pg_stat_database \
    UNION ALL SELECT 'connections of the database', numbackends, datconnlimit \
        FROM pg_stat_database JOIN pg_database USING (datname) WHERE datname = current_database() AND datconnlimit >= 0 \
    UNION ALL SELECT 'connections of the role', (SELECT count(*) FROM pg_stat_activity WHERE usename = rolname), rolconnlimit \
        FROM pg_roles WHERE rolname = session_user AND rolconnlimit >= 0";

/// Asks the server at which a node listens. `other` is the node's second session, if it has the same way.
///
/// # Errors
/// Those of the connections.
pub(crate) async fn describe(session: &Session, other: Option<&Session>) -> Result<Description> {
    let mut described = Description::default();
    let clock = async { Ok(answer(session, CLOCK).await?.and_then(|said| time(text(&said, 0)?))) };
    described.clock = compare_clocks(clock).await?;
    if described.clock.is_none() {
        described.unknown.push("the clock: the server does not tell it".to_owned());
    }
    match answer(session, FACTS).await? {
        Some(said) => {
            let text = |at| text(&said, at).unwrap_or_default();
            let broker = product(text(0));
            described.advice.extend(old_release(&broker));
            described.advice.extend(encoding(text(1)));
            described.limits.extend(queue(text(2)));
            described.broker = Some(broker);
        }
        None => described.unknown.push("version and queue of notifications: the server does not tell them".to_owned()),
    }
    match answer(session, CONNECTIONS).await? {
        Some(said) => described.limits.extend(said.iter().filter_map(connections)),
        None => described.unknown.push("connections: the server does not count them".to_owned()),
    }
    if let Some(other) = other
        && is_shared(session, other).await?
    {
        described.advice.push(Advice::new(
            "transaction_pooler",
            "a pooler by transaction answers: two connections have the same session, so LISTEN is lost, and nodes hear nothing",
            "let the URL lead to the server itself or to a pooler by session, and publish_url to this pooler, if you need it",
        ));
    }
    Ok(described)
}

/// What the server answers; `None` if it has something against the question.
async fn answer(session: &Session, question: &'static str) -> Result<Option<Vec<SimpleQueryMessage>>> {
    match session.ask(question).await {
        Ok(said) => Ok(Some(said)),
        Err(cause) if cause.code().is_some() && !session.client.is_closed() => Ok(None),
        Err(cause) => Err(error(cause)),
    }
}

/// Seconds since 1970.
fn time(text: &str) -> Option<Duration> {
    Duration::try_from_secs_f64(text.parse().ok()?).ok()
}

/// From `server_version`, such as `15.14 (Debian 15.14-0+deb12u1)`; YugabyteDB's is `11.2-YB-2.18.1.0-b0`.
pub(crate) fn product(version: &str) -> BrokerInfo {
    match version.split_once("-YB-") {
        Some((_, yugabyte)) => BrokerInfo::new("YugabyteDB", yugabyte),
        None => BrokerInfo::new("PostgreSQL", version),
    }
}

fn old_release(broker: &BrokerInfo) -> Option<Advice> {
    let major = *broker.numbers().first()?;
    let mended = MENDED.into_iter().find(|mended| mended[0] == major);
    let oldest = MENDED[MENDED.len() - 1][0];
    let is_old = mended.map_or(major < oldest, |mended| broker.is_before(&mended));
    (broker.product == "PostgreSQL" && is_old).then(|| {
        let needed = mended.map_or(format!("{oldest} or later"), |[major, minor]| format!("{major}.{minor} or later"));
        Advice::new(
            "old_release",
            format!("with {broker} LISTEN can fail for good (58P01) when nobody has read old notifications for long"),
            format!("update the server to {needed}"),
        )
    })
}

fn encoding(name: &str) -> Option<Advice> {
    (name == "SQL_ASCII").then(|| {
        Advice::new(
            "sql_ascii",
            "the encoding of the database is SQL_ASCII: a notification of others that is no UTF-8 ends a node's link",
            "use a database with the encoding UTF8",
        )
    })
}

/// From the part of the queue that is used.
fn queue(usage: &str) -> Option<ServerLimit> {
    let percent = (usage.parse::<f64>().ok()? * 100.0).round().clamp(0.0, 100.0) as u64;
    let limit = ServerLimit::new("queue of notifications", LimitUnit::Percent, 100).warned_from(25);
    Some(limit.used(
        percent,
        "find who listens and does not read, the oldest in pg_stat_activity: when the queue is full, every NOTIFY of the server fails",
    ))
}

/// One row of [`CONNECTIONS`].
fn connections(said: &SimpleQueryMessage) -> Option<ServerLimit> {
    let SimpleQueryMessage::Row(row) = said else { return None };
    limit(row.get(0)?, row.get(1)?, row.get(2)?)
}

fn limit(name: &str, used: &str, most: &str) -> Option<ServerLimit> {
    let limit = ServerLimit::new(name, LimitUnit::Count, most.parse::<u64>().ok()?);
    Some(limit.used(
        used.parse().ok()?,
        "raise it: each node needs two connections, and four for a moment when links are made again",
    ))
}

/// Whether one session of the server works for both.
async fn is_shared(one: &Session, other: &Session) -> Result<bool> {
    const PROCESS: &str = "SELECT pg_backend_pid()";
    let (one, other) = (answer(one, PROCESS).await?, answer(other, PROCESS).await?);
    Ok(one.zip(other).is_some_and(|(one, other)| text(&one, 0).is_some() && text(&one, 0) == text(&other, 0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_product_is_what_its_version_says() {
        for (version, expected) in [
            ("15.14 (Debian 15.14-0+deb12u1)", "PostgreSQL 15.14 (Debian 15.14-0+deb12u1)"),
            ("18beta1", "PostgreSQL 18beta1"),
            ("11.2-YB-2.18.1.0-b0", "YugabyteDB 2.18.1.0-b0"),
        ] {
            assert_eq!(product(version).to_string(), expected);
        }
    }

    #[test]
    fn releases_in_which_listen_can_fail_for_good_are_named() {
        for (product, version, needed) in [
            ("PostgreSQL", "15.3", Some("15.15 or later")),
            ("PostgreSQL", "15.14 (Debian 15.14-0+deb12u1)", Some("15.15 or later")),
            ("PostgreSQL", "15.15", None),
            ("PostgreSQL", "18.0", Some("18.1 or later")),
            ("PostgreSQL", "18beta1", Some("18.1 or later")),
            ("PostgreSQL", "18.1", None),
            ("PostgreSQL", "17.6", Some("17.7 or later")),
            ("PostgreSQL", "16.11", None),
            ("PostgreSQL", "14.19", Some("14.20 or later")),
            ("PostgreSQL", "13.22", Some("13.23 or later")),
            ("PostgreSQL", "12.22", Some("13 or later")),
            ("PostgreSQL", "19.0", None),
            ("PostgreSQL", "unknown", None),
            ("YugabyteDB", "2.18", None),
        ] {
            let advice = old_release(&BrokerInfo::new(product, version));
            assert_eq!(
                advice.as_ref().map(|advice| advice.cause),
                needed.map(|_| "old_release"),
                "{product} {version}"
            );
            assert!(advice.is_none_or(|advice| advice.mend.ends_with(needed.expect("given"))), "{product} {version}");
        }
    }

    #[test]
    fn what_the_server_counts_is_a_limit() {
        for (usage, expected) in [
            ("0", Some((0, false))),
            ("0.2449", Some((24, false))),
            ("0.4", Some((40, true))),
            ("7", Some((100, true))),
            ("NaN", Some((0, false))),
            ("", None),
        ] {
            let queue = queue(usage).map(|limit| (limit.used.expect("known"), limit.mend().is_some()));
            assert_eq!(queue, expected, "{usage}");
        }
        let near = limit("max_connections", "90", "97").expect("numbers");
        assert_eq!((near.used, near.most, near.mend().is_some()), (Some(90), Some(97), true));
        assert_eq!((limit("x", "", "97"), limit("x", "1", "-1")), (None, None));
    }

    #[test]
    fn time_and_encoding_are_read() {
        assert_eq!(time("1764427000.125"), Some(Duration::from_millis(1_764_427_000_125)));
        assert_eq!([time("-1"), time("NaN"), time("1e300"), time("")], [None; 4]);
        assert_eq!(encoding("SQL_ASCII").map(|advice| advice.cause), Some("sql_ascii"));
        assert_eq!(encoding("UTF8"), None);
    }
}
