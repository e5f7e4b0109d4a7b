//! Which server to talk to: the one of the URL, the owner of our slot, or the master that the sentinels name.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use redis::{RedisError, ServerErrorKind, Value};
use roomcast_core::backend::{HostPort, Login, Reason, Ring, in_turn};
use roomcast_core::{Error, ErrorKind, Result};
use tokio::sync::OnceCell;
use tokio::time::sleep;

use crate::config::{Dial, Mode};
use crate::connection::{Connection, hello};
use crate::error::error;

/// After so many redirections the servers do not agree.
const HOPS: usize = 5;
/// How often sentinels are asked whether they have replaced the master.
const ASKED_AGAIN: Duration = Duration::from_secs(10);
/// So many servers of a cluster are remembered.
const KNOWN: usize = 1000;

/// How the servers belong together.
#[derive(Clone, Debug)]
pub(crate) enum Topology {
    Single(HostPort),
    /// All channels are in one slot, so one server carries the cluster: its owner.
    Cluster {
        seeds: Vec<HostPort>,
        /// Learned from the servers: the seeds may be gone when the owner goes. Clones share it.
        learned: Arc<Mutex<Vec<HostPort>>>,
    },
    Sentinel {
        sentinels: Vec<HostPort>,
        service: String,
        login: Login,
    },
}

impl Topology {
    pub(crate) fn cluster(seeds: Vec<HostPort>) -> Self {
        Self::Cluster { seeds, learned: Arc::default() }
    }

    /// How many servers may have to be asked before the right one is found.
    pub(crate) fn candidates(&self) -> usize {
        match self {
            Self::Single(_) => 1,
            Self::Cluster { seeds, learned } => seeds.len() + lock(learned).len(),
            Self::Sentinel { sentinels, .. } => sentinels.len(),
        }
    }

    /// Finds the server to be used now, and opens the connection on which we publish.
    ///
    /// # Errors
    /// `Config`, `Denied`, `Unavailable`.
    pub(crate) async fn publisher(&self, dial: &Dial, mode: &Mode) -> Result<(HostPort, Connection)> {
        match self {
            Self::Single(address) => {
                let mut connection = Connection::open(dial, address).await?;
                match probe(&mut connection, mode).await.map_err(sharded_error)? {
                    None => Ok((address.clone(), connection)),
                    Some(_) => {
                        Err(Error::config("this server is part of a Redis Cluster: its URL is redis+cluster://"))
                    }
                }
            }
            Self::Cluster { seeds, learned } => {
                let mut all = seeds.clone();
                all.extend(lock(learned).iter().filter(|address| !seeds.contains(address)).cloned());
                let round = Round::default();
                let (owner, mut connection) = first(&all, |seed| round.owner(dial, mode, seed)).await?;
                if let Some(found) = servers(&mut connection, &owner).await? {
                    *lock(learned) = found;
                }
                Ok((owner, connection))
            }
            Self::Sentinel { sentinels, service, login } => {
                let asking = Dial { login: login.clone(), ..dial.clone() };
                let round = Round::default();
                let ask = |sentinel| round.master(dial, mode, &asking, service, sentinel);
                let (master, connection) = first(sentinels, ask).await?;
                // One that was asked first may be cut off from the others, together with the master that it names.
                match self.sentinels_of(dial, &master) {
                    Some(sentinels) if sentinels.all.len() > 1 && sentinels.name_another().await => {
                        Err(Error::unavailable(format!("most sentinels name another master than the one at {master}")))
                    }
                    _ => Ok((master, connection)),
                }
            }
        }
    }
}

/// The sentinels that a link's master was found by. A master that is cut off from them goes on as one: it does not learn that it was
/// replaced, so they are asked again.
pub(crate) struct Sentinels {
    all: Vec<HostPort>,
    asking: Dial,
    service: String,
    master: HostPort,
}

impl Topology {
    /// The sentinels, if it is they who have named this master.
    pub(crate) fn sentinels_of(&self, dial: &Dial, master: &HostPort) -> Option<Sentinels> {
        let Self::Sentinel { sentinels, service, login } = self else { return None };
        let asking = Dial { login: login.clone(), ..dial.clone() };
        Some(Sentinels { all: sentinels.clone(), asking, service: service.clone(), master: master.clone() })
    }
}

impl Sentinels {
    /// Returns once most of those that answer name another master.
    async fn replaced(&self) -> Reason {
        loop {
            sleep(ASKED_AGAIN).await;
            if self.name_another().await {
                let at = &self.master;
                return format!("the sentinels have replaced the master at {at}, which does not know it").into();
            }
        }
    }

