//! Where the servers are, and who we are to them.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_nats::{ConnectOptions, ServerAddr, rustls};
use roomcast_core::backend::{
    Backend, Connect, Credentials, HostPort, Inbox, Keeper, Login, TlsFiles, UrlParts, async_trait, at_least_one,
};
use roomcast_core::{Error, Result};

use crate::backend::{Line, Servers};
use crate::creds::Creds;

/// A connection to NATS: one server, or several of one cluster.
///
/// # Examples
/// ```
/// # fn main() -> roomcast_core::Result<()> {
/// use roomcast_nats::Nats;
///
/// let one = Nats::from_url("nats://127.0.0.1:4222")?;
/// let three = Nats::from_url("tls://shop:secret@n1:4222,n2:4222,n3:4222?ca=/etc/nats/ca.pem&name=web-1")?;
/// assert!(!format!("{three:?}").contains("secret"));
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Nats {
    servers: Vec<ServerAddr>,
    /// Never printed: it knows the user, the password and the token.
    options: ConnectOptions,
    /// Without a login: that of the options.
    pub(crate) credentials: Credentials,
    files: Files,
    name: Option<String>,
    tls_first: bool,
    discover: bool,
    max_bytes: usize,
}

/// What is read anew at each connection, so that renewed secrets are found.
#[derive(Clone, Debug, Default)]
struct Files {
    creds: Option<PathBuf>,
    nkey: Option<PathBuf>,
    tls: TlsFiles,
}

const KNOWN: &str = "ca, cert, creds, discover, key, max_bytes, name, nkey, password_file, tls_first";

/// How many messages of one channel the client holds until the task that takes them runs: what waits longer is bounded by
/// `max_bytes`.
const CAPACITY: usize = 16_384;

impl Nats {
    /// Reads `nats://user:password@host:port,host:port?option=value&..`; with `tls://` the servers must speak TLS.
    /// A user without a password is a token. The crate's documentation lists the options.
    ///
    /// # Errors
    /// `Config`, with the known options where one is unknown, and never with a part of the URL that may be secret.
    pub fn from_url(url: &str) -> Result<Self> {
        let parts = UrlParts::parse("NATS", &["nats", "tls"], url)?;
        let login = match parts.login()? {
            None => Login::default(),
            Some((user, Some(password))) => Login::new(user, password),
            Some((token, None)) => Login::token(token),
        };
        let (options, credentials) = (ConnectOptions::new(), Credentials::fixed(login));
        if !parts.path.is_empty() {
            return Err(Error::config("a URL of NATS has no path"));
        }
        let servers = parts.servers(4222)?.iter().map(|host| server(parts.scheme, host)).collect::<Result<_>>()?;
        let files = Files::default();
        let mut nats = Self {
            servers,
            options,
            credentials,
            files,
            name: None,
            tls_first: false,
            discover: true,
            max_bytes: 64 << 20,
        };
        parts.each_option(KNOWN, |option, value| nats.set(&parts, option, value))?;
        nats.files.tls.certificate()?; // one of them alone is refused here, not at connecting
        Ok(nats)
    }

    /// The same from a URL, and from the client's own options for what a URL cannot say: a login by callback, a
    /// `rustls` configuration, a local address.
    ///
    /// A running [`Client`](async_nats::Client) is not taken: it reconnects without telling, publishes again what
    /// waited meanwhile, and drops messages of a slow reader silently. For the same reason some of the options are
    /// replaced: event callback, reconnecting, ping interval, capacity of subscriptions. `no_echo` and
    /// `retry_on_initial_connect` cannot be taken back: connecting fails with them.
    ///
    /// # Errors
    /// As [`from_url`](Self::from_url). The URL has no user here: that is a matter of the options.
    pub fn from_options(url: &str, options: ConnectOptions) -> Result<Self> {
        if url.contains('@') {
            return Err(Error::config("with options of the client, the URL must not name a user"));
        }
        let mut nats = Self::from_url(url)?;
        nats.options = options;
        Ok(nats)
    }

