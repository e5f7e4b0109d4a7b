//! Which server is to be used now: the one of the URL, the owner of our slot, or the master that the sentinels name.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use redis::{RedisError, Value, from_redis_value, from_redis_value_ref};
use roomcast_core::backend::{BrokerInfo, Found, HostPort, Login, Reason, Ring, in_turn_limit, search};
use roomcast_core::{Error, Result};
use tokio::time::sleep;

use crate::config::Mode;
use crate::connection::{Connection, DIAL, Dial, RESPONSE};
use crate::description::hello;
use crate::error::{error, replica};

/// How often sentinels are asked whether they have replaced the master.
const ASKED_AGAIN: Duration = Duration::from_secs(10);
/// More servers than these are not waited for in one attempt; the next one begins with others.
const TRIED: usize = 20;
/// So many servers of a cluster are remembered.
const KNOWN: usize = 1000;

/// How the servers belong together.
#[derive(Clone, Debug)]
pub(crate) enum Topology {
    Single(HostPort),
    /// All channels are in one slot, so one server carries the cluster: its owner.
    Cluster {
        seeds: Vec<HostPort>,
        /// From the servers: the seeds may be gone when the owner goes. Clones share it.
        learned: Arc<Mutex<HashSet<HostPort>>>,
    },
    Sentinel(Sentinels),
}

/// Where the master of a service is asked for.
#[derive(Clone, Debug)]
pub(crate) struct Sentinels {
    pub(crate) all: Vec<HostPort>,
    pub(crate) service: String,
    /// At the sentinels; the master has another.
    pub(crate) login: Login,
}

/// The server to be used.
pub(crate) struct Server {
    pub(crate) address: HostPort,
    pub(crate) connection: Connection,
    pub(crate) broker: Option<BrokerInfo>,
}

/// What is asked in a search.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Place {
    Server(HostPort),
    Sentinel(HostPort),
}

impl Topology {
    /// How long the search may take: those that are asked may be silent, and so may the one that they name.
    pub(crate) fn limit(&self) -> Duration {
        in_turn_limit(self.places().len().min(TRIED), (DIAL + RESPONSE) * 2)
    }

    fn places(&self) -> Vec<Place> {
        match self {
            Self::Single(address) => vec![Place::Server(address.clone())],
            Self::Cluster { seeds, learned } => {
                let servers: HashSet<_> = lock(learned).iter().chain(seeds).cloned().collect();
                servers.into_iter().map(Place::Server).collect()
            }
            Self::Sentinel(sentinels) => sentinels.all.iter().cloned().map(Place::Sentinel).collect(),
        }
    }

    /// Finds the server to be used now, and connects to it.
    ///
    /// # Errors
    /// `Config`, `Denied`, `Unavailable`.
    pub(crate) async fn find(&self, dial: &Dial, mode: &Mode) -> Result<Server> {
        let mut places = Ring::new(self.places()); // begins anywhere, so that not all nodes ask the same
        let found = search(places.round(), |place| self.ask(dial, mode, place)).await?;
        let Server { address, connection, .. } = &found;
        match self {
            Self::Single(_) => {}
            Self::Cluster { learned, .. } => {
                if let Some(servers) = servers(connection, address).await? {
                    *lock(learned) = servers;
                }
            }
            // The one that was asked first may be cut off from the others, together with the master that it names.
            Self::Sentinel(sentinels) => {
                if sentinels.all.len() > 1 && sentinels.name_another(dial, address).await {
                    let text = format!("most sentinels name another master than the one at {address}");
                    return Err(Error::unavailable(text));
                }
            }
        }
        Ok(found)
    }

