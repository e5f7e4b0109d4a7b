//! The grammar of our URLs, strict: what is not understood is refused, and nothing of it is repeated in an error,
//! since there may be a password in it.

use std::fmt;
use std::str::FromStr;

use adapter_core::backend::{HostPort, TlsFiles, percent_decoded};
use adapter_core::{Error, Result};

const OPTIONS: &str = "ca, cert, exchange, heartbeat, key, max_bytes, max_messages, name, prefetch";

/// Who logs in. Debug hides the password.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Login {
    pub(crate) user: String,
    pub(crate) password: String,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").field("user", &self.user).finish_non_exhaustive()
    }
}

/// A URL, taken apart.
#[derive(Debug)]
pub(crate) struct Parsed {
    pub(crate) hosts: Vec<HostPort>,
    pub(crate) login: Option<Login>,
    pub(crate) vhost: String,
    /// Of `amqps://`.
    pub(crate) tls: Option<TlsFiles>,
    pub(crate) options: Vec<(Setting, String)>,
}

/// An option that is not about TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Setting {
    Exchange,
    Heartbeat,
    MaxBytes,
    MaxMessages,
    Name,
    Prefetch,
}

/// # Errors
/// `Config`.
pub(crate) fn parse(url: &str) -> Result<Parsed> {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let default_port = match scheme {
        "amqp" => 5672,
        "amqps" => 5671,
        _ => return Err(Error::config("a URL of RabbitMQ begins with amqp:// or amqps://")),
    };
    let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (login, place) = place.rsplit_once('@').map_or((None, place), |(login, place)| (Some(login), place));
    let login = match login.map(|login| login.split_once(':')) {
        None => None,
        Some(Some((user, password))) => {
            Some(Login { user: percent_decoded(user)?, password: percent_decoded(password)? })
        }
        Some(None) => return Err(Error::config("a user of RabbitMQ has a password: user:password@host")),
    };
    let (hosts, vhost) = place.split_once('/').unwrap_or((place, ""));
    if vhost.contains('/') {
        return Err(Error::config("a slash within the name of a virtual host is written %2F"));
    }
    let vhost = if vhost.is_empty() { "/".to_owned() } else { percent_decoded(vhost)? };
    let hosts = hosts.split(',').map(|host| HostPort::parse(host, default_port)).collect::<Option<_>>();
    let hosts = hosts.ok_or_else(|| Error::config("a broker is host or host:port, an IPv6 address in brackets"))?;
    let (mut files, mut options) = (TlsFiles::default(), Vec::new());
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let Some((option, value)) = pair.split_once('=') else {
            return Err(Error::config("an option of a RabbitMQ URL is written option=value"));
        };
        let value = percent_decoded(value)?;
        if files.set(option, &value) {
            if scheme == "amqp" {
                return Err(Error::config(format!("{option} needs amqps://")));
            }
            continue;
        }
        let setting = match option {
            "exchange" => Setting::Exchange,
            "heartbeat" => Setting::Heartbeat,
            "max_bytes" => Setting::MaxBytes,
            "max_messages" => Setting::MaxMessages,
            "name" => Setting::Name,
            "prefetch" => Setting::Prefetch,
            _ => return Err(Error::config(format!("unknown option of RabbitMQ; the options are {OPTIONS}"))),
        };
        options.push((setting, value));
    }
    Ok(Parsed { hosts, login, vhost, tls: (scheme == "amqps").then_some(files), options })
}

/// A number of at least one.
pub(crate) fn number<N: FromStr + PartialEq + From<u8>>(option: &str, value: &str) -> Result<N> {
    let number = value.parse().ok().filter(|number| *number != N::from(0));
    number.ok_or_else(|| Error::config(format!("{option} is a number, at least 1, and not too large")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_apart() {
        let parsed = parse("amqp://shop:p%40ss@h1,h2:5673,[::1]:5674,[fe80::1]/or%2Fders?prefetch=7").expect("valid");
        let hosts: Vec<_> = parsed.hosts.iter().map(|host| (host.host.as_str(), host.port)).collect();
        assert_eq!(hosts, [("h1", 5672), ("h2", 5673), ("::1", 5674), ("fe80::1", 5672)]);
        assert_eq!(parsed.login, Some(Login { user: "shop".into(), password: "p@ss".into() }));
        assert_eq!((parsed.vhost.as_str(), parsed.tls), ("or/ders", None));
        assert_eq!(parsed.options, [(Setting::Prefetch, "7".to_owned())]);
        for url in ["amqp://h", "amqp://h/", "amqp://h/%2f", "amqp://h/?name=x"] {
            assert_eq!(parse(url).expect(url).vhost, "/", "{url}");
        }
        let tls = parse("amqps://h?ca=/ca.pem").expect("valid");
        assert_eq!((tls.hosts[0].port, tls.tls.and_then(|files| files.ca)), (5671, Some("/ca.pem".into())));
    }
}
