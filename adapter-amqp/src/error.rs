//! From the client's errors to ours.

use std::io;

use roomcast_core::backend::tls::refusal;
use roomcast_core::{Error, ErrorKind};

use crate::config::Amqp;

/// The codes of AMQP that we know.
const CONNECTION_FORCED: u16 = 320;
const ACCESS_REFUSED: u16 = 403;
const PRECONDITION_FAILED: u16 = 406;
const COMMAND_INVALID: u16 = 503;
const NOT_ALLOWED: u16 = 530;

const NO_TLS: &str = "no TLS session with the broker: see the options ca, cert and key";

/// What the broker said, if it did.
fn said(cause: &lapin::Error) -> Option<(u16, &str)> {
    match cause.kind() {
        lapin::ErrorKind::ProtocolError(error) => Some((error.get_id(), error.get_message().as_str())),
        _ => None,
    }
}

/// What a failed login means.
pub(crate) fn connecting(amqp: &Amqp, cause: lapin::Error) -> Error {
    let vhost = &amqp.vhost;
    let error = match said(&cause) {
        Some((CONNECTION_FORCED, _)) => Error::unavailable("the broker is being shut down"),
        Some((ACCESS_REFUSED, _)) => Error::new(
            ErrorKind::Denied,
            "the broker refused the login: check the user and the password; the user guest may come from the broker's own \
             machine alone",
        ),
        // The broker says 530 of everything about virtual hosts.
        Some((NOT_ALLOWED, text)) if text.contains("not found") => Error::config(format!(
            "the broker has no virtual host {vhost:?}: rabbitmqctl add_vhost makes it, and the path of the URL names another one"
        )),
        Some((NOT_ALLOWED, text)) if text.contains("access to vhost") && !text.contains("limit") => Error::new(
            ErrorKind::Denied,
            format!("the user may not use the virtual host {vhost:?}: rabbitmqctl set_permissions lets it"),
        ),
        Some((NOT_ALLOWED, _)) => Error::unavailable(
            "the broker accepts no connection now: see its limits of connections, of the virtual host and of the user",
        ),
        Some((COMMAND_INVALID, text)) if text.contains("mechanism") => Error::config(
            "the broker takes no login by certificate: it needs the plugin rabbitmq_auth_mechanism_ssl, or the URL a user \
             and a password",
        ),
        Some(_) => Error::new(ErrorKind::Unexpected, "the broker does not open the connection: see its log"),
        None => match refusal(&cause) {
            Some(kind) => Error::new(kind, NO_TLS),
            None => Error::unavailable("the broker ended the connection"),
        },
    };
    error.with_source(cause)
}

/// What a failure to prepare exchange, queues and consumers means.
pub(crate) fn preparing(amqp: &Amqp, cause: lapin::Error) -> Error {
    let exchange = &amqp.exchange;
    let error = match said(&cause) {
        // RabbitMQ says 406 of a limit, LavinMQ 403.
        Some((ACCESS_REFUSED | PRECONDITION_FAILED, text)) if text.contains("limit") => Error::unavailable(
            "the broker's limit of queues is reached: raise it (max-queues of the virtual host, cluster_queue_limit), or \
             remove queues",
        ),
        Some((ACCESS_REFUSED, _)) => Error::new(
            ErrorKind::Denied,
            format!("the user needs the permissions configure, write and read for \"^{exchange}\" in its virtual host"),
        ),
        Some((PRECONDITION_FAILED, _)) => Error::config(format!(
            "the exchange {exchange:?} exists with other properties (Roomcast needs a direct one that is not durable): name \
             another one by the option exchange"
        )),
        Some(_) => Error::new(ErrorKind::Unexpected, "the broker did not create what a node needs: see its log"),
        None => Error::unavailable("the connection to the broker broke"),
    };
    error.with_source(cause)
}

/// What a failed publish or binding means, on a connection that was good before.
pub(crate) fn broken(cause: lapin::Error) -> Error {
    let is_denied = said(&cause).is_some_and(|(code, _)| code == ACCESS_REFUSED);
    let kind = if is_denied { ErrorKind::Denied } else { ErrorKind::Unavailable };
    Error::new(kind, "the broker did not confirm").with_source(cause)
}

/// The broker's `max_message_size`, if that is why it refused a message. It is announced nowhere.
pub(crate) fn most(cause: &lapin::Error) -> Option<usize> {
    let (_, text) = said(cause).filter(|(code, _)| *code == PRECONDITION_FAILED)?;
    let (_, number) = text.split_once(" is larger than ")?.1.split_once("max size ")?;
    number.split(|other: char| !other.is_ascii_digit()).next()?.parse().ok()
}

