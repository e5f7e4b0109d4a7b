//! Our URLs: those of libpq. The client's parser reads them, apart from what is ours to decide.

use std::time::Duration;

use roomcast_core::backend::{Credentials, TlsFiles, UrlParts, Verification, percent_decoded};
use roomcast_core::{Error, Result};
use tokio_postgres::config::{SslMode, TargetSessionAttrs};

use crate::config::Place;
use crate::tls::Tls;

/// What the client reads by itself.
const PASSED: &str = "application_name, channel_binding, connect_timeout, dbname, host, hostaddr, load_balance_hosts, options, \
                      password, port, sslnegotiation, target_session_attrs, user";

const OURS: &str = "password_file, publish_url, sslcert, sslkey, sslmode, sslrootcert";

/// What is said about TLS: `sslmode` as libpq means it, and files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ssl {
    /// How the server is dialled, one way after the other.
    pub(crate) attempts: &'static [SslMode],
    pub(crate) verification: Verification,
    pub(crate) files: TlsFiles,
}

impl Ssl {
    fn new(mode: Option<&str>, mut files: TlsFiles) -> Result<Self> {
        use SslMode::{Disable, Prefer, Require};
        // The authorities that this machine trusts, as where none is named.
        let is_system = files.ca.take_if(|file| file.as_os_str() == "system").is_some();
        let default = if is_system { "verify-full" } else { "prefer" };
        let (attempts, verification): (&[_], _) = match mode.unwrap_or(default) {
            "verify-full" => (&[Require], Verification::Full),
            _ if is_system => {
                return Err(Error::config(
                    "sslrootcert=system needs sslmode=verify-full, which is the default with it",
                ));
            }
            "disable" => (&[Disable], Verification::Nothing),
            "allow" => (&[Disable, Require], Verification::Nothing),
            "prefer" => (&[Prefer, Disable], Verification::Nothing),
            // An authority that is named is verified.
            "require" if files.ca.is_none() => (&[Require], Verification::Nothing),
            "require" | "verify-ca" => (&[Require], Verification::Authority),
            _ => return Err(Error::config("sslmode is disable, allow, prefer, require, verify-ca or verify-full")),
        };
        Ok(Self { attempts, verification, files })
    }
}

/// Where a URL leads, and its `publish_url`.
///
/// # Errors
/// `Config`; the text repeats nothing of the URL.
pub(crate) fn parse(url: &str) -> Result<(Place, Option<String>)> {
    let parts = UrlParts::parse("PostgreSQL", &["postgres", "postgresql"], url)?;
    let mut files = TlsFiles::named("sslrootcert", "sslcert", "sslkey");
    let (mut passed, mut publish_url, mut file, mut mode) = (Vec::new(), None, None, None);
    for option in parts.options() {
        let (option, value) = option?;
        match option {
            _ if PASSED.split(", ").any(|passed| passed == option) => passed.push(format!("{option}={value}")),
            Credentials::OPTION => file = Some(percent_decoded(value)?),
            "publish_url" => publish_url = Some(percent_decoded(value)?),
            "sslmode" => mode = Some(percent_decoded(value)?),
            _ if files.set(option, percent_decoded(value)?) => {}
            _ => return Err(parts.unknown_option(option, &format!("{PASSED}, {OURS}"))),
        }
    }
    let url = format!("{}://{}?{}", parts.scheme, parts.place, passed.join("&"));
    let mut client: tokio_postgres::Config = url.parse().map_err(crate::error::error)?;
    let (user, password) = (client.get_user(), client.get_password().map(|_| String::new()));
    let login = (user.is_some() || password.is_some()).then(|| (user.unwrap_or_default().to_owned(), password));
    let credentials = Credentials::of_url(login, file)?.unwrap_or_default();
    // libpq would take the name of the process's user.
    if client.get_user().is_none() {
        client.user("postgres");
    }
    // An address alone is the name that TLS looks for.
    if client.get_hosts().is_empty() {
        for address in client.get_hostaddrs().to_vec() {
            client.host(address.to_string());
        }
    }
    if client.get_hosts().is_empty() {
        return Err(Error::config("a PostgreSQL URL names a host: postgres://host/database"));
    }
    // A standby is of no use here: among several hosts, the one that takes writes is meant.
    let several = client.get_hosts().len().max(client.get_hostaddrs().len()) > 1;
    if several && !passed.iter().any(|pair| pair.starts_with("target_session_attrs=")) {
        client.target_session_attrs(TargetSessionAttrs::ReadWrite);
    }
    // The kernel's part in noticing that the other side has gone; our pings are the other.
    client.keepalives_idle(Duration::from_secs(2)).keepalives_interval(Duration::from_secs(1)).keepalives_retries(2);
    client.tcp_user_timeout(Duration::from_secs(4));
    let tls = Tls::new(&Ssl::new(mode.as_deref(), files)?)?;
    Ok((Place { client, tls, credentials }, publish_url))
}

#[cfg(test)]
mod tests {
    use roomcast_core::ErrorKind;

    use super::*;

    fn client_of(url: &str) -> tokio_postgres::Config {
        parse(url).expect(url).0.client
    }

