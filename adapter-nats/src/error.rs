//! From the client's errors to ours.

use adapter_core::backend::tls::refusal;
use adapter_core::backend::{Channel, causes};
use adapter_core::{Error, ErrorKind};
use async_nats::{ConnectError, ConnectErrorKind, ServerError};

/// What a failed attempt to connect means.
pub(crate) fn connecting(error: ConnectError) -> Error {
    let kind = match error.kind() {
        ConnectErrorKind::Authentication | ConnectErrorKind::AuthorizationViolation => ErrorKind::Denied,
        ConnectErrorKind::ServerParse | ConnectErrorKind::Tls => ErrorKind::Config,
        _ => cause(&error),
    };
    let text = match kind {
        ErrorKind::Denied => "the NATS server refused the login",
        ErrorKind::Config => "no TLS session with the NATS server: see the options ca, cert and key",
        _ => "the NATS server cannot be reached",
    };
    Error::new(kind, text).with_source(error)
}

/// Looks for a word of the server or of TLS under an input/output error.
fn cause(error: &(dyn std::error::Error + 'static)) -> ErrorKind {
    let said = causes(error).find_map(|error| match error.downcast_ref()? {
        ServerError::Other(text) if is_refusal(text) => Some(ErrorKind::Denied),
        ServerError::Other(_) => Some(ErrorKind::Unavailable),
        _ => None,
    });
    said.or_else(|| refusal(error)).unwrap_or(ErrorKind::Unavailable)
}

/// Whether the server's `-ERR` speaks of who we are.
fn is_refusal(text: &str) -> bool {
    let text = text.to_lowercase();
    ["authorization", "authentication", "permissions violation", "account", "revoked"]
        .iter()
        .any(|word| text.contains(word))
}

/// The server does not let us use this channel.
pub(crate) fn denied(channel: &Channel) -> Error {
    Error::new(ErrorKind::Denied, format!("the NATS server does not permit subject {channel}"))
}

/// What the server refused, on a connection that it otherwise keeps.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Violation<'a> {
    Publish(&'a str),
    Subscribe(&'a str),
}

/// Reads `Permissions Violation for Publish to "subject"` and its sister for subscriptions.
pub(crate) fn violation(text: &str) -> Option<Violation<'_>> {
    let (_, rest) = text.split_once("Permissions Violation for ")?;
    let (what, rest) = rest.split_once(" to \"")?;
    let (subject, _) = rest.split_once('"')?;
    match what {
        "Publish" => Some(Violation::Publish(subject)),
        "Subscription" => Some(Violation::Subscribe(subject)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use async_nats::rustls;
    use std::io;

    #[test]
    fn a_failed_connect_has_the_kind_of_its_cause() {
        let server = |text: &str| ConnectError::with_source(ConnectErrorKind::Io, ServerError::Other(text.to_owned()));
        let tls = |error: rustls::Error| ConnectError::from(io::Error::new(io::ErrorKind::InvalidData, error));
        let table = [
            (ConnectError::new(ConnectErrorKind::AuthorizationViolation), ErrorKind::Denied),
            (ConnectError::new(ConnectErrorKind::Authentication), ErrorKind::Denied),
            (ConnectError::new(ConnectErrorKind::ServerParse), ErrorKind::Config),
            (ConnectError::new(ConnectErrorKind::Tls), ErrorKind::Config),
            (ConnectError::new(ConnectErrorKind::Dns), ErrorKind::Unavailable),
            (ConnectError::new(ConnectErrorKind::TimedOut), ErrorKind::Unavailable),
            (ConnectError::from(io::Error::from(io::ErrorKind::ConnectionRefused)), ErrorKind::Unavailable),
            (server("Authentication Timeout"), ErrorKind::Denied),
            (server("User Authentication Revoked"), ErrorKind::Denied),
            (server("maximum connections exceeded"), ErrorKind::Unavailable),
            (tls(rustls::Error::AlertReceived(rustls::AlertDescription::CertificateRequired)), ErrorKind::Denied),
            (tls(rustls::CertificateError::UnknownIssuer.into()), ErrorKind::Config),
        ];
        for (error, kind) in table {
            let text = format!("{error:?}");
            assert_eq!(connecting(error).kind(), kind, "{text}");
        }
    }

    #[test]
    fn violations_name_the_subject() {
        let table = [
            (r#"Permissions Violation for Publish to "rc.a.all""#, Some(Violation::Publish("rc.a.all"))),
            (r#"Permissions Violation for Subscription to "rc.b""#, Some(Violation::Subscribe("rc.b"))),
            (r#"Permissions Violation for Subscription to "a" using queue "b""#, Some(Violation::Subscribe("a"))),
            ("Stale Connection", None),
            (r#"Permissions Violation for Something to "a""#, None),
        ];
        for (text, expected) in table {
            assert_eq!(violation(text), expected, "{text}");
        }
    }
}
