//! How to start a broker.

use std::borrow::Cow;
use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use super::url::Url;
use super::{Filling, Launch, certificates};

/// A word of a recipe: in the source, or made at runtime.
pub(crate) type Text = Cow<'static, str>;

/// How to start a broker: from a program of this machine, from a container's image, or either. [`recipes`](super::recipes) has
/// those that the suite knows; another version or a relative of one is a change of it.
///
/// # Templates
/// In arguments and environments stand `{port}` (of this server, for clients), `{peer}` (for its fellows), `{port0}` and
/// `{peer0}`, `{port1}` and so on (of each server), `{bind}` (the address to listen on), `{folder}` (a private one, kept over
/// restarts) and `{index}`.
///
/// # Settings
/// `CONFORMANCE_<NAME>` says where it runs: `local`, `container` or the URL of one that runs already. The name is in capitals, and `_` in
/// the place of `-`. `CONFORMANCE_<NAME>_IMAGE` is another image.
///
/// # Examples
/// A relative of one that the suite knows:
/// ```
/// use roomcast_conformance::broker::recipes;
///
/// let valkey = recipes::redis()
///     .named("valkey")
///     .with_program(|program| program.named("valkey-server"))
///     .with_image(|image| image.named("valkey/valkey:8"));
/// ```
/// One that it does not know, ready when it answers a question of its protocol:
/// ```
/// use roomcast_conformance::broker::{Launch, Recipe};
///
/// let mosquitto = Recipe::new("mosquitto", "mqtt")
///     .program(Launch::new("mosquitto").args(["-p", "{port}"]))
///     .answers(1883, *b"\x10\x0c\0\x04MQTT\x04\x02\0\x3c\0\0\x82\x18\0\x01\0\x13$SYS/broker/version\0", "mosquitto version ");
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Recipe {
    pub(super) name: Text,
    /// Its part of environment variables, `REDIS_CLUSTER` for `CONFORMANCE_REDIS_CLUSTER`.
    pub(super) setting: String,
    /// The setting that holds where this one has none of its own: `REDIS`.
    pub(super) family: String,
    pub(super) scheme: Text,
    /// The query of its URLs, as a template.
    pub(super) options: Text,
    pub(super) servers: usize,
    pub(super) second: Second,
    pub(super) encrypted: bool,
    pub(super) local: Option<Launch>,
    pub(super) container: Option<Launch>,
    pub(super) probe: Probe,
    pub(super) setup: Setup,
    /// Why no start can have a smaller limit of messages than ours.
    pub(super) takes_all: Option<Text>,
    pub(super) ends_links: Vec<Text>,
    /// Or why it is never full.
    pub(super) filling: Result<Filling, Text>,
}

impl Recipe {
    /// One server, by its name (for reports and settings) and the scheme of its URLs. It has neither program nor image yet, and is
    /// ready when it accepts a connection.
    pub fn new(name: impl Into<Text>, scheme: impl Into<Text>) -> Self {
        Self {
            name: Text::Borrowed(""),
            setting: String::new(),
            family: String::new(),
            scheme: scheme.into(),
            options: Text::default(),
            servers: 1,
            second: Second::Fellows,
            encrypted: false,
            local: None,
            container: None,
            probe: Probe::Accepts,
            setup: Setup::None,
            takes_all: None,
            ends_links: Vec::new(),
            filling: Err("the recipe does not say how its broker becomes full".into()),
        }
        .named(name)
    }

    /// Another name, and the settings that follow from it.
    pub fn named(mut self, name: impl Into<Text>) -> Self {
        self.name = name.into();
        self.setting = self.name.to_ascii_uppercase().replace('-', "_");
        self.family.clone_from(&self.setting);
        self
    }

    /// Another scheme of its URLs.
    pub fn scheme(mut self, scheme: impl Into<Text>) -> Self {
        self.scheme = scheme.into();
        self
    }

    /// What its URLs have as their query, as a template, in which `{host}` is that of the URL: `ca={folder}/ca.pem`, say. Empty by
    /// default.
    pub fn url_options(mut self, query: impl Into<Text>) -> Self {
        self.options = query.into();
        self
    }

    /// By TLS: its URLs have this scheme and this query, a template. Before its first start `openssl` puts an authority into its folder,
    /// and a certificate for 127.0.0.1: `ca.pem`, `server.pem` and `server.key`, which the arguments name. From a program of this machine
    /// only.
    ///
    /// A server that begins without TLS on the same port is asked there whether it is ready; any other one where
    /// [`asked_at_peer`](Self::asked_at_peer) says.
    pub fn tls(mut self, scheme: impl Into<Text>, query: impl Into<Text>) -> Self {
        self.encrypted = true;
        self.ends_links.clear(); // the operator's programs would have to speak TLS, too
        self.filling = self.filling.and(Err("what fills it does not speak TLS".into()));
        self.scheme(scheme)
            .url_options(query)
            .without_image()
            .with_program(|program| program.prepare(["sh", "-c", certificates::SCRIPT]))
    }

    /// The program by which its operator ends all links of clients, run where a server of it runs, and its arguments, which are
    /// templates: for the case of a maintenance that is planned. None by default.
    pub fn ends_links(mut self, command: impl IntoIterator<Item = impl Into<Text>>) -> Self {
        self.ends_links = command.into_iter().map(Into::into).collect();
        self
    }

    /// How it becomes so full that it refuses what is published: for the case about that.
    pub fn filled_by(mut self, filling: Filling) -> Self {
        self.filling = Ok(filling);
        self
    }

