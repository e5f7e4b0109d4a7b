//! Our URLs, read strictly: what is not understood is an error.

use std::str::FromStr;

use roomcast_core::backend::{Credentials, HostPort, Login, TlsFiles, UrlParts, percent_decoded};
use roomcast_core::{Error, Result};

const OPTIONS: &str = "ca, cert, exchange, heartbeat, key, max_bytes, max_messages, name, password_file, prefetch";

/// A URL, taken apart.
#[derive(Debug)]
pub(crate) struct Parsed {
    pub(crate) hosts: Vec<HostPort>,
    pub(crate) credentials: Credentials,
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
    let parts = UrlParts::parse("RabbitMQ", &["amqp", "amqps"], url)?;
    let secure = parts.scheme == "amqps";
    if parts.path.contains('/') {
        return Err(Error::config("a slash within the name of a virtual host is written %2F"));
    }
    let vhost = if parts.path.is_empty() { "/".to_owned() } else { percent_decoded(parts.path)? };
    let hosts = parts.servers(if secure { 5671 } else { 5672 })?;
    let (mut files, mut password_file, mut options) = (TlsFiles::default(), None, Vec::new());
    for option in parts.options() {
        let (option, value) = option?;
        let value = percent_decoded(value)?;
        if files.set(option, &value) {
            if !secure {
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
            Credentials::OPTION => {
                password_file = Some(value);
                continue;
            }
            _ => return Err(parts.unknown_option(option, OPTIONS)),
        };
        options.push((setting, value));
    }
    let login = parts.login()?;
    if login.is_none() && password_file.is_some() {
        return Err(Error::config("beside password_file the URL names the user: amqp://user@host?password_file=.."));
    }
    let credentials = match (Credentials::of_url(login.clone(), password_file)?, login) {
        (Some(credentials), _) => credentials,
        (None, None) => Credentials::default(),
        (None, Some((user, Some(password)))) => Credentials::fixed(Login::new(user, password)),
        (None, Some((_, None))) => return Err(Error::config("a user of RabbitMQ has a password: user:password@host")),
    };
    Ok(Parsed { hosts, credentials, vhost, tls: secure.then_some(files), options })
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
        assert_eq!(format!("{:?}", parsed.credentials), format!("{:?}", Login::new("shop", "p@ss")));
        assert_eq!((parsed.vhost.as_str(), parsed.tls), ("or/ders", None));
        assert_eq!(parsed.options, [(Setting::Prefetch, "7".to_owned())]);
        for url in ["amqp://h", "amqp://h/", "amqp://h/%2f", "amqp://h/?name=x"] {
            assert_eq!(parse(url).expect(url).vhost, "/", "{url}");
        }
        let tls = parse("amqps://h?ca=/ca.pem").expect("valid");
        assert_eq!((tls.hosts[0].port, tls.tls.and_then(|files| files.ca)), (5671, Some("/ca.pem".into())));
    }
}
