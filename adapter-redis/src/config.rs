//! How to reach Redis: from a URL, or from a client that the application has already.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use adapter_core::backend::tls::Tls;
use adapter_core::backend::{Backend, Connect, Credentials, HostPort, Inbox, Keeper, Login, TlsFiles, async_trait};
use adapter_core::{Error, Result};
use redis::ConnectionAddr;

use crate::backend::Pair;
use crate::topology::Topology;
use crate::url::{self, Kind, Parsed};

/// A Redis or Valkey installation, and how we use it.
///
/// # Examples
/// ```no_run
/// # async fn example() -> Result<(), adapter_core::Error> {
/// use adapter_core::Cluster;
/// use adapter_redis::Redis;
///
/// let redis = Redis::from_url("redis://app:secret@cache.internal:6379")?;
/// let cluster = Cluster::builder().node_name("web-1").connect(redis).await?;
/// # cluster.close().await }
/// ```
#[derive(Clone)]
pub struct Redis {
    pub(crate) topology: Topology,
    credentials: Credentials,
    tls: Option<Tls>,
    pub(crate) mode: Mode,
}

/// What every connection of one link to a server of the installation needs.
#[derive(Clone, Debug)]
pub(crate) struct Dial {
    pub(crate) login: Login,
    pub(crate) tls: Option<Tls>,
}

/// Which pub/sub of Redis carries the frames. All nodes and emitters of a cluster need the same.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mode {
    /// `PUBLISH` and `SUBSCRIBE`: every server since Redis 6.
    PubSub,
    /// `SPUBLISH` and `SSUBSCRIBE`: since Redis 7; what Redis Cluster needs to not send every message to every server.
    #[non_exhaustive]
    Sharded {
        /// What stands in braces before every channel, and so decides the slot: all channels are in one.
        tag: Arc<str>,
    },
}

impl Mode {
    /// Sharded pub/sub with this hash tag.
    ///
    /// # Errors
    /// `Config` when the tag is not 1 to 63 letters, digits and single `.`, `_`, `-` between them.
    pub fn sharded(tag: &str) -> Result<Self> {
        url::prefix(tag)?;
        Ok(Self::Sharded { tag: tag.into() })
    }

    /// What stands before the core's name of a channel.
    pub(crate) fn prefix(&self) -> Arc<str> {
        match self {
            Self::PubSub => "".into(),
            Self::Sharded { tag } => format!("{{{tag}}}").into(),
        }
    }
}

impl Redis {
    /// What a URL means; its forms and options are in the documentation of this crate.
    ///
    /// # Errors
    /// `Config` when anything in it is not understood; the text repeats nothing of the URL.
    pub fn from_url(url: &str) -> Result<Self> {
        let Parsed { kind, mut hosts, service, credentials, sentinel, tls, mode } = url::parse(url)?;
        let topology = match kind {
            Kind::Single => Topology::Single(hosts.swap_remove(0)), // a URL without a server is refused
            Kind::Cluster => Topology::cluster(hosts),
            Kind::Sentinel => Topology::Sentinel { sentinels: hosts, service, login: sentinel },
        };
        let tls = tls.as_ref().map(secured).transpose()?;
        Ok(Self { topology, credentials, tls, mode })
    }

    /// The server and the login of an existing client, by plain pub/sub. The connections are our own.
    ///
    /// # Errors
    /// `Config` for a database other than 0, which pub/sub would ignore; for a Unix socket; and for TLS with certificates of the client's own, which cannot be taken out of it:
    /// use [`Self::from_url`] with `ca`, `cert` and `key`.
    pub fn from_client(client: &redis::Client) -> Result<Self> {
        let info = client.get_connection_info();
        let (host, port, tls) = match info.addr() {
            ConnectionAddr::Tcp(host, port) => (host, *port, None),
            ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None } => {
                (host, *port, Some(secured(&TlsFiles::default())?))
            }
            ConnectionAddr::TcpTls { .. } => {
                return Err(Error::config(
                    "a client's certificates cannot be taken over: use rediss:// with ca, cert and key",
                ));
            }
            _ => return Err(Error::config("Redis is reached by TCP or TLS here")),
        };
        let settings = info.redis_settings();
        url::database(settings.db())?;
        let owned = |text: Option<&str>| text.map(str::to_owned);
        let login = Login { user: owned(settings.username()), password: owned(settings.password()) };
        let topology = Topology::Single(HostPort { host: host.clone(), port });
        Ok(Self { topology, credentials: Credentials::fixed(login), tls, mode: Mode::PubSub })
    }

    /// Another mode than the URL's or the client's. Redis Cluster has sharded pub/sub only.
    ///
    /// # Errors
    /// `Config` for plain pub/sub in Redis Cluster.
    pub fn mode(mut self, mode: Mode) -> Result<Self> {
        if matches!(self.topology, Topology::Cluster { .. }) && mode == Mode::PubSub {
            return Err(Error::config("Redis Cluster is used by sharded pub/sub"));
        }
        self.mode = mode;
        Ok(self)
    }

    /// TLS as the application has configured it, instead of the URL's `ca`, `cert` and `key`.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn tls(mut self, config: Arc<crate::rustls::ClientConfig>) -> Self {
        self.tls = Some(Tls::from_config(config));
        self
    }

    /// The login comes from here, instead of from the URL or the client: for passwords and tokens that change. Asked for each time
    /// a link is made. The sentinels' own login stays that of the URL.
    #[must_use]
    pub fn credentials(mut self, credentials: Credentials) -> Self {
        self.credentials = credentials;
        self
    }

    /// How long the login for a link may take.
    pub(crate) fn login_limit(&self) -> Duration {
        self.credentials.limit()
    }

    /// For the connections of the next link.
    ///
    /// # Errors
    /// Those of [`Credentials::login`].
    pub(crate) async fn dial(&self) -> Result<Dial> {
        Ok(Dial { login: self.credentials.login().await?, tls: self.tls.clone() })
    }
}

/// TLS by the files of a URL.
///
/// # Errors
/// Those of [`Tls::from_files`]. `Config` without our cargo feature `tls`, also where another crate has that of the core.
fn secured(files: &TlsFiles) -> Result<Tls> {
    if cfg!(feature = "tls") {
        return Tls::from_files(files);
    }
    Err(Error::config("rediss:// needs the cargo feature \"tls\" of adapter-redis (\"redis-tls\" of roomcast)"))
}

#[async_trait]
impl Connect for Redis {
    async fn connect(&self, inbox: Inbox) -> Result<Arc<dyn Backend>> {
        Ok(Arc::new(Keeper::<Pair>::connect(self.clone(), inbox).await?))
    }
}

/// Without secrets.
impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { topology, credentials, tls, mode } = self;
        f.debug_struct("Redis")
            .field("topology", topology)
            .field("credentials", credentials)
            .field("tls", tls)
            .field("mode", mode)
            .finish()
    }
}
