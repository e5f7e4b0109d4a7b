//! Where the brokers are, who we are to them, and what is bounded there.

use std::sync::Arc;
use std::time::Instant;

use lapin::types::ShortString;
use lapin::uri::{AMQPAuthority, AMQPQueryString, AMQPUri, AMQPUserInfo, SASLMechanism};
use roomcast_core::backend::tls::Tls;
use roomcast_core::backend::{Backend, Connect, Credentials, HostPort, Inbox, Keeper, Login, async_trait};
use roomcast_core::{Error, Result};

use crate::backend::{Brokers, Line};
use crate::url;

/// RabbitMQ: one broker, or several of one cluster.
///
/// # Examples
/// ```
/// # fn main() -> roomcast_core::Result<()> {
/// use roomcast_amqp::Amqp;
///
/// let one = Amqp::from_url("amqp://shop:secret@127.0.0.1:5672")?;
/// let three = Amqp::from_url("amqp://shop:secret@r1,r2,r3/orders?exchange=shop")?.prefetch(100);
/// assert!(!format!("{three:?}").contains("secret"));
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Amqp {
    pub(crate) hosts: Vec<HostPort>,
    /// Without a login: a guest, or by certificate.
    pub(crate) credentials: Credentials,
    /// What they said for the link that is being made.
    login: Option<Login>,
    pub(crate) vhost: String,
    pub(crate) tls: Option<Tls>,
    /// A certificate of ours says who we are.
    pub(crate) certified: bool,
    pub(crate) exchange: ShortString,
    pub(crate) heartbeat: u16,
    /// What the connections are called on the broker.
    pub(crate) name: Option<String>,
    pub(crate) prefetch: u16,
    pub(crate) backlog_bytes: u32,
}

/// What a name on the broker may have, less what we append to that of the exchange.
const LONGEST: usize = 200;

impl Amqp {
    /// Reads `amqp://user:password@host:port,host:port/vhost?option=value&..`; with `amqps://` the brokers must speak TLS.
    /// The crate's documentation lists the options.
    ///
    /// # Errors
    /// `Config`, with the known options where one is unknown, and never with a part of the URL that may be secret.
    pub fn from_url(url: &str) -> Result<Self> {
        url::read(url)
    }

    /// As it is if a URL says no more than where.
    pub(crate) fn at(hosts: Vec<HostPort>, vhost: String) -> Result<Self> {
        Ok(Self {
            hosts,
            credentials: Credentials::default(),
            login: None,
            vhost,
            tls: None,
            certified: false,
            exchange: short("roomcast")?,
            heartbeat: 10,
            name: None,
            prefetch: 500,
            backlog_bytes: 64 << 20,
        })
    }

    /// The exchange of all nodes and emitters of a cluster, and the beginning of the names of our queues; default
    /// `roomcast`. Clusters of different names may share one.
    ///
    /// # Errors
    /// `Config` when it is empty, has more than 200 bytes, or begins with `amq.`, which is the broker's.
    pub fn exchange(mut self, name: &str) -> Result<Self> {
        self.exchange = exchange(name)?;
        Ok(self)
    }

    /// How many messages may be on their way to this node, or wait there for the node to take them; default 500. Raising
    /// it costs memory here while the node does not keep up, up to 128 KiB each; lowering it costs speed on a long way to
    /// the broker.
    #[must_use]
    pub fn prefetch(mut self, messages: u16) -> Self {
        self.prefetch = messages.max(1);
        self
    }

    /// How many bytes may wait on the broker for this node; default 64 MiB. A message counts as 512 bytes at least. When there
    /// are more, the oldest are lost, and the node is told. Raising it costs the broker's memory.
    #[must_use]
    pub fn backlog_bytes(mut self, bytes: u32) -> Self {
        self.backlog_bytes = bytes.max(1);
        self
    }

    /// TLS as the application has configured it, instead of the URL's `ca`, `cert` and `key`. With a URL that names no
    /// user, the certificate says who we are (`EXTERNAL`).
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn tls(mut self, config: Arc<crate::rustls::ClientConfig>) -> Self {
        self.tls = Some(Tls::from_config(config));
        self.certified = true;
        self
    }

    /// The login comes from here, instead of from the URL: for passwords and tokens that change. Asked for each time a link is made,
    /// and before a login that is [valid for a time](Login::valid_for) ends: the connections go on with the password of the next one
    /// (`update-secret`), which RabbitMQ ends if it does not take it.
    #[must_use]
    pub fn credentials(mut self, credentials: Credentials) -> Self {
        self.credentials = credentials;
        self
    }

    /// The same with the login for the next link.
    ///
    /// # Errors
    /// Those of [`Credentials::login`].
    pub(crate) async fn logged_in(&self, name: String) -> Result<Self> {
        let login = self.credentials.login().await?;
        let name = Some(self.name.clone().unwrap_or(name));
        Ok(Self { login: Some(login).filter(|login| *login != Login::default()), name, ..self.clone() })
    }

