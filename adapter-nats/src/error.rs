//! From the client's errors to ours.

use std::time::Instant;

use async_nats::{ConnectError, ConnectErrorKind, ServerError};
use roomcast_core::backend::tls::refusal;
use roomcast_core::backend::{Channel, causes};
use roomcast_core::{Error, ErrorKind};

/// What a failed attempt to connect means, with a JWT that expires then.
pub(crate) fn connecting(error: ConnectError, expires: Option<Instant>) -> Error {
    let (kind, text) = match error.kind() {
        ConnectErrorKind::Authentication | ConnectErrorKind::AuthorizationViolation => (ErrorKind::Denied, LOGIN),
        ConnectErrorKind::ServerParse => (ErrorKind::Config, "the URL names no NATS server that can be used"),
        ConnectErrorKind::Tls => (ErrorKind::Config, NO_TLS),
        _ => cause(&error),
    };
    let text =
        if kind == ErrorKind::Denied && expires.is_some_and(|end| end <= Instant::now()) { EXPIRED } else { text };
    Error::new(kind, text).with_source(error)
}

const LOGIN: &str =
    "the NATS server refused the login: check the user and the password, the token, or the file of creds or nkey";
const EXPIRED: &str = "the NATS server refused the login, which has expired: renew the JWT in the file of option creds";
const NO_TLS: &str = "no TLS session with the NATS server: see the options ca, cert and key";

/// The login of a connection is going to end, and there is no other.
pub(crate) fn not_renewed() -> Error {
    Error::unavailable("the JWT in the file of option creds is going to expire: renew the file")
}

/// Looks for a word of the server or of TLS under an input/output error.
fn cause(error: &(dyn std::error::Error + 'static)) -> (ErrorKind, &'static str) {
    let said = causes(error).find_map(|error| match error.downcast_ref()? {
        ServerError::Other(text) => Some(refused(&text.to_lowercase())),
        _ => None,
    });
    let said = said.or_else(|| refusal(error).map(|kind| (kind, NO_TLS)));
    said.unwrap_or((ErrorKind::Unavailable, "the NATS server cannot be reached"))
}

/// What the server's `-ERR` means, by its words in lower case.
fn refused(text: &str) -> (ErrorKind, &'static str) {
    const SAID: [(&[&str], ErrorKind, &str); 4] = [
        (
            &["maximum"],
            ErrorKind::Unavailable,
            "a limit of the NATS server is reached: raise max_connections, or that of the account",
        ),
        (
            &["route port", "leaf node port", "gateway port"],
            ErrorKind::Config,
            "this port of the NATS server is for other servers: name the one for clients, usually 4222",
        ),
        (
            &["tls required"],
            ErrorKind::Config,
            "the NATS server accepts TLS connections only: use a URL that begins with tls://",
        ),
        (&["authorization", "authentication", "permissions violation", "account", "revoked"], ErrorKind::Denied, LOGIN),
    ];
    let said = SAID.iter().find(|(words, ..)| words.iter().any(|word| text.contains(word)));
    said.map_or((ErrorKind::Unavailable, "the NATS server ended the connection: see its log"), |said| (said.1, said.2))
}

/// The server does not let us use this channel.
pub(crate) fn denied(channel: &Channel) -> Error {
    let text =
        format!("the NATS server does not permit subject {channel}: the user needs rc.> to publish and to subscribe");
    Error::new(ErrorKind::Denied, text)
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
    fn every_refusal_has_its_kind_and_says_what_to_do() {
        use ConnectErrorKind as Connect;
        use ErrorKind::{Config, Denied, Unavailable};
        let server = |text: &str| ConnectError::with_source(Connect::Io, ServerError::Other(text.to_owned()));
        let tls = |error: rustls::Error| ConnectError::from(io::Error::new(io::ErrorKind::InvalidData, error));
        let table = [
            (ConnectError::new(Connect::AuthorizationViolation), Denied, "check the user"),
            (ConnectError::new(Connect::Authentication), Denied, "check the user"),
            (ConnectError::new(Connect::ServerParse), Config, "URL"),
            (ConnectError::new(Connect::Tls), Config, "options ca, cert and key"),
            (ConnectError::new(Connect::Dns), Unavailable, "cannot be reached"),
            (ConnectError::new(Connect::TimedOut), Unavailable, "cannot be reached"),
            (ConnectError::from(io::Error::from(io::ErrorKind::ConnectionRefused)), Unavailable, "cannot be reached"),
            (server("Authentication Timeout"), Denied, "check the user"),
            (server("User Authentication Revoked"), Denied, "check the user"),
            (server("Account Authentication Expired"), Denied, "check the user"),
            (server("maximum connections exceeded"), Unavailable, "max_connections"),
            (server("maximum account active connections exceeded"), Unavailable, "account"),
            (server("Attempted To Connect To Route Port"), Config, "4222"),
            (server("Secure Connection - TLS Required"), Config, "tls://"),
            (server("Server Shutdown"), Unavailable, "see its log"),
            (
                tls(rustls::Error::AlertReceived(rustls::AlertDescription::CertificateRequired)),
                Denied,
                "options ca, cert and key",
            ),
            (tls(rustls::CertificateError::UnknownIssuer.into()), Config, "options ca, cert and key"),
        ];
        for (cause, kind, advice) in table {
            let said = format!("{cause:?}");
            let error = connecting(cause, None);
            assert_eq!(error.kind(), kind, "{said}");
            assert!(error.to_string().contains(advice), "{said}: {error}");
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