/// No connection by TCP.
pub(crate) fn unreachable(cause: io::Error) -> Error {
    Error::unavailable("the RabbitMQ server cannot be reached").with_source(cause)
}

/// No TLS session.
pub(crate) fn tls(cause: io::Error) -> Error {
    let kind = refusal(&cause).unwrap_or(ErrorKind::Unavailable);
    Error::new(kind, NO_TLS).with_source(cause)
}

#[cfg(test)]
mod tests {
    use lapin::protocol::AMQPError;

    use super::*;

    fn protocol(code: u16, text: &str) -> lapin::Error {
        let error = AMQPError::from_id(code, text.into()).expect("a code of AMQP");
        lapin::ErrorKind::ProtocolError(error).into()
    }

    /// Each answer of the broker, what kind of error it is, and a word of what the operator is told to do.
    fn holds(table: &[(u16, &str, ErrorKind, &str)], meaning: impl Fn(lapin::Error) -> Error) {
        for (code, said, kind, advice) in table {
            let error = meaning(protocol(*code, said));
            assert_eq!(error.kind(), *kind, "{said}");
            let text = error.to_string();
            assert!(text.contains(advice) && !text.contains(said), "{said}: {text}");
            assert!(!format!("{error} {error:?}").contains("hunter2"));
        }
    }

    #[test]
    fn every_refusal_of_a_login_has_its_kind_and_says_what_to_do() {
        use ErrorKind::{Config, Denied, Unavailable, Unexpected};
        let amqp = Amqp::from_url("amqp://shop:hunter2@host/orders").expect("valid");
        let table = [
            (403, "ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN", Denied, "check the user"),
            (530, "NOT_ALLOWED - vhost orders not found", Config, "add_vhost"),
            (530, "NOT_ALLOWED - access to vhost 'orders' refused for user 'shop'", Denied, "set_permissions"),
            (
                530,
                "NOT_ALLOWED - access to vhost 'orders' refused for user 'shop': connection limit (0) is reached",
                Unavailable,
                "limits of connections",
            ),
            (503, "COMMAND_INVALID - unknown authentication mechanism 'EXTERNAL'", Config, "auth_mechanism_ssl"),
            (
                320,
                "CONNECTION_FORCED - broker forced connection closure with reason 'shutdown'",
                Unavailable,
                "shut down",
            ),
            (541, "INTERNAL_ERROR", Unexpected, "see its log"),
        ];
        holds(&table, |cause| connecting(&amqp, cause));
        for cause in
            [io::Error::from(io::ErrorKind::ConnectionReset).into(), lapin::ErrorKind::MissingHeartbeatError.into()]
        {
            assert_eq!(connecting(&amqp, cause).kind(), Unavailable);
        }
    }

    #[test]
    fn every_refusal_of_what_a_node_needs_has_its_kind_and_says_what_to_do() {
        use ErrorKind::{Config, Denied, Unavailable, Unexpected};
        let amqp = Amqp::from_url("amqp://shop:hunter2@host?exchange=shop").expect("valid");
        let table = [
            (403, "ACCESS_REFUSED - access to exchange 'shop' in vhost '/' refused", Denied, "\"^shop\""),
            (406, "PRECONDITION_FAILED - inequivalent arg 'type' for exchange 'shop'", Config, "option exchange"),
            (
                406,
                "PRECONDITION_FAILED - cannot declare queue 'x': queue limit in vhost '/' (10) is reached",
                Unavailable,
                "max-queues",
            ),
            (403, "ACCESS_REFUSED - queue limit in vhost '/' (10) is reached", Unavailable, "max-queues"),
            (541, "INTERNAL_ERROR", Unexpected, "see its log"),
        ];
        holds(&table, |cause| preparing(&amqp, cause));
        let table = [
            (403, "ACCESS_REFUSED - write access refused", Denied, "did not confirm"),
            (404, "NOT_FOUND - no exchange 'shop' in vhost '/'", Unavailable, "did not confirm"),
        ];
        holds(&table, broken);
    }

    #[test]
    fn a_refusal_of_a_large_message_names_the_limit() {
        let table = [
            (406, "PRECONDITION_FAILED - message size 131064 is larger than configured max size 65536", Some(65_536)),
            (406, "PRECONDITION_FAILED - message size 536870913 is larger than max size 536870912", Some(536_870_912)),
            (406, "PRECONDITION_FAILED - message size 7 is larger than configured max size ", None),
            (406, "PRECONDITION_FAILED - inequivalent arg 'type' for exchange 'shop'", None),
            (541, "INTERNAL_ERROR - message size 7 is larger than max size 5", None),
        ];
        for (code, said, limit) in table {
            assert_eq!(most(&protocol(code, said)), limit, "{said}");
        }
    }
}
