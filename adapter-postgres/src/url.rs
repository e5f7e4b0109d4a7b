//! Our URLs: those of libpq. The client's parser reads them, apart from what is ours to decide.

use roomcast_core::backend::{Credentials, TlsFiles, UrlParts, percent_decoded};
use roomcast_core::{Error, Result};
use tokio_postgres::config::TargetSessionAttrs;

/// What the client reads by itself.
const PASSED: &[&str] = &[
    "application_name",
    "channel_binding",
    "connect_timeout",
    "dbname",
    "host",
    "hostaddr",
    "load_balance_hosts",
    "options",
    "password",
    "port",
    "sslnegotiation",
    "target_session_attrs",
    "user",
];

const OURS: &[&str] = &[Credentials::OPTION, "publish_url", "sslcert", "sslkey", "sslmode", "sslrootcert"];

/// A URL, taken apart.
pub(crate) struct Parsed {
    pub(crate) client: tokio_postgres::Config,
    pub(crate) ssl: Ssl,
    /// Of a password in a file; else without a login.
    pub(crate) credentials: Credentials,
    pub(crate) publish_url: Option<String>,
}

/// What is said about TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ssl {
    pub(crate) mode: Option<Mode>,
    /// Of `sslrootcert`, `sslcert` and `sslkey`.
    pub(crate) files: TlsFiles,
}

/// `sslmode`, with libpq's meanings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Disable,
    Allow,
    Prefer,
    Require,
    VerifyCa,
    VerifyFull,
}

/// Takes a URL apart.
///
/// # Errors
/// `Config`; the text repeats nothing of the URL.
pub(crate) fn parse(url: &str) -> Result<Parsed> {
    let parts = UrlParts::parse("PostgreSQL", &["postgres", "postgresql"], url)?;
    let mut ssl = Ssl { mode: None, files: TlsFiles::named("sslrootcert", "sslcert", "sslkey") };
    let (mut passed, mut publish_url, mut file) = (Vec::new(), None, None);
    for option in parts.options() {
        let (option, value) = option?;
        match option {
            _ if PASSED.contains(&option) => passed.push(format!("{option}={value}")),
            Credentials::OPTION => file = Some(percent_decoded(value)?),
            "publish_url" => publish_url = Some(percent_decoded(value)?),
            "sslmode" => ssl.mode = Some(mode(&percent_decoded(value)?)?),
            _ if ssl.files.set(option, percent_decoded(value)?) => {}
            _ => return Err(parts.unknown_option(option, &[PASSED, OURS].concat().join(", "))),
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
    if client.get_hosts().is_empty() && client.get_hostaddrs().is_empty() {
        return Err(Error::config("a PostgreSQL URL names a host: postgres://host/database"));
    }
    // An address alone is the name that TLS looks for.
    if client.get_hosts().is_empty() {
        for address in client.get_hostaddrs().to_vec() {
            client.host(address.to_string());
        }
    }
    // A standby is of no use here: among several hosts, the one that takes writes is meant.
    let several = client.get_hosts().len().max(client.get_hostaddrs().len()) > 1;
    if several && !passed.iter().any(|pair| pair.starts_with("target_session_attrs=")) {
        client.target_session_attrs(TargetSessionAttrs::ReadWrite);
    }
    Ok(Parsed { client, ssl, credentials, publish_url })
}

fn mode(text: &str) -> Result<Mode> {
    Ok(match text {
        "disable" => Mode::Disable,
        "allow" => Mode::Allow,
        "prefer" => Mode::Prefer,
        "require" => Mode::Require,
        "verify-ca" => Mode::VerifyCa,
        "verify-full" => Mode::VerifyFull,
        _ => return Err(Error::config("sslmode is disable, allow, prefer, require, verify-ca or verify-full")),
    })
}

#[cfg(test)]
mod tests {
    use roomcast_core::ErrorKind;

    use super::*;

    #[test]
    fn what_is_ours_is_taken_out_and_the_client_reads_the_rest() {
        let publish = "postgres%3A%2F%2Fu%3Ap%40pool%2Fdb";
        let url = format!(
            "postgresql://u:p%40ss@h1:1,h2:2/db?sslmode=verify-full&sslrootcert=/ca%20.pem&publish_url={publish}\
             &application_name=web&target_session_attrs=read-write"
        );
        let Parsed { client, ssl, publish_url, .. } = parse(&url).expect("valid");
        assert_eq!((client.get_user(), client.get_password()), (Some("u"), Some(&b"p@ss"[..])));
        assert_eq!((client.get_dbname(), client.get_ports()), (Some("db"), &[1, 2][..]));
        assert_eq!(client.get_application_name(), Some("web"));
        assert_eq!((ssl.mode, ssl.files.ca), (Some(Mode::VerifyFull), Some("/ca .pem".into())));
        assert_eq!(publish_url.as_deref(), Some("postgres://u:p@pool/db"));
        assert_eq!(parse("postgres://127.0.0.1:1").expect("valid").client.get_user(), Some("postgres"));
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
            assert_eq!(parse(url).expect(url).client.get_target_session_attrs(), want, "{url}");
        }
    }

    #[test]
    fn a_fault_is_named() {
        let text = |url| parse(url).err().expect("refused").to_string();
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
            let error = parse(url).err().expect(url);
            assert_eq!(error.kind(), ErrorKind::Config, "{url}");
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
        }
    }
}
