//! The grammar of our URLs, strict: what is not understood is refused, and nothing of it is repeated in an error,
//! since there may be a password in it.

use std::fmt;

use adapter_core::backend::{Channel, HostPort, TlsFiles, percent_decoded};
use adapter_core::{Error, Result};

use crate::config::Mode;

/// The schemes and what they mean: plain or TLS, and which kind of installation.
const SCHEMES: [(&str, bool, Kind); 6] = [
    ("redis", false, Kind::Single),
    ("rediss", true, Kind::Single),
    ("redis+cluster", false, Kind::Cluster),
    ("rediss+cluster", true, Kind::Cluster),
    ("redis+sentinel", false, Kind::Sentinel),
    ("rediss+sentinel", true, Kind::Sentinel),
];

const OPTIONS: &str = "mode, tag, ca, cert, key, sentinel_user, sentinel_password";

/// The default of `tag`.
pub(crate) const TAG: &str = "roomcast";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Single,
    Cluster,
    Sentinel,
}

/// Who logs in. Debug hides the password.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Login {
    pub(crate) user: Option<String>,
    pub(crate) password: Option<String>,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let password = self.password.as_ref().map(|_| "hidden");
        f.debug_struct("Login").field("user", &self.user).field("password", &password).finish()
    }
}

/// A URL, taken apart.
#[derive(Debug)]
pub(crate) struct Parsed {
    pub(crate) kind: Kind,
    pub(crate) hosts: Vec<HostPort>,
    pub(crate) service: String,
    pub(crate) db: i64,
    pub(crate) login: Login,
    pub(crate) sentinel: Login,
    pub(crate) tls: Option<TlsFiles>,
    pub(crate) mode: Mode,
}

/// Takes a URL apart.
///
/// # Errors
/// `Config`.
pub(crate) fn parse(url: &str) -> Result<Parsed> {
    let known = || SCHEMES.map(|(scheme, ..)| format!("{scheme}://")).join(", ");
    let (scheme, rest) =
        url.split_once("://").ok_or_else(|| Error::config(format!("a Redis URL begins with {}", known())))?;
    let found = SCHEMES.iter().find(|(known, ..)| *known == scheme);
    let &(_, tls, kind) = found.ok_or_else(|| Error::config(format!("the schemes of Redis are {}", known())))?;
    if rest.contains('#') {
        return Err(Error::config("a Redis URL has no fragment; a # in a password is written %23"));
    }
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (login, hosts) = match authority.rsplit_once('@') {
        Some((login, hosts)) => (parse_login(login)?, hosts),
        None => (Login::default(), authority),
    };
    let port = if kind == Kind::Sentinel { 26379 } else { 6379 };
    let hosts = hosts.split(',').map(|host| HostPort::parse(host, port)).collect::<Option<Vec<_>>>();
    let hosts = hosts.ok_or_else(|| Error::config("a server in a Redis URL is host, host:port or [IPv6]:port"))?;
    // Several servers that one may ask for anything: that is a cluster, and they have to say so when we connect.
    let kind = if kind == Kind::Single && hosts.len() > 1 { Kind::Cluster } else { kind };
    let (service, db) = match kind {
        Kind::Sentinel => path.split_once('/').unwrap_or((path, "")),
        _ => ("", path),
    };
    if kind == Kind::Sentinel && service.is_empty() {
        return Err(Error::config("redis+sentinel:// names the service in its path: redis+sentinel://host/service"));
    }
    let db = if db.is_empty() { Ok(0) } else { db.parse::<u16>() };
    let db = db.map_err(|_| Error::config("the database in the path of a Redis URL is a small number"))?;
    if kind == Kind::Cluster && db != 0 {
        return Err(Error::config("Redis Cluster has no databases but 0"));
    }
    let Options { mode, tag, files, sentinel } = options(query)?;
    if !tls && !files.is_empty() {
        return Err(Error::config("the options ca, cert and key belong to rediss://"));
    }
    if kind != Kind::Sentinel && sentinel != Login::default() {
        return Err(Error::config("the options sentinel_user and sentinel_password belong to redis+sentinel://"));
    }
    let mode = match (mode.as_deref(), kind) {
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
    Ok(Parsed { kind, hosts, service, db: db.into(), login, sentinel, tls: tls.then_some(files), mode })
}

#[derive(Default)]
struct Options {
    mode: Option<String>,
    tag: Option<String>,
    files: TlsFiles,
    sentinel: Login,
}

fn options(query: &str) -> Result<Options> {
    let mut options = Options::default();
    for option in query.split('&').filter(|option| !option.is_empty()) {
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        let value = percent_decoded(value)?;
        if options.files.set(name, &value) {
            continue;
        }
        let value = Some(value);
        match name {
            "mode" => options.mode = value,
            "tag" => options.tag = value,
            "sentinel_user" => options.sentinel.user = value,
            "sentinel_password" => options.sentinel.password = value,
            _ => {
                return Err(Error::config(format!(
                    "an option of the Redis URL is unknown; the known ones are {OPTIONS}"
                )));
            }
        }
    }
    Ok(options)
}

fn parse_login(text: &str) -> Result<Login> {
    match text.split_once(':') {
        Some((user, password)) => {
            let user = (!user.is_empty()).then(|| percent_decoded(user)).transpose()?;
            Ok(Login { user, password: Some(percent_decoded(password)?) })
        }
        None => Err(Error::config("a Redis URL has user:password before the @, or :password alone")),
    }
}

/// The prefix of a tag: what stands in braces decides the slot, so all channels are in one.
pub(crate) fn prefix(tag: &str) -> Result<String> {
    // The letters of a channel; nothing that a broker or an ACL pattern understands as something else.
    Channel::new(tag).map_err(|_| Error::config("the option tag has letters, digits and single . _ - between them"))?;
    Ok(format!("{{{tag}}}"))
}

#[cfg(test)]
#[path = "url_tests.rs"]
mod tests;