    /// How many bytes may wait for the node while it does not take them, of all channels together, and 128 more for each message;
    /// default 64 MiB. When there are more, the newest are lost, and the node is told. Raising it costs memory while the node does
    /// not keep up.
    #[must_use]
    pub fn backlog_bytes(mut self, bytes: usize) -> Self {
        self.max_bytes = bytes.max(1);
        self
    }

    /// Returns whether there is such an option.
    fn set(&mut self, parts: &UrlParts<'_>, option: &str, value: String) -> Result<bool> {
        let files = &mut self.files;
        match option {
            "creds" => files.creds = Some(value.into()),
            "nkey" => files.nkey = Some(value.into()),
            "name" => self.name = Some(value),
            Credentials::OPTION => {
                self.credentials = Credentials::of_url(parts.login()?, Some(value))?.unwrap_or_default()
            }
            "tls_first" => self.tls_first = truth(option, &value)?,
            "discover" => self.discover = truth(option, &value)?,
            "max_bytes" => self.max_bytes = at_least_one(option, &value)?,
            _ => return Ok(files.tls.set(option, value)),
        }
        Ok(true)
    }

    /// The login comes from here, instead of from the URL: a user with a password, or a password alone, which is a token. For those
    /// that change. Asked for with each connection, and a login that is [valid for a time](Login::valid_for) has a connection with the next
    /// one before it ends. A callback for logins in [`from_options`](Self::from_options) goes before it.
    #[must_use]
    pub fn credentials(mut self, credentials: Credentials) -> Self {
        self.credentials = credentials;
        self
    }

    /// The servers that were named.
    pub(crate) fn servers(&self) -> &[ServerAddr] {
        &self.servers
    }

    /// What the connection is called on the server, where the URL does not say it.
    pub(crate) fn name_connections(&mut self, name: String) {
        self.name.get_or_insert(name);
    }

    /// So many bytes may wait for the node.
    pub(crate) fn most_waiting(&self) -> usize {
        self.max_bytes
    }

    /// Whether servers that these tell of are connected to as well.
    pub(crate) fn discovers(&self) -> bool {
        self.discover
    }

    /// What the file of credentials holds now, if one is named.
    pub(crate) fn creds(&self) -> Result<Option<Creds>> {
        self.files.creds.as_deref().map(Creds::read).transpose()
    }

    /// The options of one connection, which ends for good when it breaks: the `Keeper` makes the next one. And when its login ends.
    pub(crate) async fn connection(&self, creds: Option<&mut Creds>) -> Result<(ConnectOptions, Option<Instant>)> {
        let Files { nkey, tls, .. } = &self.files;
        let options = self.options.clone();
        let login = self.credentials.login().await?;
        let expires = [login.expires, creds.as_ref().and_then(|creds| creds.expires())].into_iter().flatten().min();
        let mut options = match login {
            Login { user: Some(user), password, .. } => options.user_and_password(user, password.unwrap_or_default()),
            Login { user: None, password: Some(token), .. } => options.token(token),
            Login { user: None, password: None, .. } => options,
        };
        if let Some(creds) = creds {
            options = options
                .credentials(&std::mem::take(&mut creds.text))
                .map_err(|_| Error::config("the file of option creds holds no credentials"))?;
        }
        if let Some(path) = nkey {
            options = options.nkey(read("nkey", path)?.trim().to_owned());
        }
        if let Some(path) = &tls.ca {
            read("ca", path)?;
            options = options.add_root_certificates(path.clone());
        }
        if let Some((cert, key)) = tls.certificate()? {
            read("cert", cert)?;
            read("key", key)?;
            options = options.add_client_certificate(cert.to_owned(), key.to_owned());
        }
        if let Some(name) = &self.name {
            options = options.name(name);
        }
        if self.tls_first {
            options = options.tls_first();
        }
        // The client takes the process's provider; with two of them compiled in and none chosen, rustls panics.
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            let _ = rustls::crypto::ring::default_provider().install_default(); // another thread was first
        }
        let options = options
            .max_reconnects(1)
            .reconnect_delay_callback(|_| Duration::ZERO)
            .ignore_discovered_servers()
            .connection_timeout(Duration::from_secs(2))
            .ping_interval(PING)
            .subscription_capacity(CAPACITY);
        Ok((options, expires))
    }
}

