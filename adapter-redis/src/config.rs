//! How to reach Redis: from a URL, or from a client that the application has already.

use std::sync::Arc;
use std::time::Duration;

use redis::ConnectionAddr;
use roomcast_core::backend::tls::Tls;
use roomcast_core::backend::{
    Backend, Connect, Credentials, HostPort, Inbox, Keeper, Login, TlsFiles, async_trait, in_turn_limit,
};
use roomcast_core::{Error, Result};

use crate::backend::Pair;
use crate::connection::{DIAL, RESPONSE};
use crate::streams::{Log, Reading};
use crate::topology::Topology;
use crate::url::{self, Kind, Parsed};

/// A Redis or Valkey installation, and how we use it.
///
/// # Examples
/// ```no_run
/// # async fn example() -> Result<(), roomcast_core::Error> {
/// use roomcast_core::Cluster;
/// use roomcast_redis::Redis;
///
/// let redis = Redis::from_url("redis://app:secret@cache.internal:6379")?;
/// let cluster = Cluster::builder().node_name("web-1").connect(redis).await?;
/// # cluster.close().await }
/// ```
#[derive(Clone, Debug)]
pub struct Redis {
    pub(crate) topology: Topology,
    pub(crate) credentials: Credentials,
    tls: Option<Tls>,
    pub(crate) mode: Mode,
}

/// What every connection of one link to a server of the installation needs.
#[derive(Clone, Debug)]
pub(crate) struct Dial {
    pub(crate) login: Login,
    pub(crate) tls: Option<Tls>,
    /// What the connections are called on the server.
    pub(crate) name: String,
}

/// How long the connection that subscribes and all that is asked on it may take.
const READY: Duration = Duration::from_secs(10);
/// More servers than these are not waited for in one attempt; the next one begins with others.
const TRIED: usize = 20;

/// What of Redis carries the frames. All nodes and emitters of a cluster need the same.
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
    /// `XADD` and `XREAD`: a stream, which keeps what was published for a node whose link was away. Each node reads all of it.
    #[non_exhaustive]
    Stream {
        /// The key of the stream; `rc.` and the name of the cluster where there is none.
        key: Option<Arc<str>>,
        /// How many messages of at most 64 KiB it keeps, or somewhat more (`MAXLEN ~`).
        maxlen: u32,
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

    /// A stream with this key, or one named after the cluster; it keeps so many messages.
    ///
    /// # Errors
    /// `Config` when the key is not 1 to 63 letters, digits and single `.`, `_`, `-` between them, or `maxlen` is 0.
    pub fn stream(key: Option<&str>, maxlen: u32) -> Result<Self> {
        url::stream(key, maxlen)?;
        Ok(Self::Stream { key: key.map(Arc::from), maxlen })
    }

    /// What stands before the core's name of a channel.
    pub(crate) fn prefix(&self) -> Arc<str> {
        match self {
            Self::PubSub | Self::Stream { .. } => "".into(),
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
            Kind::Single | Kind::Stream => Topology::Single(hosts.swap_remove(0)), // a URL without a server is refused
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
            _ => return Err(Error::config("Roomcast reaches Redis by TCP or TLS only")),
        };
        let settings = info.redis_settings();
        url::database(settings.db())?;
        let mut login = Login::default();
        (login.user, login.password) = (settings.username().map(str::to_owned), settings.password().map(str::to_owned));
        let topology = Topology::Single(HostPort { host: host.clone(), port });
        Ok(Self { topology, credentials: Credentials::fixed(login), tls, mode: Mode::PubSub })
    }

    /// Another mode than the URL's or the client's. Redis Cluster has sharded pub/sub only.
    ///
    /// # Errors
    /// `Config` for anything else in Redis Cluster.
    pub fn mode(mut self, mode: Mode) -> Result<Self> {
        if matches!(self.topology, Topology::Cluster { .. }) && !matches!(mode, Mode::Sharded { .. }) {
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
    /// a link is made, and before a login that is [valid for a time](Login::valid_for) ends: the connections go on with the next one
    /// (`AUTH`). The sentinels' own login stays that of the URL.
    #[must_use]
    pub fn credentials(mut self, credentials: Credentials) -> Self {
        self.credentials = credentials;
        self
    }

    /// How long the making of a link may take: to find the server, those that are asked may be silent, and so may the one that
    /// they name.
    pub(crate) fn attempt(&self) -> Duration {
        let found = in_turn_limit(self.topology.candidates().min(TRIED), (DIAL + RESPONSE) * 2);
        found + READY + self.credentials.limit()
    }

    /// For the connections of the next link.
    ///
    /// # Errors
    /// Those of [`Credentials::login`].
    pub(crate) async fn dial(&self, name: String) -> Result<Dial> {
        Ok(Dial { login: self.credentials.login().await?, tls: self.tls.clone(), name })
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
    Err(Error::config("rediss:// needs the cargo feature \"tls\" of roomcast-redis (\"redis-tls\" of roomcast)"))
}

#[async_trait]
impl Connect for Redis {
    async fn connect(&self, inbox: Inbox) -> Result<Arc<dyn Backend>> {
        Ok(match self.mode {
            Mode::Stream { .. } => Arc::new(Keeper::<Log>::connect(Reading::new(self.clone()), inbox).await?),
            Mode::PubSub | Mode::Sharded { .. } => Arc::new(Keeper::<Pair>::connect(self.clone(), inbox).await?),
        })
    }
}
