//! From the client's errors to ours.

use std::io;

use adapter_core::backend::tls::refusal;
use adapter_core::{Error, ErrorKind};
use lapin::protocol::AMQPError;

use crate::config::Amqp;

/// The codes of AMQP that we know.
const ACCESS_REFUSED: u16 = 403;
const PRECONDITION_FAILED: u16 = 406;
const COMMAND_INVALID: u16 = 503;
const NOT_ALLOWED: u16 = 530;

/// What the broker said, if it did.
fn said(cause: &lapin::Error) -> Option<(u16, &AMQPError)> {
    match cause.kind() {
        lapin::ErrorKind::ProtocolError(error) => Some((error.get_id(), error)),
        _ => None,
    }
}

/// What a failed login means.
pub(crate) fn connecting(amqp: &Amqp, cause: lapin::Error) -> Error {
    let (kind, text) = match said(&cause) {
        Some((ACCESS_REFUSED, _)) => (ErrorKind::Denied, "the broker refused the login".to_owned()),
        Some((NOT_ALLOWED, error)) => vhost(amqp, error.get_message().as_str()),
        Some((COMMAND_INVALID, error)) if error.get_message().as_str().contains("mechanism") => {
            let text = "the broker takes no login by certificate: it needs the plugin rabbitmq_auth_mechanism_ssl, or the \
                        URL a user and a password";
            (ErrorKind::Config, text.to_owned())
        }
        Some(_) => (ErrorKind::Unexpected, "the broker does not open the connection".to_owned()),
        None => match refusal(&cause) {
            Some(kind) => (kind, "no TLS session with the broker: see the options ca, cert and key".to_owned()),
            None => (ErrorKind::Unavailable, "the broker ended the connection".to_owned()),
        },
    };
    Error::new(kind, text).with_source(cause)
}

/// The broker says 530 of everything about virtual hosts.
fn vhost(amqp: &Amqp, text: &str) -> (ErrorKind, String) {
    let name = amqp.vhost();
    if text.contains("not found") {
        let advice = "rabbitmqctl add_vhost makes it, and the path of the URL names another one";
        (ErrorKind::Config, format!("the broker has no virtual host {name:?}: {advice}"))
    } else if text.contains("access to vhost") && !text.contains("limit") {
        let advice = "rabbitmqctl set_permissions lets it";
        (ErrorKind::Denied, format!("the user may not use the virtual host {name:?}: {advice}"))
    } else {
        (ErrorKind::Unavailable, "the broker takes no connection now".to_owned())
    }
}

/// What a failure to prepare exchange, queues and consumers means.
pub(crate) fn preparing(amqp: &Amqp, cause: lapin::Error) -> Error {
    let exchange = amqp.exchange_name();
    let full = |error: &AMQPError| error.get_message().as_str().contains("limit");
    let (kind, text) = match said(&cause) {
        // RabbitMQ says 406 of a limit, LavinMQ 403.
        Some((ACCESS_REFUSED | PRECONDITION_FAILED, error)) if full(error) => {
            let advice = "raise it (max-queues of the virtual host, cluster_queue_limit), or remove queues";
            (ErrorKind::Unavailable, format!("the broker's limit of queues is reached: {advice}"))
        }
        Some((ACCESS_REFUSED, _)) => (
            ErrorKind::Denied,
            format!("the user needs the permissions configure, write and read for \"^{exchange}\" in its virtual host"),
        ),
        Some((PRECONDITION_FAILED, _)) => (
            ErrorKind::Config,
            format!(
                "the exchange {exchange:?} exists and is another one (ours is direct and not durable): the option exchange names another"
            ),
        ),
        Some(_) => (ErrorKind::Unexpected, "the broker does not make what a node needs".to_owned()),
        None => (ErrorKind::Unavailable, "the connection to the broker broke".to_owned()),
    };
    Error::new(kind, text).with_source(cause)
}

/// Whether the broker refuses what it was asked for good.
fn is_denied(cause: &lapin::Error) -> bool {
    said(cause).is_some_and(|(code, _)| code == ACCESS_REFUSED)
}

/// What a failed publish or binding means, on a connection that was good before.
pub(crate) fn broken(cause: lapin::Error) -> Error {
    let kind = if is_denied(&cause) { ErrorKind::Denied } else { ErrorKind::Unavailable };
    Error::new(kind, "the broker did not confirm").with_source(cause)
}

/// No connection by TCP.
pub(crate) fn unreachable(cause: io::Error) -> Error {
    Error::unavailable("the RabbitMQ server cannot be reached").with_source(cause)
}

/// No TLS session.
pub(crate) fn tls(cause: io::Error) -> Error {
    let kind = refusal(&cause).unwrap_or(ErrorKind::Unavailable);
    Error::new(kind, "no TLS session with the broker: see the options ca, cert and key").with_source(cause)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn protocol(code: u16, text: &str) -> lapin::Error {
        let error = AMQPError::from_id(code, text.into()).expect("a code of AMQP");
        lapin::ErrorKind::ProtocolError(error).into()
    }

    #[test]
    fn a_failed_login_has_the_kind_of_its_cause() {
        let amqp = Amqp::from_url("amqp://shop:hunter2@host/orders").expect("valid");
        let table = [
            (
                protocol(403, "ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN"),
                ErrorKind::Denied,
            ),
            (protocol(530, "NOT_ALLOWED - vhost orders not found"), ErrorKind::Config),
            (protocol(530, "NOT_ALLOWED - access to vhost 'orders' refused for user 'shop'"), ErrorKind::Denied),
            (
                protocol(
                    530,
                    "NOT_ALLOWED - access to vhost 'orders' refused for user 'shop': connection limit (0) is reached",
                ),
                ErrorKind::Unavailable,
            ),
            (protocol(503, "COMMAND_INVALID - unknown authentication mechanism 'EXTERNAL'"), ErrorKind::Config),
            (protocol(541, "INTERNAL_ERROR"), ErrorKind::Unexpected),
            (io::Error::from(io::ErrorKind::ConnectionReset).into(), ErrorKind::Unavailable),
            (lapin::ErrorKind::MissingHeartbeatError.into(), ErrorKind::Unavailable),
        ];
        for (cause, kind) in table {
            let text = format!("{cause:?}");
            let error = connecting(&amqp, cause);
            assert_eq!(error.kind(), kind, "{text}");
            assert!(!format!("{error} {error:?}").contains("hunter2"));
        }
    }

    #[test]
    fn what_cannot_be_prepared_says_what_to_do() {
        let amqp = Amqp::from_url("amqp://host?exchange=shop").expect("valid");
        let denied = preparing(&amqp, protocol(403, "ACCESS_REFUSED - access to exchange 'shop' in vhost '/' refused"));
        assert!(denied.kind() == ErrorKind::Denied && denied.to_string().contains("^shop"), "{denied}");
        let clash =
            preparing(&amqp, protocol(406, "PRECONDITION_FAILED - inequivalent arg 'type' for exchange 'shop'"));
        for (code, text) in [
            (406, "PRECONDITION_FAILED - cannot declare queue 'x': queue limit in vhost '/' (10) is reached"),
            (403, "ACCESS_REFUSED - queue limit in vhost '/' (10) is reached"),
        ] {
            let full = preparing(&amqp, protocol(code, text));
            assert!(full.kind() == ErrorKind::Unavailable && full.to_string().contains("max-queues"), "{full}");
        }
        assert!(clash.kind() == ErrorKind::Config && clash.to_string().contains("option exchange"), "{clash}");
    }
}
