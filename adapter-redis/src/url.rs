//! Our URLs, read strictly: what is not understood is an error.

use std::collections::HashMap;
use std::sync::Arc;

use roomcast_core::backend::{
    Channel, Credentials, HostPort, Login, TlsFiles, UrlParts, at_least_one, percent_decoded,
};
use roomcast_core::{Error, Result};

use crate::config::{Mode, Redis};
use crate::topology::{Sentinels, Topology};

/// The schemes and what they mean: plain or TLS, and which kind of installation.
const SCHEMES: [(&str, bool, Kind); 10] = [
    ("redis", false, Kind::Single),
    ("rediss", true, Kind::Single),
    ("valkey", false, Kind::Single),
    ("valkeys", true, Kind::Single),
    ("redis+cluster", false, Kind::Cluster),
    ("rediss+cluster", true, Kind::Cluster),
    ("redis+sentinel", false, Kind::Sentinel),
    ("rediss+sentinel", true, Kind::Sentinel),
    ("redis+streams", false, Kind::Single),
    ("rediss+streams", true, Kind::Single),
];

/// The options, and to which URLs they belong.
const OPTIONS: [(&str, &str); 10] = [
    ("mode", "every URL"),
    ("tag", "redis+cluster:// and mode=sharded"),
    ("stream", "redis+streams:// and mode=streams"),
    ("maxlen", "redis+streams:// and mode=streams"),
    ("ca", "rediss:// and the like"),
    ("cert", "rediss:// and the like"),
    ("key", "rediss:// and the like"),
    (Credentials::OPTION, "every URL"),
    ("sentinel_user", "redis+sentinel://"),
    ("sentinel_password", "redis+sentinel://"),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Single,
    Cluster,
    Sentinel,
}

/// Of a URL. Each is taken out where it is used.
type Options = HashMap<String, String>;

/// What a URL means, and the files of TLS if it asks for that.
///
/// # Errors
/// `Config`.
pub(crate) fn parse(url: &str) -> Result<(Redis, Option<TlsFiles>)> {
    let parts = UrlParts::parse("Redis", &SCHEMES.map(|(scheme, ..)| scheme), url)?;
    let &(_, tls, kind) = SCHEMES.iter().find(|(scheme, ..)| *scheme == parts.scheme).expect("one of them, by parse");
    let hosts = parts.servers(if kind == Kind::Sentinel { 26379 } else { 6379 })?;
    // Several servers that one may ask for anything: that is a cluster, and they have to say so when we connect.
    let kind = if kind == Kind::Single && hosts.len() > 1 { Kind::Cluster } else { kind };
    let mut options = Options::new();
    parts.each_option(&OPTIONS.map(|(name, _)| name).join(", "), |name, value| {
        options.insert(name.to_owned(), value);
        Ok(OPTIONS.iter().any(|(known, _)| *known == name))
    })?;
    if parts.scheme.ends_with("+streams") {
        let other = options.insert("mode".to_owned(), "streams".to_owned()).filter(|mode| mode != "streams");
        if other.is_some() {
            return Err(Error::config("redis+streams:// is mode=streams: redis:// has the others"));
        }
    }
    let mode = mode(kind, &mut options)?;
    let topology = topology(kind, hosts, parts.path, &mut options)?;
    let credentials = parts.credentials(options.remove(Credentials::OPTION))?;
    let mut files = TlsFiles::default();
    if tls {
        options.retain(|name, file| !files.set(name, &*file));
    }
    match OPTIONS.iter().find(|(name, _)| options.contains_key(*name)) {
        Some((name, place)) => Err(Error::config(format!("the option {name} belongs to {place}"))),
        None => Ok((Redis { topology, credentials, tls: None, mode }, tls.then_some(files))),
    }
}

fn mode(kind: Kind, options: &mut Options) -> Result<Mode> {
    use Kind::{Cluster, Sentinel, Single};
    match (options.remove("mode").as_deref(), kind) {
        (None | Some("pubsub"), Single | Sentinel) => Ok(Mode::PubSub),
        (None, Cluster) | (Some("sharded"), _) => {
            Ok(Mode::Sharded { tag: word(options, "tag")?.unwrap_or_else(|| "roomcast".to_owned()) })
        }
        (Some("streams"), Single | Sentinel) => {
            let maxlen = options.remove("maxlen").map_or(Ok(10_000), |maxlen| at_least_one("maxlen", &maxlen))?;
            Ok(Mode::Streams { key: word(options, "stream")?, maxlen })
        }
        (Some("pubsub" | "streams"), Cluster) => Err(Error::config(
            "several servers, or redis+cluster://, are a Redis Cluster, which is used by sharded pub/sub; for plain \
             pub/sub over the cluster's bus give one of its servers as redis://",
        )),
        (Some(_), _) => Err(Error::config("the option mode is pubsub, sharded or streams")),
    }
}

fn topology(kind: Kind, mut hosts: Vec<HostPort>, path: &str, options: &mut Options) -> Result<Topology> {
    let (service, database) = match kind {
        Kind::Sentinel => path.split_once('/').unwrap_or((path, "")),
        Kind::Single | Kind::Cluster => ("", path),
    };
    // Pub/sub ignores the number: two clusters with different ones would hear each other, where the numbers promise otherwise.
    if !matches!(database, "" | "0") {
        return Err(Error::config(
            "behind its slash a Redis URL has database 0 or none: pub/sub ignores the number, so another one would \
             separate nothing. Give each cluster a name (?cluster=NAME in the URL, or ClusterBuilder::cluster)",
        ));
    }
    match kind {
        Kind::Cluster => Ok(Topology::Cluster { seeds: hosts, learned: Arc::default() }),
        Kind::Sentinel if service.is_empty() => {
            Err(Error::config("redis+sentinel:// names the service in its path: redis+sentinel://host/service"))
        }
        Kind::Sentinel => {
            let mut login = Login::default();
            (login.user, login.password) = (options.remove("sentinel_user"), options.remove("sentinel_password"));
            Ok(Topology::Sentinel(Sentinels { all: hosts, service: percent_decoded(service)?, login }))
        }
        Kind::Single => Ok(Topology::Single(hosts.swap_remove(0))), // several are a cluster, and none is refused
    }
}

/// An option with the letters of a channel: nothing that a broker or an ACL pattern understands as something else.
fn word(options: &mut Options, name: &str) -> Result<Option<String>> {
    let word = options.remove(name);
    match word.as_deref().map(Channel::new) {
        Some(Err(_)) => Err(Error::config(format!(
            "the option {name} has letters, digits and single . _ - between them, at most 63"
        ))),
        _ => Ok(word),
    }
}

#[cfg(test)]
#[path = "url_tests.rs"]
mod tests;
