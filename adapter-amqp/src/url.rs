//! Our URLs, read strictly: what is not understood is an error.

use roomcast_core::backend::tls::Tls;
use roomcast_core::backend::{Credentials, Login, TlsFiles, UrlParts, at_least_one, percent_decoded};
use roomcast_core::{Error, Result};

use crate::config::{Amqp, exchange};

const OPTIONS: &str = "backlog_bytes, ca, cert, exchange, heartbeat, key, name, password_file, prefetch";

/// What a URL means.
///
/// # Errors
/// `Config`.
pub(crate) fn read(url: &str) -> Result<Amqp> {
    let parts = UrlParts::parse("RabbitMQ", &["amqp", "amqps"], url)?;
    let secure = parts.scheme == "amqps";
    if parts.path.contains('/') {
        return Err(Error::config("a slash within the name of a virtual host is written %2F"));
    }
    let vhost = if parts.path.is_empty() { "/".to_owned() } else { percent_decoded(parts.path)? };
    if vhost.len() > 255 {
        return Err(Error::config("the name of a virtual host has at most 255 bytes"));
    }
    let mut amqp = Amqp::at(parts.servers(if secure { 5671 } else { 5672 })?, vhost)?;
    let (mut files, mut password_file) = (TlsFiles::default(), None);
    parts.each_option(OPTIONS, |option, value| {
        match option {
            "backlog_bytes" => amqp.backlog_bytes = at_least_one(option, &value)?,
            "exchange" => amqp.exchange = exchange(&value)?,
            "heartbeat" => amqp.heartbeat = at_least_one(option, &value)?,
            "name" => amqp.name = Some(value),
            "prefetch" => amqp.prefetch = at_least_one(option, &value)?,
            Credentials::OPTION => password_file = Some(value),
            _ => return Ok(files.set(option, value)),
        }
        Ok(true)
    })?;
    if secure {
        amqp.certified = files.cert.is_some();
        amqp.tls = Some(encrypted(&files)?);
    } else if !files.is_empty() {
        return Err(Error::config("the options ca, cert and key need amqps://"));
    }
    let login = parts.login()?;
    if login.is_none() && password_file.is_some() {
        return Err(Error::config("beside password_file the URL names the user: amqp://user@host?password_file=.."));
    }
    amqp.credentials = match (Credentials::of_url(login.clone(), password_file)?, login) {
        (Some(credentials), _) => credentials,
        (None, None) => Credentials::default(),
        (None, Some((user, Some(password)))) => Credentials::fixed(Login::new(user, password)),
        (None, Some((_, None))) => return Err(Error::config("a user of RabbitMQ has a password: user:password@host")),
    };
    Ok(amqp)
}

/// TLS by the files of a URL.
///
/// # Errors
/// Those of [`Tls::from_files`]. `Config` without our cargo feature `tls`, also where another crate has that of the core.
fn encrypted(files: &TlsFiles) -> Result<Tls> {
    if cfg!(feature = "tls") {
        return Tls::from_files(files);
    }
    Err(Error::config("amqps:// needs the cargo feature \"tls\" of roomcast-amqp (\"amqp-tls\" of roomcast)"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_apart() {
        let parsed = read("amqp://shop:p%40ss@h1,h2:5673,[::1]:5674,[fe80::1]/or%2Fders?prefetch=7").expect("valid");
        let hosts: Vec<_> = parsed.hosts.iter().map(|host| (host.host.as_str(), host.port)).collect();
        assert_eq!(hosts, [("h1", 5672), ("h2", 5673), ("::1", 5674), ("fe80::1", 5672)]);
        assert_eq!(format!("{:?}", parsed.credentials), format!("{:?}", Login::new("shop", "p@ss")));
        assert_eq!((parsed.vhost.as_str(), parsed.tls.is_none(), parsed.prefetch), ("or/ders", true, 7));
        for url in ["amqp://h", "amqp://h/", "amqp://h/%2f", "amqp://h/?name=x"] {
            assert_eq!(read(url).expect(url).vhost, "/", "{url}");
        }
        #[cfg(feature = "tls")]
        assert_eq!(read("amqps://h").expect("valid").hosts[0].port, 5671);
    }
}
