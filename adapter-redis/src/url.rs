//! Our URLs, read strictly: what is not understood is an error.

use roomcast_core::backend::{
    Channel, Credentials, HostPort, Login, TlsFiles, UrlParts, at_least_one, percent_decoded,
};
use roomcast_core::{Error, Result};

use crate::config::Mode;

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
    ("redis+streams", false, Kind::Stream),
    ("rediss+streams", true, Kind::Stream),
];

const OPTIONS: &str = "mode, tag, stream, maxlen, ca, cert, key, password_file, sentinel_user, sentinel_password";

/// The default of `maxlen`.
const MAXLEN: u32 = 10_000;

/// The default of `tag`.
pub(crate) const TAG: &str = "roomcast";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Single,
    Cluster,
    Sentinel,
    /// One server, by a stream.
    Stream,
}

/// A URL, taken apart.
#[derive(Debug)]
pub(crate) struct Parsed {
    pub(crate) kind: Kind,
    pub(crate) hosts: Vec<HostPort>,
    pub(crate) service: String,
    pub(crate) credentials: Credentials,
    pub(crate) sentinel: Login,
    pub(crate) tls: Option<TlsFiles>,
    pub(crate) mode: Mode,
}

/// Takes a URL apart.
///
/// # Errors
/// `Config`.
pub(crate) fn parse(url: &str) -> Result<Parsed> {
    let parts = UrlParts::parse("Redis", &SCHEMES.map(|(scheme, ..)| scheme), url)?;
    let &(_, tls, kind) = SCHEMES.iter().find(|(scheme, ..)| *scheme == parts.scheme).expect("one of them, by parse");
    let hosts = parts.servers(if kind == Kind::Sentinel { 26379 } else { 6379 })?;
    // Several servers that one may ask for anything: that is a cluster, and they have to say so when we connect.
    let kind = if kind == Kind::Single && hosts.len() > 1 { Kind::Cluster } else { kind };
    let (service, db) = match kind {
        Kind::Sentinel => parts.path.split_once('/').unwrap_or((parts.path, "")),
        _ => ("", parts.path),
    };
    if kind == Kind::Sentinel && service.is_empty() {
        return Err(Error::config("redis+sentinel:// names the service in its path: redis+sentinel://host/service"));
    }
    if !db.is_empty() {
        database(db.parse().map_err(|_| Error::config("the database in the path of a Redis URL is a number"))?)?;
    }
    if kind == Kind::Stream && hosts.len() > 1 {
        return Err(Error::config("redis+streams:// names one server"));
    }
    let Options { mode, tag, key, maxlen, files, sentinel, password_file } = options(&parts)?;
    let credentials = match Credentials::of_url(parts.login()?, password_file)? {
        Some(credentials) => credentials,
        None => Credentials::fixed(login(&parts)?),
    };
    if !tls && !files.is_empty() {
        return Err(Error::config("the options ca, cert and key belong to rediss://"));
    }
    if kind != Kind::Sentinel && sentinel != Login::default() {
        return Err(Error::config("the options sentinel_user and sentinel_password belong to redis+sentinel://"));
    }
    if kind != Kind::Stream && (key.is_some() || maxlen.is_some()) {
        return Err(Error::config("the options stream and maxlen belong to redis+streams://"));
    }
    let mode = match (mode.as_deref(), kind) {
        (None, Kind::Stream) if tag.is_none() => Mode::stream(key.as_deref(), maxlen.unwrap_or(MAXLEN))?,
        (_, Kind::Stream) => {
            return Err(Error::config("the options mode and tag belong to pub/sub, not to redis+streams://"));
        }
        (Some("sharded"), _) | (None, Kind::Cluster) => Mode::sharded(tag.as_deref().unwrap_or(TAG))?,
        (Some("pubsub"), Kind::Cluster) => {
            return Err(Error::config(
                "redis+cluster:// uses sharded pub/sub; for plain pub/sub over the cluster's bus give \
                 one of its servers as redis://",
            ));
        }
        (Some("pubsub") | None, _) if tag.is_some() => {
            return Err(Error::config("the option tag belongs to mode=sharded"));
        }
        (Some("pubsub") | None, _) => Mode::PubSub,
        (Some(_), _) => return Err(Error::config("the option mode is pubsub or sharded")),
    };
    let service = percent_decoded(service)?;
    Ok(Parsed { kind, hosts, service, credentials, sentinel, tls: tls.then_some(files), mode })
}

#[derive(Default)]
struct Options {
    mode: Option<String>,
    tag: Option<String>,
    key: Option<String>,
    maxlen: Option<u32>,
    files: TlsFiles,
    sentinel: Login,
    password_file: Option<String>,
}

fn options(parts: &UrlParts<'_>) -> Result<Options> {
    let mut options = Options::default();
    parts.each_option(OPTIONS, |name, value| {
        let Options { mode, tag, key, maxlen, files, sentinel, password_file } = &mut options;
        match name {
            "maxlen" => *maxlen = Some(at_least_one(name, &value)?),
            "mode" => *mode = Some(value),
            "tag" => *tag = Some(value),
            "stream" => *key = Some(value),
            Credentials::OPTION => *password_file = Some(value),
            "sentinel_user" => sentinel.user = Some(value),
            "sentinel_password" => sentinel.password = Some(value),
            _ => return Ok(files.set(name, value)),
        }
        Ok(true)
    })?;
    Ok(options)
}

fn login(parts: &UrlParts<'_>) -> Result<Login> {
    match parts.login()? {
        Some((user, Some(password))) if user.is_empty() => Ok(Login::token(password)),
        Some((user, Some(password))) => Ok(Login::new(user, password)),
        Some((_, None)) => Err(Error::config("a Redis URL has user:password before the @, or :password alone")),
        None => Ok(Login::default()),
    }
}

/// Checks a database's number. Pub/sub ignores it, so two clusters with different numbers would hear each other: that is
/// an error, where the number would promise otherwise.
///
/// # Errors
/// `Config` for every database but 0.
pub(crate) fn database(number: i64) -> Result<()> {
    match number {
        0 => Ok(()),
        _ => Err(Error::config(
            "pub/sub of Redis ignores the database, so its number would separate nothing: use database 0, and give each \
             cluster a name (?cluster=NAME in the URL, or ClusterBuilder::cluster)",
        )),
    }
}

/// The prefix of a tag: what stands in braces decides the slot, so all channels are in one.
pub(crate) fn prefix(tag: &str) -> Result<String> {
    // The letters of a channel; nothing that a broker or an ACL pattern understands as something else.
    Channel::new(tag).map_err(|_| Error::config("the option tag has letters, digits and single . _ - between them"))?;
    Ok(format!("{{{tag}}}"))
}

/// Checks what is said of a stream.
///
/// # Errors
/// `Config`.
pub(crate) fn stream(key: Option<&str>, maxlen: u32) -> Result<()> {
    key.map(Channel::new)
        .transpose()
        .map_err(|_| Error::config("the option stream has letters, digits and single . _ - between them"))?;
    match maxlen {
        0 => Err(Error::config("the option maxlen is at least 1")),
        _ => Ok(()),
    }
}

#[cfg(test)]
#[path = "url_tests.rs"]
mod tests;