/// A server that sent nothing for three of these is given up.
const PING: Duration = Duration::from_millis(1500);

#[async_trait]
impl Connect for Nats {
    async fn connect(&self, inbox: Inbox) -> Result<Arc<dyn Backend>> {
        Ok(Arc::new(Keeper::<Line>::connect(Servers::new(self.clone()), inbox).await?))
    }
}

impl fmt::Debug for Nats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let servers: Vec<_> = self.servers.iter().map(ServerAddr::as_url_str).collect();
        f.debug_struct("Nats")
            .field("servers", &servers)
            .field("credentials", &self.credentials)
            .field("name", &self.name)
            .field("tls_first", &self.tls_first)
            .field("discover", &self.discover)
            .field("files", &self.files)
            .field("max_bytes", &self.max_bytes)
            .finish_non_exhaustive()
    }
}

fn server(scheme: &str, server: &HostPort) -> Result<ServerAddr> {
    let parsed = format!("{scheme}://{server}").parse();
    parsed.map_err(|_| Error::config("the host of a server in the URL of NATS is no name and no address"))
}

fn truth(option: &str, value: &str) -> Result<bool> {
    value.parse().map_err(|_| Error::config(format!("{option} is true or false")))
}

pub(crate) fn read(option: &str, path: &Path) -> Result<String> {
    std::fs::read_to_string(path)
        .map_err(|error| Error::config(format!("the file of option {option} cannot be read")).with_source(error))
}

#[cfg(test)]
mod tests {
    use roomcast_core::ErrorKind;

    use super::*;

    fn refusal(url: &str) -> String {
        let error = Nats::from_url(url).expect_err("refused");
        assert_eq!(error.kind(), ErrorKind::Config, "{url}");
        format!("{error} {error:?}")
    }

    #[test]
    fn servers_and_options_are_read() {
        let url = "tls://user:pass@h1:4222,[::1]:4223,h3/?name=web%201&max_bytes=7&ca=/ca.pem&tls_first=true";
        let nats = Nats::from_url(url).expect("valid");
        let servers: Vec<_> = nats.servers.iter().map(|server| (server.host(), server.port())).collect();
        assert_eq!(servers, [("h1", 4222), ("::1", 4223), ("h3", 4222)]);
        assert!(nats.servers.iter().all(ServerAddr::tls_required));
        assert_eq!((nats.name.as_deref(), nats.max_bytes, nats.tls_first), (Some("web 1"), 7, true));
    }

    #[test]
    fn an_unknown_option_is_named_with_the_known_ones() {
        let text = refusal("nats://user:hunter2@host?paswd=hunter3");
        assert!(text.contains("paswd") && text.contains(KNOWN) && !text.contains("hunter"), "{text}");
    }

    #[test]
    fn malformed_urls_are_refused() {
        let urls = [
            "redis://host",
            "host",
            "nats://",
            "nats://a,,b",
            "nats://host:port",
            "nats://host/path",
            "nats://host?name",
            "nats://host?max_bytes=0",
            "nats://host?tls_first=yes",
            "nats://host?cert=/a",
            "nats://%ff@host",
        ];
        for url in urls {
            refusal(url);
        }
        assert!(Nats::from_options("nats://user:secret@host", ConnectOptions::new()).is_err());
    }

    #[test]
    fn secrets_are_shown_nowhere() {
        let urls = ["user:hunter2@host", "hunter2@host", "u:hunter2@h1:x", "u:/hunter2@host", "u:1?hunter2=1@host"];
        for url in urls.map(|rest| format!("nats://{rest}")) {
            let text =
                Nats::from_url(&url).map_or_else(|error| format!("{error} {error:?}"), |nats| format!("{nats:?}"));
            assert!(!text.contains("hunter2"), "{text}");
        }
    }
}
