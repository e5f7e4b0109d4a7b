//! From the client's errors to ours.

use adapter_core::{Error, ErrorKind};
use redis::{RedisError, ServerErrorKind};

/// The error for people, with the client's own as its source.
pub(crate) fn error(cause: RedisError) -> Error {
    let kind = kind(&cause);
    let text = match kind {
        ErrorKind::Config => "the Redis server cannot do what the configuration asks",
        ErrorKind::Denied => "the Redis server refused the login or the permission",
        ErrorKind::Unavailable => "the Redis server cannot be reached",
        _ => "the Redis server answered something unexpected",
    };
    Error::new(kind, text).with_source(cause)
}

/// What kind of error it is to us.
pub(crate) fn kind(cause: &RedisError) -> ErrorKind {
    use redis::ErrorKind as Redis;
    match cause.kind() {
        Redis::AuthenticationFailed => ErrorKind::Denied,
        Redis::InvalidClientConfig | Redis::RESP3NotSupported => ErrorKind::Config,
        Redis::Io => ErrorKind::Unavailable,
        Redis::Server(server) => server_kind(server, cause.detail().unwrap_or_default()),
        // Codes that the client has no name for. DENIED is the protected mode of a server without a password.
        Redis::Extension => match cause.code() {
            Some("NOAUTH" | "WRONGPASS" | "DENIED") => ErrorKind::Denied,
            Some("NOPROTO") => ErrorKind::Config,
            Some("NOREPLICAS" | "UNKILLABLE" | "BUSY" | "IDONTKNOW" | "NOGOODSLAVE") => ErrorKind::Unavailable,
            _ => ErrorKind::Unexpected,
        },
        _ => ErrorKind::Unexpected,
    }
}

fn server_kind(kind: ServerErrorKind, detail: &str) -> ErrorKind {
    match kind {
        ServerErrorKind::NoPerm => ErrorKind::Denied,
        ServerErrorKind::BusyLoading
        | ServerErrorKind::Moved
        | ServerErrorKind::Ask
        | ServerErrorKind::TryAgain
        | ServerErrorKind::ClusterDown
        | ServerErrorKind::MasterDown
        | ServerErrorKind::ReadOnly => ErrorKind::Unavailable,
        ServerErrorKind::ResponseError if detail.contains("max number of clients") => ErrorKind::Unavailable,
        // A server too old for RESP3 or for sharded pub/sub.
        ServerErrorKind::ResponseError if detail.contains("unknown command") => ErrorKind::Config,
        _ => ErrorKind::Unexpected,
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use redis::{ErrorKind as Redis, RedisError, make_extension_error};

    use super::*;

    fn client(kind: Redis) -> RedisError {
        (kind, "text").into()
    }

    fn server(kind: ServerErrorKind, detail: &str) -> RedisError {
        (Redis::Server(kind), "An error was signalled by the server", detail.to_owned()).into()
    }

    fn other(code: &str) -> RedisError {
        make_extension_error(code.to_owned(), None)
    }

    #[test]
    fn every_error_of_the_client_has_its_kind() {
        use ServerErrorKind as Server;
        let table = [
            (client(Redis::AuthenticationFailed), ErrorKind::Denied),
            (server(Server::NoPerm, "this user has no permissions"), ErrorKind::Denied),
            (other("NOAUTH"), ErrorKind::Denied),
            (other("WRONGPASS"), ErrorKind::Denied),
            (other("DENIED"), ErrorKind::Denied),
            (client(Redis::InvalidClientConfig), ErrorKind::Config),
            (client(Redis::RESP3NotSupported), ErrorKind::Config),
            (other("NOPROTO"), ErrorKind::Config),
            (server(Server::ResponseError, "unknown command 'SSUBSCRIBE', with args"), ErrorKind::Config),
            (server(Server::ResponseError, "max number of clients reached"), ErrorKind::Unavailable),
            (client(Redis::Io), ErrorKind::Unavailable),
            (std::io::Error::from(std::io::ErrorKind::TimedOut).into(), ErrorKind::Unavailable),
            (server(Server::BusyLoading, ""), ErrorKind::Unavailable),
            (server(Server::Moved, "1 127.0.0.1:1"), ErrorKind::Unavailable),
            (server(Server::ClusterDown, ""), ErrorKind::Unavailable),
            (server(Server::MasterDown, ""), ErrorKind::Unavailable),
            (server(Server::ReadOnly, ""), ErrorKind::Unavailable),
            (server(Server::ResponseError, "something else"), ErrorKind::Unexpected),
            (server(Server::CrossSlot, ""), ErrorKind::Unexpected),
            (other("NEVERHEARD"), ErrorKind::Unexpected),
            (client(Redis::Parse), ErrorKind::Unexpected),
        ];
        for (cause, expected) in table {
            assert_eq!(kind(&cause), expected, "{cause:?}");
        }
    }

    #[test]
    fn the_cause_is_the_source_and_not_part_of_the_text() {
        let error = error(other("WRONGPASS"));
        assert!(!error.to_string().contains("WRONGPASS"));
        assert!(error.source().expect("kept").to_string().contains("WRONGPASS"));
    }
}