    /// It never refuses what is published for being full, and why: the case about that is shown as ignored for it.
    pub fn never_full(mut self, reason: impl Into<Text>) -> Self {
        self.filling = Err(reason.into());
        self
    }

    /// Whether it is ready is asked at `{peer}`, where it has nothing but the plain protocol for us.
    pub fn asked_at_peer(mut self) -> Self {
        self.second = Second::Questions;
        self
    }

    /// At `{peer}` is another way for clients, which the query names: a proxy stands before both.
    pub(super) fn also_at_peer(mut self) -> Self {
        self.second = Second::Clients;
        self
    }

    /// The settings that hold where this one has none of its own: `REDIS` for a cluster of them. Of a URL there nothing follows for
    /// this one.
    pub fn family(mut self, setting: impl Into<String>) -> Self {
        self.family = setting.into();
        self
    }

    /// How to start it from a program of this machine, looked for on the PATH and where system daemons are.
    pub fn program(mut self, launch: Launch) -> Self {
        self.local = Some(launch);
        self
    }

    /// How to start it from a container's image.
    pub fn image(mut self, launch: Launch) -> Self {
        self.container = Some(launch);
        self
    }

    /// Never from an image.
    pub fn without_image(mut self) -> Self {
        self.container = None;
        self
    }

    /// The same broker with another way to start its program, if it has one.
    pub fn with_program(mut self, change: impl FnOnce(Launch) -> Launch) -> Self {
        self.local = self.local.map(change);
        self
    }

    /// The same broker with another way to start its image, if it has one.
    pub fn with_image(mut self, change: impl FnOnce(Launch) -> Launch) -> Self {
        self.container = self.container.map(change);
        self
    }

    /// It is ready when this text is in what it answers to these bytes, sent at once. Its version are the digits and dots behind the
    /// text. The port is for the URL of an external broker that names none.
    pub fn answers(mut self, port: u16, ask: impl Into<Vec<u8>>, before_version: impl Into<Text>) -> Self {
        self.probe = Probe::Answer { port, ask: ask.into().into(), before_version: before_version.into() };
        self
    }

    /// It is ready when this returns its version; until then it is asked again, with the reason in the report if it never is. One
    /// question may take two seconds. The port is for the URL of an external broker that names none.
    ///
    /// # Examples
    /// ```
    /// use roomcast_conformance::Recipe;
    /// use tokio::net::TcpStream;
    ///
    /// let recipe = Recipe::new("mine", "mine").ready(7000, |address| async move {
    ///     TcpStream::connect(address).await.map_err(|error| error.to_string())?;
    ///     Ok("1.0".to_owned())
    /// });
    /// ```
    pub fn ready<F>(mut self, port: u16, ask: impl Fn(SocketAddr) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<String, String>> + Send + 'static,
    {
        self.probe = Probe::Ask { port, ask: Question(Arc::new(move |address| Box::pin(ask(address)))) };
        self
    }

    /// However the broker is configured, it takes messages as large as its backend sends, and why: the case about a broker that comes
    /// back with a smaller limit is shown as ignored for it.
    pub fn takes_all(mut self, reason: impl Into<Text>) -> Self {
        self.takes_all = Some(reason.into());
        self
    }

    /// Of a broker of several servers, one alone that has met no other.
    pub fn alone(mut self) -> Self {
        self.servers = 1;
        self.setup = Setup::None;
        if self.probe == Probe::RedisCluster {
            self.probe = Probe::Redis;
        }
        self
    }

    /// So many servers, made one broker by this.
    pub(super) fn several(mut self, servers: usize, setup: Setup) -> Self {
        self.servers = servers;
        self.setup = setup;
        self
    }

    /// The name, for reports.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it is made of several servers.
    pub(crate) fn is_several(&self) -> bool {
        self.servers > 1
    }

    /// Whether we speak the protocol of an external broker at this URL: not by TLS.
    pub(super) fn is_plain(&self, url: &Url) -> bool {
        !self.encrypted && url.scheme() == self.scheme
    }

    pub(super) fn probe(mut self, probe: Probe) -> Self {
        self.probe = probe;
        self
    }
}

/// What is at the port `{peer}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Second {
    /// What servers say to each other, or nothing.
    Fellows,
    /// The plain protocol, for our questions.
    Questions,
    /// Another way for clients.
    Clients,
}

/// How to see that a server is ready, and of which version it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Probe {
    /// It accepts a connection.
    Accepts,
    /// `INFO server` answers.
    Redis,
    /// The same, and `CLUSTER INFO` says that all slots are served and all servers known.
    RedisCluster,
    /// The INFO line comes, and names all servers of the cluster.
    Nats,
    /// A query answers.
    Postgres,
    /// See [`Recipe::answers`].
    Answer { port: u16, ask: Arc<[u8]>, before_version: Text },
    /// See [`Recipe::ready`].
    Ask { port: u16, ask: Question },
}

/// A function that asks a server.
#[derive(Clone)]
pub(super) struct Question(Arc<dyn Fn(SocketAddr) -> Answering + Send + Sync>);

type Answering = Pin<Box<dyn Future<Output = Result<String, String>> + Send>>;

impl Question {
    pub(super) fn ask(&self, address: SocketAddr) -> Answering {
        (self.0)(address)
    }
}

impl PartialEq for Question {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Question {}

impl fmt::Debug for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Question")
    }
}

/// What is done once, to make one broker of the servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Setup {
    /// Nothing.
    None,
    /// A server is started, the first time, when those before it are ready: it joins them.
    InTurn,
    /// The servers meet, as masters that share the slots evenly.
    RedisSlots,
}
