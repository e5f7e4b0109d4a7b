//! How to reach Redis.

use std::sync::Arc;
use std::time::Duration;

use roomcast_core::backend::tls::Tls;
use roomcast_core::backend::{Backend, Connect, Credentials, Inbox, Keeper, TlsFiles, async_trait};
use roomcast_core::{Error, Result};

use crate::backend::PubSub;
use crate::streams::{Log, Reading};
use crate::topology::Topology;
use crate::url;

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
    pub(crate) tls: Option<Tls>,
    pub(crate) mode: Mode,
}

/// What of Redis carries the frames.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// `PUBLISH` and `SUBSCRIBE`: every server since Redis 6.
    PubSub,
    /// `SPUBLISH` and `SSUBSCRIBE`: since Redis 7; what Redis Cluster needs to not send every message to every server.
    Sharded {
        /// What stands in braces before every channel, and so decides the slot: all channels are in one.
        tag: String,
    },
    /// `XADD` and `XREAD`: a stream, which keeps what was published for a node whose link was away. Each node reads all of it.
    Streams {
        /// The key of the stream; `rc.` and the name of the cluster where there is none.
        key: Option<String>,
        /// How many messages of at most 64 KiB it keeps, or somewhat more (`MAXLEN ~`).
        maxlen: u32,
    },
}

/// How long the connection that receives and all that is asked on it may take.
const READY: Duration = Duration::from_secs(10);

impl Redis {
    /// What a URL means; its forms and options are in the documentation of this crate.
    ///
    /// # Errors
    /// `Config` when anything in it is not understood; the text repeats nothing of the URL.
    pub fn from_url(url: &str) -> Result<Self> {
        let (mut redis, files) = url::parse(url)?;
        redis.tls = files.as_ref().map(secured).transpose()?;
        Ok(redis)
    }

    /// TLS as the application has configured it, instead of the URL's `ca`, `cert` and `key`.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn tls(mut self, config: Arc<crate::rustls::ClientConfig>) -> Self {
        self.tls = Some(Tls::from_config(config));
        self
    }

    /// The login comes from here, instead of from the URL: for passwords and tokens that change. Asked for each time
    /// a link is made, and before a login that is [valid for a time](crate::Login::valid_for) ends: the connections go on with the next one
    /// (`AUTH`). The sentinels' own login stays that of the URL.
    #[must_use]
    pub fn credentials(mut self, credentials: Credentials) -> Self {
        self.credentials = credentials;
        self
    }

    /// How long the making of a link may take.
    pub(crate) fn attempt(&self) -> Duration {
        self.topology.limit() + READY + self.credentials.limit()
    }
}

impl Mode {
    /// What stands before the core's name of a channel.
    pub(crate) fn prefix(&self) -> String {
        match self {
            Self::Sharded { tag } => format!("{{{tag}}}"),
            Self::PubSub | Self::Streams { .. } => String::new(),
        }
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
            Mode::Streams { .. } => Arc::new(Keeper::<Log>::connect(Reading::new(self.clone()), inbox).await?),
            Mode::PubSub | Mode::Sharded { .. } => Arc::new(Keeper::<PubSub>::connect(self.clone(), inbox).await?),
        })
    }
}