    /// Asks whether this is the server to be used, and if not, which one is.
    async fn ask(&self, dial: &Dial, mode: &Mode, place: Place) -> Result<Found<Server, Place>> {
        let address = match (self, place) {
            (Self::Sentinel(sentinels), Place::Sentinel(sentinel)) => {
                return Ok(Found::At(Place::Server(sentinels.master(dial, &sentinel).await?)));
            }
            (_, Place::Server(address) | Place::Sentinel(address)) => address,
        };
        let is_cluster = matches!(self, Self::Cluster { .. });
        let connection = Connection::open(dial, &address, None).await?;
        if let Some(owner) = slot_owner(&connection, &address, mode).await? {
            return match is_cluster {
                true => Ok(Found::At(Place::Server(owner))),
                false => Err(Error::config("this server is part of a Redis Cluster: its URL is redis+cluster://")),
            };
        }
        let said = hello(&connection.client).await.map_err(error)?;
        if !said.is_replica {
            return Ok(Found::Here(Server { address, connection, broker: said.broker }));
        }
        // It takes part in its master's slots, but what goes by it is lost silently when the two lose touch.
        let master = if is_cluster { master_of(&connection).await } else { None };
        master.map(|master| Found::At(Place::Server(master))).ok_or_else(|| self.replica(&address))
    }

    fn replica(&self, address: &HostPort) -> Error {
        Error::unavailable(match self {
            Self::Single(_) => replica(address),
            Self::Cluster { .. } => {
                format!("the server at {address} is a replica and does not say of which: give the user +role")
            }
            Self::Sentinel(_) => format!("the server at {address} is not the master that the sentinel says it is"),
        })
    }

    /// Returns once the sentinels have replaced this master; never where there are none. A master that is cut off from them goes on as
    /// one, since it does not learn that it was replaced.
    pub(crate) async fn replaced(&self, dial: &Dial, master: &HostPort) -> Reason {
        let Self::Sentinel(sentinels) = self else { return std::future::pending().await };
        loop {
            sleep(ASKED_AGAIN).await;
            if sentinels.name_another(dial, master).await {
                return format!("the sentinels have replaced the master at {master}, which does not know it").into();
            }
        }
    }
}

impl Sentinels {
    /// The master that a sentinel names.
    ///
    /// # Errors
    /// `Config` if it does not know the service, which another one may do; those of the question.
    async fn master(&self, dial: &Dial, sentinel: &HostPort) -> Result<HostPort> {
        let asking = Dial { login: self.login.clone(), ..dial.clone() };
        let connection = Connection::open(&asking, sentinel, None).await?;
        let question = ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", &self.service];
        let answer = connection.call(&question).await.map_err(error)?;
        let (host, port) = from_redis_value::<Option<_>>(answer)
            .ok()
            .flatten()
            .ok_or_else(|| Error::config(format!("the sentinel at {sentinel} knows no service {:?}", self.service)))?;
        Ok(HostPort { host, port })
    }

    /// Whether most of those that answer name another master. Those that are silent are waited for only while that is open.
    async fn name_another(&self, dial: &Dial, master: &HostPort) -> bool {
        let mut asked: FuturesUnordered<_> = self.all.iter().map(|sentinel| self.master(dial, sentinel)).collect();
        let (mut this, mut others) = (0, 0);
        while let Some(named) = asked.next().await {
            match named {
                Ok(named) if named == *master => this += 1,
                Ok(_) => others += 1,
                Err(_) => {} // it cannot tell
            }
            if this.max(others) * 2 > self.all.len() {
                break;
            }
        }
        others > this
    }
}

/// The owner of our slot, if a server says that it is another one. Asked by ending a subscription that does not exist.
///
/// # Errors
/// `Config` if it has no sharded pub/sub; those of the question.
async fn slot_owner(connection: &Connection, asked: &HostPort, mode: &Mode) -> Result<Option<HostPort>> {
    let Mode::Sharded { .. } = mode else { return Ok(None) };
    let channel = format!("{}probe", mode.prefix());
    let Err(cause) = connection.call(&["SUNSUBSCRIBE", &channel]).await else { return Ok(None) };
    match moved_to(&cause, asked) {
        Some(owner) => Ok(Some(owner)),
        None => Err(error(cause)),
    }
}