    /// Whether most of those that answer name another master. Those that are silent are waited for only while that is open.
    async fn name_another(&self) -> bool {
        let ask = |sentinel| named(&self.asking, &self.service, sentinel);
        let mut asked: FuturesUnordered<_> = self.all.iter().map(ask).collect();
        let (mut this, mut others) = (0, 0);
        while let Some(named) = asked.next().await {
            match named {
                Ok(master) if master == self.master => this += 1,
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

/// Returns once the sentinels have replaced the master; never where there are none.
pub(crate) async fn replaced(sentinels: Option<&Sentinels>) -> Reason {
    match sentinels {
        Some(sentinels) => sentinels.replaced().await,
        None => std::future::pending().await,
    }
}

/// The answer of the first that has one, beginning anywhere so that not all nodes ask the same. What one of them refuses,
/// or does not know, another may do.
async fn first<T, F>(addresses: &[HostPort], ask: impl FnMut(HostPort) -> F) -> Result<T>
where
    F: Future<Output = Result<T>>,
{
    in_turn(Ring::new(addresses.iter().cloned()).round(), ask).await
}

/// One search for the server to be used. In it each server is asked once, however many name it: the owner of a slot that has vanished
/// is named by all others, and each waits for the same answer.
#[derive(Default)]
struct Round(Mutex<HashMap<HostPort, Arc<OnceCell<Result<HostPort>>>>>);

/// What a server has to say.
enum Answer {
    /// It is the one.
    Here(Connection),
    /// It names another one.
    At(HostPort),
}

impl Round {
    /// Asks this of a server, unless that was done already: then its answer, once that is there.
    async fn ask(&self, address: &HostPort, question: impl Future<Output = Result<Answer>>) -> Result<Answer> {
        let known = Arc::clone(lock(&self.0).entry(address.clone()).or_default());
        // A connection is for whoever made it: the round ends with that.
        let kept = known.get_or_try_init(async || match question.await {
            Ok(Answer::Here(connection)) => Err(connection),
            Ok(Answer::At(other)) => Ok(Ok(other)),
            Err(error) => Ok(Err(error)),
        });
        match kept.await {
            Err(connection) => Ok(Answer::Here(connection)),
            Ok(known) => known.clone().map(Answer::At),
        }
    }

    /// Asks a server of the cluster whether it owns our slot, and goes where it points.
    async fn owner(&self, dial: &Dial, mode: &Mode, mut address: HostPort) -> Result<(HostPort, Connection)> {
        for _ in 0..HOPS {
            match self.ask(&address, owns(dial, mode, &address)).await? {
                Answer::Here(connection) => return Ok((address, connection)),
                Answer::At(other) => address = other,
            }
        }
        Err(Error::unavailable(
            "the servers of the Redis Cluster do not agree which of them owns the slot of the channels",
        ))
    }

    /// Asks one sentinel who the master is, and whether that one agrees.
    async fn master(
        &self,
        dial: &Dial,
        mode: &Mode,
        asking: &Dial,
        service: &str,
        sentinel: HostPort,
    ) -> Result<(HostPort, Connection)> {
        let address = named(asking, service, &sentinel).await?;
        match self.ask(&address, leads(dial, mode, &address)).await? {
            Answer::Here(connection) => Ok((address, connection)),
            Answer::At(_) => Err(Error::config("this server is part of a Redis Cluster: its URL is redis+cluster://")),
        }
    }
}

/// Whether a server of the cluster owns our slot.
async fn owns(dial: &Dial, mode: &Mode, address: &HostPort) -> Result<Answer> {
    let mut connection = Connection::open(dial, address).await?;
    Ok(match probe(&mut connection, mode).await.map_err(sharded_error)? {
        // A replica takes part in its master's slots, but what goes by it is lost silently when the two lose touch.
        None => match master_of(&mut connection).await {
            Some(master) => Answer::At(master),
            None => Answer::Here(connection),
        },
        // A server that does not know its own name sends an empty one: the host is the one that we asked.
        Some((host, port)) if host.is_empty() => Answer::At(HostPort { host: address.host.clone(), port }),
        Some((host, port)) => Answer::At(HostPort { host, port }),
    })
}

/// Whether a server is the master that a sentinel says it is, and in no cluster.
async fn leads(dial: &Dial, mode: &Mode, address: &HostPort) -> Result<Answer> {
    let mut connection = Connection::open(dial, address).await?;
    if hello(&mut connection.client).await.map_err(error)?.is_replica {
        return Err(Error::unavailable(format!(
            "the server at {address} is not the master that the sentinel says it is"
        )));
    }
    Ok(match probe(&mut connection, mode).await.map_err(sharded_error)? {
        None => Answer::Here(connection),
        Some((host, port)) => Answer::At(HostPort { host, port }),
    })
}

/// Whom a sentinel names as the master.
async fn named(asking: &Dial, service: &str, sentinel: &HostPort) -> Result<HostPort> {
    let mut question = redis::cmd("SENTINEL");
    question.arg("GET-MASTER-ADDR-BY-NAME").arg(service);
    let answer = Connection::open(asking, sentinel).await?.call(&question).await.map_err(error)?;
    let unknown = || Error::config(format!("the sentinel at {sentinel} knows no service {service:?}"));
    let (host, port) = match answer {
        Value::Nil => return Err(unknown()),
        answer => redis::from_redis_value(answer).map_err(|cause| unknown().with_source(cause))?,
    };
    Ok(HostPort { host, port })
}

/// The master of a server that is a replica. A user who may not ask gets `None`, and has to believe what else is known.
async fn master_of(connection: &mut Connection) -> Option<HostPort> {
    let Ok(Value::Array(role)) = connection.call(&redis::cmd("ROLE")).await else { return None };
    match &role[..] {
        [Value::BulkString(role), Value::BulkString(host), Value::Int(port), ..] if role == b"slave" => {
            Some(HostPort { host: String::from_utf8_lossy(host).into_owned(), port: u16::try_from(*port).ok()? })
        }
        _ => None,
    }
}

/// Asks for what sharded pub/sub needs, by ending a subscription that does not exist: the server answers that it is
/// so, that it does not know the command, or who owns the slot.
async fn probe(connection: &mut Connection, mode: &Mode) -> Result<Option<(String, u16)>, RedisError> {
    if !matches!(mode, Mode::Sharded { .. }) {
        return Ok(None);
    }
    let mut ask = redis::cmd("SUNSUBSCRIBE");
    ask.arg(format!("{}probe", mode.prefix()));
    match connection.call(&ask).await {
        Ok(_) => Ok(None),
        Err(cause) => {
            let moved = cause.kind() == redis::ErrorKind::Server(ServerErrorKind::Moved);
            let to = cause.redirect_node().filter(|_| moved).and_then(|(address, _slot)| address.rsplit_once(':'));
            match to.and_then(|(host, port)| Some((host.to_owned(), port.parse().ok()?))) {
                Some(to) => Ok(Some(to)),
                None => Err(cause),
            }
        }
    }
}

fn sharded_error(cause: RedisError) -> Error {
    let error = error(cause);
    if error.kind() != ErrorKind::Config {
        return error;
    }
    let text = "the server has no sharded pub/sub: that needs Redis 7 or Valkey";
    match std::error::Error::source(&error).and_then(|cause| cause.downcast_ref::<RedisError>()) {
        Some(cause) => Error::config(text).with_source(cause.clone()),
        None => Error::config(text),
    }
}

/// The servers of the cluster as this one knows them; `None` if it may not be asked.
///
/// # Errors
/// `Config` if it is in no cluster: servers that do not know each other would cut ours into as many parts.
async fn servers(connection: &mut Connection, asked: &HostPort) -> Result<Option<Vec<HostPort>>> {
    let mut question = redis::cmd("CLUSTER");
    question.arg("SLOTS");
    let ranges = match connection.call(&question).await {
        Ok(Value::Array(ranges)) => ranges,
        Err(cause) if cause.detail().is_some_and(|detail| detail.contains("cluster support disabled")) => {
            return Err(
                Error::config(format!("the server at {asked} is not part of a Redis Cluster")).with_source(cause)
            );
        }
        _ => return Ok(None),
    };
    let mut found = Vec::new();
    for range in ranges {
        let Value::Array(range) = range else { continue };
        for server in range.into_iter().skip(2) {
            let address = server_address(server, asked).filter(|address| !found.contains(address));
            found.extend(address.filter(|_| found.len() < KNOWN));
        }
    }
    Ok(Some(found))
}

fn server_address(server: Value, asked: &HostPort) -> Option<HostPort> {
    let Value::Array(server) = server else { return None };
    let host = match server.first() {
        Some(Value::BulkString(host)) if !host.is_empty() => String::from_utf8_lossy(host).into_owned(),
        _ => asked.host.clone(), // one that does not know its own name: it is where we found it
    };
    let &Value::Int(port) = server.get(1)? else { return None };
    Some(HostPort { host, port: u16::try_from(port).ok()? })
}

// Nothing awaits or calls out while one of these locks is held.
fn lock<T>(servers: &Mutex<T>) -> MutexGuard<'_, T> {
    servers.lock().unwrap_or_else(PoisonError::into_inner)
}
