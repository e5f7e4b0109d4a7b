//! From the client's errors to ours.

use std::error::Error as StdError;

use roomcast_core::{Error, ErrorKind};
use tokio_postgres::error::SqlState;

use crate::tls;

/// The error for people, with the client's own as its source.
pub(crate) fn error(cause: tokio_postgres::Error) -> Error {
    let (kind, text) = meaning(&cause);
    // The client's own words for a bad configuration may repeat it.
    if text == BAD_URL { Error::new(kind, text) } else { Error::new(kind, text).with_source(cause) }
}

/// Whether the server as a whole has a difficulty that a new connection would meet as well: a full queue or disk, a lack of
/// memory, a limit of time.
pub(crate) fn is_of_the_server(state: &SqlState) -> bool {
    match state.code() {
        "53300" => false, // no connection is left
        "57014" => true,
        code => ["53", "54", "55"].iter().any(|class| code.starts_with(class)),
    }
}

fn meaning(cause: &tokio_postgres::Error) -> (ErrorKind, &'static str) {
    if let Some(code) = cause.code() {
        return of_state(code);
    }
    if let Some(kind) = tls::refusal(cause) {
        return (kind, "no TLS session with the PostgreSQL server: see sslmode, sslrootcert, sslcert and sslkey");
    }
    // The client tells its kinds by their texts alone.
    let said = |word: &str| cause.source().is_some_and(|cause| cause.to_string().contains(word));
    match cause.to_string().as_str() {
        _ if said("does not allow writes") => (ErrorKind::Unavailable, STANDBY),
        _ if said("password missing") => {
            (ErrorKind::Denied, "the PostgreSQL server asks for a password, and none is named")
        }
        text if text.starts_with("authentication error") => (ErrorKind::Denied, LOGIN),
        text if text.starts_with("error performing TLS handshake") && said("server does not support TLS") => {
            (ErrorKind::Config, "the PostgreSQL server does not speak TLS, which sslmode asks for")
        }
        text if text.starts_with("invalid co") => (ErrorKind::Config, BAD_URL),
        text if text.starts_with("unexpected message") || text.starts_with("error parsing") => (
            ErrorKind::Unexpected,
            "the server at this address is not a PostgreSQL server, or speaks an unknown version of its protocol",
        ),
        _ => (ErrorKind::Unavailable, "the PostgreSQL server cannot be reached"),
    }
}

const BAD_URL: &str = "the PostgreSQL URL cannot be used";

const LOGIN: &str =
    "the PostgreSQL server refused the login: check the user, the password, and the server's pg_hba.conf";

/// Not a mistake of configuration: a standby may be promoted, and then it is the right one.
pub(crate) const STANDBY: &str = "the PostgreSQL server is a hot standby, where neither LISTEN nor NOTIFY is possible: name \
    the primary, or all servers, of which the one that takes writes is used";

fn of_state(code: &SqlState) -> (ErrorKind, &'static str) {
    match code.code() {
        "28P01" | "28000" => (ErrorKind::Denied, LOGIN),
        "42501" => (
            ErrorKind::Denied,
            "the PostgreSQL role lacks a permission: a node needs CONNECT on the database; to install roomcast_emit the role needs \
             CREATE on its schema, or the schema's owner runs the migration",
        ),
        "3D000" => {
            (ErrorKind::Config, "the PostgreSQL server has no such database: create it, or name another in the URL")
        }
        "25006" => (ErrorKind::Unavailable, STANDBY),
        "54000" => (
            ErrorKind::Unavailable,
            "PostgreSQL's queue of notifications is full: a listener does not read; the server's log names it",
        ),
        "53100" => (ErrorKind::Unavailable, "the PostgreSQL server's disk is full"),
        "53300" => (
            ErrorKind::Unavailable,
            "the PostgreSQL server has no connection left, of which a node needs two: raise max_connections, or the limit of the \
             role or the database",
        ),
        "57P01" | "57P02" | "57P03" => (ErrorKind::Unavailable, "the PostgreSQL server is being started or shut down"),
        "58P01" => (
            ErrorKind::Unavailable,
            "the PostgreSQL server cannot read its own notifications any more, as releases before 18.1, 17.7, 16.11, 15.15, \
             14.20 and 13.23 could not after a freeze: update it, or end the session with the oldest notifications",
        ),
        "0A000" => (
            ErrorKind::Config,
            "this server has no LISTEN and NOTIFY, or a pooler in transaction mode stands before it: the URL has to lead to \
             PostgreSQL itself, and publish_url may lead to the pooler",
        ),
        "57014" | "55P03" => (
            ErrorKind::Unavailable,
            "the PostgreSQL server cancelled a statement by a time limit: see statement_timeout and lock_timeout",
        ),
        code if ["08", "53", "55", "57", "58", "40"].iter().any(|class| code.starts_with(class)) => {
            (ErrorKind::Unavailable, "the PostgreSQL server could not do what was asked now: see its log")
        }
        _ => (ErrorKind::Unexpected, "the PostgreSQL server sent an unexpected reply: see its log"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_has_its_kind_and_says_what_to_do() {
        use ErrorKind::{Config, Denied, Unavailable, Unexpected};
        let table = [
            ("28P01", Denied, "pg_hba.conf"),
            ("28000", Denied, "pg_hba.conf"),
            ("42501", Denied, "CONNECT"),
            ("3D000", Config, "create it"),
            ("0A000", Config, "publish_url"),
            ("25006", Unavailable, "name the primary"),
            ("53300", Unavailable, "max_connections"),
            ("57P01", Unavailable, "shut down"),
            ("57P03", Unavailable, "started"),
            ("08006", Unavailable, "see its log"),
            ("40P01", Unavailable, "see its log"),
            ("54000", Unavailable, "the server's log names it"),
            ("53100", Unavailable, "disk is full"),
            ("55P03", Unavailable, "lock_timeout"),
            ("57014", Unavailable, "statement_timeout"),
            ("58P01", Unavailable, "update it"),
            ("XX000", Unexpected, "see its log"),
            ("", Unexpected, "see its log"),
            ("5", Unexpected, "see its log"),
            // What the client makes of bytes that are no text.
            ("\u{fffd}", Unexpected, "see its log"),
        ];
        for (code, kind, advice) in table {
            let (meant, text) = of_state(&SqlState::from_code(code));
            assert_eq!(meant, kind, "{code}");
            assert!(text.contains(advice), "{code}: {text}");
        }
    }

    #[test]
    fn what_a_new_connection_would_meet_as_well_does_not_end_this_one() {
        let lasts = |code| is_of_the_server(&SqlState::from_code(code));
        assert!(["54000", "53100", "53200", "55P03", "57014"].into_iter().all(lasts));
        assert!(!["25006", "53300", "57P01", "57P03", "08006", "XX000", ""].into_iter().any(lasts));
    }

    #[test]
    fn a_bad_configuration_is_not_repeated() {
        let cause = "postgres://u:hunter2@h:hunter2/".parse::<tokio_postgres::Config>().expect_err("no port");
        let error = error(cause);
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(!format!("{error} {error:?}").contains("hunter2"));
    }
}