    /// When that login ends.
    pub(crate) fn expires(&self) -> Option<Instant> {
        self.login.as_ref().and_then(|login| login.expires)
    }

    /// What the client is told of a broker; the socket is made without it.
    pub(crate) fn uri(&self, host: &HostPort) -> AMQPUri {
        let external = self.login.is_none() && self.certified;
        let Login { user, password, .. } = self.login.clone().unwrap_or_else(|| Login::new("guest", "guest"));
        let (username, password) = (user.unwrap_or_default(), password.unwrap_or_default());
        let userinfo = AMQPUserInfo { username, password };
        AMQPUri {
            authority: AMQPAuthority { userinfo, host: host.host.clone(), port: host.port },
            vhost: self.vhost.clone(),
            query: AMQPQueryString {
                heartbeat: Some(self.heartbeat),
                auth_mechanism: external.then_some(SASLMechanism::External),
                ..AMQPQueryString::default()
            },
            ..AMQPUri::default()
        }
    }
}

/// The name of our exchange.
pub(crate) fn exchange(name: &str) -> Result<ShortString> {
    if name.is_empty() || name.len() > LONGEST || name.starts_with("amq.") {
        return Err(Error::config("exchange is a name of 1 to 200 bytes that does not begin with amq."));
    }
    short(name)
}

/// A name as AMQP has them; the client's own conversions panic above 255 bytes.
pub(crate) fn short(text: impl Into<String>) -> Result<ShortString> {
    ShortString::try_new(text).map_err(|_| Error::config("a name on the broker has at most 255 bytes"))
}

#[async_trait]
impl Connect for Amqp {
    async fn connect(&self, inbox: Inbox) -> Result<Arc<dyn Backend>> {
        Ok(Arc::new(Keeper::<Line>::connect(Brokers::new(self.clone()), inbox).await?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use roomcast_core::ErrorKind;

    fn refusal(url: &str) -> String {
        let error = Amqp::from_url(url).expect_err("refused");
        assert_eq!(error.kind(), ErrorKind::Config, "{url}");
        format!("{error} {error:?}")
    }

    #[test]
    fn options_are_read() {
        let amqp = Amqp::from_url("amqp://h?exchange=shop&heartbeat=4&prefetch=7&backlog_bytes=99&name=web%201");
        let amqp = amqp.expect("valid");
        assert_eq!((amqp.prefetch, amqp.backlog_bytes), (7, 99));
        assert_eq!((amqp.exchange.as_str(), amqp.heartbeat, amqp.name.as_deref()), ("shop", 4, Some("web 1")));
    }

    #[test]
    fn an_unknown_option_is_named_with_the_known_ones() {
        let text = refusal("amqp://user:hunter2@host?paswd=hunter3");
        assert!(text.contains("paswd") && text.contains("prefetch") && !text.contains("hunter"), "{text}");
    }

    #[test]
    fn malformed_urls_are_refused() {
        let urls = [
            "redis://host",
            "host",
            "amqp://",
            "amqp://a,,b",
            "amqp://host:port",
            "amqp://host:0",
            "amqp://host:1:2",
            "amqp://[::1",
            "amqp://[::1]x",
            "amqp://host/a/b",
            "amqp://host?name",
            "amqp://host?prefetch=0",
            "amqp://host?prefetch=65536",
            "amqp://host?heartbeat=x",
            "amqp://host?exchange=",
            "amqp://host?exchange=amq.direct",
            "amqp://host?ca=/a",
            "amqp://%ff:x@host",
            "amqp://user@host",
            "amqp://host?password_file=/p",
            "amqp://user:pw@host?password_file=/p",
        ];
        for url in urls {
            refusal(url);
        }
    }

    #[cfg(not(feature = "tls"))]
    #[test]
    fn tls_names_the_feature_that_it_needs() {
        assert!(refusal("amqps://host").contains("amqp-tls"));
    }

    #[test]
    fn long_names_are_refused_and_never_panic() {
        let long = "x".repeat(256);
        refusal(&format!("amqp://host/{long}"));
        refusal(&format!("amqp://host?exchange={long}"));
        let amqp = Amqp::from_url(&format!("amqp://{long}:{long}@host?name={long}")).expect("valid");
        amqp.uri(&amqp.hosts[0]);
        assert!(short(long).is_err());
    }

    #[test]
    fn secrets_are_shown_nowhere() {
        let urls = ["user:hunter2@host", "hunter2@host", "u:hunter2@h1:x", "u:/hunter2@host", "u:1?hunter2=1@host"];
        for url in urls.map(|rest| format!("amqp://{rest}")) {
            let text =
                Amqp::from_url(&url).map_or_else(|error| format!("{error} {error:?}"), |amqp| format!("{amqp:?}"));
            assert!(!text.contains("hunter2"), "{text}");
        }
    }
}
