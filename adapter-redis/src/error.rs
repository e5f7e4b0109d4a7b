//! From the client's errors to ours.

use redis::{RedisError, ServerErrorKind};
use roomcast_core::{Error, ErrorKind};

/// The error for people, with the client's own as its source.
pub(crate) fn error(cause: RedisError) -> Error {
    let (kind, text) = meaning(&cause);
    Error::new(kind, text).with_source(cause)
}

/// What kind of error it is to us.
pub(crate) fn kind(cause: &RedisError) -> ErrorKind {
    meaning(cause).0
}

fn meaning(cause: &RedisError) -> (ErrorKind, &'static str) {
    use ErrorKind::{Config, Denied, Unavailable, Unexpected};
    use redis::ErrorKind as Redis;
    const LOGIN: &str = "the Redis server refused the login: check the user and the password";
    const TOO_OLD: &str = "the Redis server does not speak RESP3: Redis 6 or later does, and Valkey";
    const UNEXPECTED: &str = "the Redis server sent an unexpected reply";
    match cause.kind() {
        Redis::AuthenticationFailed => (Denied, LOGIN),
        Redis::InvalidClientConfig => (Config, "the Redis URL cannot be used"),
        Redis::RESP3NotSupported => (Config, TOO_OLD),
        Redis::Io => (Unavailable, "the Redis server cannot be reached"),
        Redis::Parse => (Unexpected, "what replies does not speak the protocol of Redis: check the host and the port"),
        Redis::Server(server) => of_server(server, cause.detail().unwrap_or_default()),
        // Codes that the client has no name for.
        Redis::Extension => match cause.code() {
            Some("NOAUTH") => (Denied, "the Redis server asks for a password, and none was sent"),
            Some("WRONGPASS") => (Denied, LOGIN),
            Some("DENIED") => {
                (Denied, "the Redis server is in protected mode, which takes its own machine alone: give it a password")
            }
            Some("NOPROTO") => (Config, TOO_OLD),
            Some("OOM") => {
                (Unavailable, "the Redis server's memory is full: raise its maxmemory, or lower the option maxlen")
            }
            Some("MISCONF") => (Unavailable, "the Redis server cannot save its data, and takes no writes: see its log"),
            Some("BUSY" | "UNKILLABLE") => (Unavailable, "the Redis server is busy with a script: SCRIPT KILL ends it"),
            Some("NOREPLICAS") => (Unavailable, "the Redis server takes no writes: too few of its replicas follow it"),
            Some("IDONTKNOW" | "NOGOODSLAVE") => (Unavailable, "the sentinel knows no server that could be the master"),
            _ => (Unexpected, UNEXPECTED),
        },
        _ => (Unexpected, UNEXPECTED),
    }
}

fn of_server(said: ServerErrorKind, detail: &str) -> (ErrorKind, &'static str) {
    use ErrorKind::{Config, Denied, Unavailable, Unexpected};
    match said {
        ServerErrorKind::NoPerm => (
            Denied,
            "the Redis user lacks a permission: the README of roomcast-redis lists the commands and channels of a node",
        ),
        ServerErrorKind::BusyLoading => (Unavailable, "the Redis server is still loading its data"),
        ServerErrorKind::Moved | ServerErrorKind::Ask | ServerErrorKind::TryAgain => {
            (Unavailable, "the slot of the channels is moving to another server of the Redis Cluster")
        }
        ServerErrorKind::ClusterDown => {
            (Unavailable, "the Redis Cluster is down: CLUSTER INFO says which slots no server serves")
        }
        ServerErrorKind::MasterDown | ServerErrorKind::ReadOnly => (
            Unavailable,
            "the Redis server is a replica: name the master, or let redis+sentinel:// or redis+cluster:// find it",
        ),
        ServerErrorKind::ResponseError if detail.contains("max number of clients") => {
            (Unavailable, "the Redis server's limit of clients is reached: raise its maxclients")
        }
        ServerErrorKind::ResponseError if detail.contains("unknown command") => {
            (Config, "the Redis server lacks a command: Redis 6 or later is needed, 7 for sharded pub/sub, or Valkey")
        }
        _ => (Unexpected, "the Redis server sent an unexpected reply"),
    }
}

/// Whether it is about the server's own state, which every connection would meet: a full memory, a failed save, a script that runs on.
pub(crate) fn is_of_the_server(cause: &RedisError) -> bool {
    matches!(cause.code(), Some("OOM" | "MISCONF" | "NOREPLICAS" | "BUSY" | "UNKILLABLE"))
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
    fn every_refusal_has_its_kind_and_says_what_to_do() {
        use ErrorKind::{Config, Denied, Unavailable, Unexpected};
        use ServerErrorKind as Server;
        let timeout = || std::io::Error::from(std::io::ErrorKind::TimedOut).into();
        let table = [
            (client(Redis::AuthenticationFailed), Denied, "check the user and the password"),
            (client(Redis::Parse), Unexpected, "check the host and the port"),
            (other("WRONGPASS"), Denied, "check the user and the password"),
            (other("NOAUTH"), Denied, "asks for a password"),
            (other("DENIED"), Denied, "give it a password"),
            (server(Server::NoPerm, "this user has no permissions"), Denied, "README"),
            (client(Redis::InvalidClientConfig), Config, "URL"),
            (client(Redis::RESP3NotSupported), Config, "Redis 6"),
            (other("NOPROTO"), Config, "Redis 6"),
            (server(Server::ResponseError, "unknown command 'SSUBSCRIBE', with args"), Config, "7 for sharded"),
            (server(Server::ResponseError, "max number of clients reached"), Unavailable, "maxclients"),
            (client(Redis::Io), Unavailable, "cannot be reached"),
            (timeout(), Unavailable, "cannot be reached"),
            (server(Server::BusyLoading, ""), Unavailable, "loading"),
            (server(Server::Moved, "1 127.0.0.1:1"), Unavailable, "moving"),
            (server(Server::ClusterDown, ""), Unavailable, "CLUSTER INFO"),
            (server(Server::MasterDown, ""), Unavailable, "name the master"),
            (server(Server::ReadOnly, ""), Unavailable, "name the master"),
            (other("OOM"), Unavailable, "maxmemory"),
            (other("MISCONF"), Unavailable, "see its log"),
            (other("BUSY"), Unavailable, "SCRIPT KILL"),
            (other("NOREPLICAS"), Unavailable, "replicas"),
            (other("NOGOODSLAVE"), Unavailable, "sentinel"),
            (server(Server::ResponseError, "something else"), Unexpected, "unexpected"),
            (server(Server::CrossSlot, ""), Unexpected, "unexpected"),
            (other("NEVERHEARD"), Unexpected, "unexpected"),
            (client(Redis::UnexpectedReturnType), Unexpected, "unexpected"),
        ];
        for (cause, kind, advice) in table {
            let said = format!("{cause:?}");
            let error = error(cause);
            assert_eq!(error.kind(), kind, "{said}");
            assert!(error.to_string().contains(advice), "{said}: {error}");
        }
    }

    #[test]
    fn the_cause_is_the_source_and_not_part_of_the_text() {
        let error = error(other("WRONGPASS"));
        assert!(!error.to_string().contains("WRONGPASS"));
        assert!(error.source().expect("kept").to_string().contains("WRONGPASS"));
    }
}