fn moved_to(cause: &RedisError, asked: &HostPort) -> Option<HostPort> {
    let (address, _slot) = cause.redirect_node().filter(|_| cause.code() == Some("MOVED"))?;
    let (host, port) = address.rsplit_once(':')?;
    Some(told(host, port.parse().ok()?, asked))
}

/// The master of a server that is a replica. A user who may not ask gets `None`.
async fn master_of(connection: &Connection) -> Option<HostPort> {
    let role = connection.call(&["ROLE"]).await.ok()?;
    let (_slave, host, port, _state, _offset): (Value, _, _, Value, Value) = from_redis_value(role).ok()?;
    Some(HostPort { host, port })
}

/// The servers of the cluster as this one knows them; `None` if it may not be asked.
///
/// # Errors
/// `Config` if it is in no cluster: servers that do not know each other would cut ours into as many parts.
async fn servers(connection: &Connection, asked: &HostPort) -> Result<Option<HashSet<HostPort>>> {
    let ranges = match connection.call(&["CLUSTER", "SLOTS"]).await {
        Ok(ranges) => ranges,
        Err(cause) if cause.detail().is_some_and(|detail| detail.contains("cluster support disabled")) => {
            let text = format!("the server at {asked} is not part of a Redis Cluster");
            return Err(Error::config(text).with_source(cause));
        }
        Err(_) => return Ok(None),
    };
    let address = |server: &Value| {
        let [host, port, ..] = server.as_sequence()? else { return None };
        let host: Option<String> = from_redis_value_ref(host).ok()?;
        Some(told(&host.unwrap_or_default(), from_redis_value_ref(port).ok()?, asked))
    };
    let ranges: Vec<Vec<Value>> = from_redis_value(ranges).unwrap_or_default();
    let servers = ranges.iter().flat_map(|range| range.iter().skip(2)); // behind the first and the last slot
    Ok(Some(servers.filter_map(address).take(KNOWN).collect()))
}

/// A server of which another one tells. One that does not know its own name is told without or as `?`: it is where we asked.
fn told(host: &str, port: u16, asked: &HostPort) -> HostPort {
    let host = if matches!(host, "" | "?") { &asked.host } else { host };
    HostPort { host: host.to_owned(), port }
}

// Guards one set, and nothing awaits while it is held.
fn lock<T>(learned: &Mutex<T>) -> MutexGuard<'_, T> {
    learned.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use redis::{ErrorKind, ServerErrorKind};

    use super::*;

    fn at(host: &str, port: u16) -> HostPort {
        HostPort { host: host.to_owned(), port }
    }

    #[test]
    fn a_server_that_does_not_know_its_name_is_where_it_was_asked() {
        for (said, owner) in [
            ("1 10.0.0.2:7000", Some(at("10.0.0.2", 7000))),
            ("1 ::1:7000", Some(at("::1", 7000))),
            ("1 :7000", Some(at("asked", 7000))),
            ("1 ?:7000", Some(at("asked", 7000))),
            ("1 10.0.0.2", None),
            ("1 10.0.0.2:70000", None),
        ] {
            let moved =
                |kind| (ErrorKind::Server(kind), "An error was signalled by the server", said.to_owned()).into();
            assert_eq!(moved_to(&moved(ServerErrorKind::Moved), &at("asked", 1)), owner, "{said}");
            assert_eq!(moved_to(&moved(ServerErrorKind::Ask), &at("asked", 1)), None, "{said}");
        }
    }

    #[test]
    fn the_advice_about_a_replica_fits_the_url() {
        let address = HostPort { host: "r1".to_owned(), port: 6379 };
        let sentinels = Sentinels { all: vec![address.clone()], service: "s".to_owned(), login: Login::default() };
        for (topology, advice) in [
            (Topology::Single(address.clone()), "name the master"),
            (Topology::Cluster { seeds: vec![address.clone()], learned: Arc::default() }, "+role"),
            (Topology::Sentinel(sentinels), "the sentinel says"),
        ] {
            let said = topology.replica(&address).to_string();
            assert!(said.contains("r1:6379") && said.contains(advice), "{said}");
        }
    }
}