    #[test]
    fn what_is_ours_is_taken_out_and_the_client_reads_the_rest() {
        let publish = "postgres%3A%2F%2Fu%3Ap%40pool%2Fdb";
        let url = format!(
            "postgresql://u:p%40ss@h1:1,h2:2/db?sslmode=disable&publish_url={publish}\
             &application_name=web&target_session_attrs=read-write"
        );
        let (Place { client, .. }, publish_url) = parse(&url).expect("valid");
        assert_eq!((client.get_user(), client.get_password()), (Some("u"), Some(&b"p@ss"[..])));
        assert_eq!((client.get_dbname(), client.get_ports()), (Some("db"), &[1, 2][..]));
        assert_eq!(client.get_application_name(), Some("web"));
        assert_eq!(publish_url.as_deref(), Some("postgres://u:p@pool/db"));
        assert_eq!(client_of("postgres://127.0.0.1:1").get_user(), Some("postgres"));
    }

    #[test]
    fn sslmode_is_what_libpq_means() {
        use SslMode::{Disable, Prefer, Require};
        use Verification::{Authority, Full, Nothing};
        let table: [(&str, &str, &[_], _); 11] = [
            ("", "", &[Prefer, Disable], Nothing),
            ("disable", "", &[Disable], Nothing),
            ("allow", "", &[Disable, Require], Nothing),
            ("prefer", "/ca", &[Prefer, Disable], Nothing),
            ("require", "", &[Require], Nothing),
            ("require", "/ca", &[Require], Authority),
            ("verify-ca", "/ca", &[Require], Authority),
            ("verify-full", "/ca", &[Require], Full),
            ("verify-full", "", &[Require], Full),
            ("verify-full", "system", &[Require], Full),
            ("", "system", &[Require], Full),
        ];
        let ssl = |mode: &str, ca: &str| {
            let mut files = TlsFiles::default();
            files.ca = Some(ca).filter(|ca| !ca.is_empty()).map(Into::into);
            Ssl::new(Some(mode).filter(|mode| !mode.is_empty()), files)
        };
        for (mode, ca, attempts, verification) in table {
            let ssl = ssl(mode, ca).expect(mode);
            assert_eq!((ssl.attempts, ssl.verification), (attempts, verification), "{mode} {ca}");
            assert_eq!(ssl.files.ca.is_some(), ca == "/ca", "{mode} {ca}");
        }
        // The system's authorities sign for everybody, so nothing weaker than the name is of use.
        for weak in ["disable", "allow", "prefer", "require", "verify-ca", "none"] {
            assert_eq!(ssl(weak, "system").expect_err(weak).kind(), ErrorKind::Config);
        }
    }

    #[test]
    fn of_several_hosts_the_one_that_takes_writes_is_meant_unless_the_url_says_otherwise() {
        use TargetSessionAttrs::{Any, ReadOnly, ReadWrite};
        for (url, want) in [
            ("postgres://a/db", Any),
            ("postgres://a,b/db", ReadWrite),
            ("postgres://a:1,b:2/db?sslmode=disable", ReadWrite),
            ("postgres://a/db?host=b", ReadWrite),
            ("postgres:///db?hostaddr=127.0.0.1,127.0.0.2", ReadWrite),
            ("postgres://a,b/db?target_session_attrs=any", Any),
            ("postgres://a,b/db?target_session_attrs=read-only", ReadOnly),
            ("postgres://a/db?target_session_attrs=read-write", ReadWrite),
        ] {
            assert_eq!(client_of(url).get_target_session_attrs(), want, "{url}");
        }
    }

    #[test]
    fn a_fault_is_named() {
        let text = |url| parse(url).expect_err("refused").to_string();
        assert!(text("postgres://h?sslmod=require").contains("sslmod in"));
        for url in ["postgres://u:a/b@h/db", "postgres://u:a?b@h/db", "postgres://u:a#b@h/db", "postgres://u:/@h/db"] {
            assert!(text(url).contains("%2F"), "{url}");
        }
        assert!(parse("Postgres://h").is_ok() && parse("POSTGRESQL://h").is_ok());
    }

    #[test]
    fn what_is_not_understood_is_refused_and_not_repeated() {
        let urls = [
            "host",
            "redis://hunter2@host",
            "postgres://",
            "postgres://u:hunter2@host:hunter2/db",
            "postgres://u:hunter2@host/db#hunter2",
            "postgres://u:hunter2@host/db?unknown=hunter2",
            "postgres://u:/hunter2@host/db",
            "postgres://u:1?hunter2=1@host/db",
            "postgres://u:hunter2@host/db?hunter2",
            "postgres://u:hunter2@host/db?sslmode=hunter2",
            "postgres://u:hunter2@host/db?target_session_attrs=hunter2",
            "postgres://u:hunter2@host/db?sslcert=%ff",
            "postgres://u:hunter2@host/db?password_file=/p",
            "postgres://host/db?password=hunter2&password_file=/p",
        ];
        for url in urls {
            let error = parse(url).expect_err(url);
            assert_eq!(error.kind(), ErrorKind::Config, "{url}");
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
        }
    }
}
