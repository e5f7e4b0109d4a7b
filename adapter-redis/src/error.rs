//! From the client's errors to ours.

use redis::{ErrorKind as Redis, RedisError};
use roomcast_core::backend::HostPort;
use roomcast_core::backend::tls::refusal;
use roomcast_core::{Error, ErrorKind};

/// The error for people, with the client's own as its source.
pub(crate) fn error(cause: RedisError) -> Error {
    let (kind, text) = meaning(&cause);
    Error::new(kind, text).with_source(cause)
}

/// What has failed before the server has taken us.
pub(crate) fn connecting(address: &HostPort, cause: RedisError) -> Error {
    let (kind, text) = match refusal(&cause) {
        Some(kind) => (kind, format!("no TLS session with the Redis server at {address}: see ca, cert and key")),
        None if cause.is_io_error() => {
            (ErrorKind::Unavailable, format!("the Redis server at {address} cannot be reached"))
        }
        None => return error(cause),
    };
    Error::new(kind, text).with_source(cause)
}

fn meaning(cause: &RedisError) -> (ErrorKind, &'static str) {
    use ErrorKind::{Config, Denied, Unavailable, Unexpected};
    const LOGIN: &str = "the Redis server refused the login: check the user and the password";
    const TOO_OLD: &str = "the Redis server does not speak RESP3: Redis 6 or later does, and Valkey";
    let says = |text| cause.detail().is_some_and(|detail| detail.contains(text));
    match (cause.kind(), cause.code().unwrap_or_default()) {
        (Redis::AuthenticationFailed, _) | (_, "WRONGPASS") => (Denied, LOGIN),
        (_, "NOAUTH") => (Denied, "the Redis server asks for a password, and none was sent"),
        (_, "DENIED") => {
            (Denied, "the Redis server is in protected mode, which takes its own machine alone: give it a password")
        }
        (_, "NOPERM") => (
            Denied,
            "the Redis user lacks a permission: the README of roomcast-redis lists the commands and channels of a node",
        ),
        (Redis::InvalidClientConfig, _) => (Config, "the Redis URL cannot be used"),
        (Redis::RESP3NotSupported, _) | (_, "NOPROTO") => (Config, TOO_OLD),
        (_, "ERR") if says("unknown command") => (
            Config,
            "the Redis server lacks a command: Redis 6 or later is needed, Redis 7 for sharded pub/sub, or Valkey",
        ),
        (_, "ERR") if says("max number of clients") => {
            (Unavailable, "the Redis server's limit of clients is reached: raise its maxclients")
        }
        (Redis::Io, _) => (Unavailable, "the Redis server cannot be reached"),
        (_, "LOADING") => (Unavailable, "the Redis server is still loading its data"),
        (_, "MOVED" | "ASK" | "TRYAGAIN") => {
            (Unavailable, "the slot of the channels is moving to another server of the Redis Cluster")
        }
        (_, "CLUSTERDOWN") => {
            (Unavailable, "the Redis Cluster is down: CLUSTER INFO says which slots no server serves")
        }
        (_, "MASTERDOWN" | "READONLY") => (
            Unavailable,
            "the Redis server is a replica: name the master, or let redis+sentinel:// or redis+cluster:// find it",
        ),
        (_, "OOM") => {
            (Unavailable, "the Redis server's memory is full: raise its maxmemory, or lower the option maxlen")
        }
        (_, "MISCONF") => (Unavailable, "the Redis server cannot save its data, and takes no writes: see its log"),
        (_, "BUSY" | "UNKILLABLE") => (Unavailable, "the Redis server is busy with a script: SCRIPT KILL ends it"),
        (_, "NOREPLICAS") => (Unavailable, "the Redis server takes no writes: too few of its replicas follow it"),
        (_, "IDONTKNOW" | "NOGOODSLAVE") => (Unavailable, "the sentinel knows no server that could be the master"),
        (Redis::Parse, _) => {
            (Unexpected, "what replies does not speak the protocol of Redis: check the host and the port")
        }
        _ => (Unexpected, "the Redis server sent an unexpected reply"),
    }
}

/// Whether it is about the server's own state, which every connection would meet: a full memory, a failed save, a script that runs on.
pub(crate) fn is_of_the_server(cause: &RedisError) -> bool {
    matches!(cause.code(), Some("OOM" | "MISCONF" | "NOREPLICAS" | "BUSY" | "UNKILLABLE"))
}

/// What is said of a server that takes what is published, and passes it to nobody but its own subscribers.
pub(crate) fn replica(address: &HostPort) -> String {
    format!(
        "the Redis server at {address} is a replica, and what is published there does not reach the master: name the \
         master, or let redis+sentinel:// or redis+cluster:// find it"
    )
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use redis::{ServerErrorKind, make_extension_error};

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
