//! How to start a broker, as data.

/// How to start a broker: another broker, or another version of one, is another value.
///
/// # Templates
/// In arguments and environments stand `{port}` (of this server, for clients), `{peer}` (for its fellows), `{port0}` and
/// `{peer0}`, `{port1}` and so on (of each server), `{bind}` (the address to listen on), `{folder}` (a private one, kept over
/// restarts) and `{index}`.
///
/// # Examples
/// ```
/// use conformance::broker::{Launch, Recipe, recipes};
///
/// const VALKEY: Recipe = Recipe {
///     name: "valkey",
///     setting: "VALKEY",
///     family: "VALKEY",
///     local: Launch { what: "valkey-server", ..recipes::REDIS.local },
///     container: Launch { what: "valkey/valkey:8", ..recipes::REDIS.container },
///     ..recipes::REDIS
/// };
/// # assert_eq!(VALKEY.scheme, "redis");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Recipe {
    /// For reports and the names of containers: `redis-cluster`.
    pub name: &'static str,
    /// Its part of environment variables, `REDIS_CLUSTER` for `CONFORMANCE_REDIS_CLUSTER`.
    pub setting: &'static str,
    /// The setting that holds where this one has none of its own: `REDIS`. Of a URL there nothing follows for this one.
    /// `CONFORMANCE_<family>_IMAGE` is the image's name.
    pub family: &'static str,
    /// Of its URLs.
    pub scheme: &'static str,
    /// How many servers make it, one or more.
    pub servers: usize,
    /// From a program on this machine.
    pub local: Launch,
    /// From a container image.
    pub container: Launch,
    /// How to see that a server is ready, and of which version it is.
    pub probe: Probe,
    /// What is done once, when all servers answer.
    pub setup: Setup,
}

/// What is started, and with what.
#[derive(Clone, Copy, Debug)]
pub struct Launch {
    /// The program, looked for on the PATH and where system daemons are; or the image.
    pub what: &'static str,
    /// Its arguments, in groups so that variants share some.
    pub arguments: &'static [&'static [&'static str]],
    /// Its environment, beside what it inherits.
    pub environment: &'static [(&'static str, &'static str)],
    /// Commands that prepare the folder before the first start, such as `initdb`. A program that they put into its `bin` is started
    /// instead of the one of the same name. For local servers only.
    pub prepare: &'static [&'static [&'static str]],
    /// Whom these commands and the server run as, and who owns the folder, where we are root: for servers that refuse to
    /// run as root. For local servers only, with `setpriv` of util-linux.
    pub user: Option<&'static str>,
    /// The signal by which an operator ends it: `TERM` for most. For local servers only; an image names its own.
    pub stop: &'static str,
}

/// The protocol in which a server is asked whether it is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Probe {
    /// `INFO server` answers.
    Redis,
    /// The same, and `CLUSTER INFO` says that all slots are served and all servers known.
    RedisCluster,
    /// The INFO line comes, and names all servers of the cluster.
    Nats,
    /// A query answers.
    Postgres,
    /// Any other protocol: these bytes are sent, and the server is ready when this text is in what it answers. Its version
    /// are the digits and dots behind it.
    Answer {
        /// The port where the URL of an external broker names none.
        port: u16,
        /// What is sent at once.
        ask: &'static [u8],
        /// The text that the answer has to hold.
        before_version: &'static str,
    },
}

/// What is done once, to make one broker of the servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Setup {
    /// Nothing.
    None,
    /// A server is started, the first time, when those before it are ready: it joins them.
    InTurn,
    /// The servers meet, as masters that share the slots evenly.
    RedisSlots,
}
