//! What is done with one contestant, and measured.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::try_join_all;
use peers::Failed;
use peers::client::Client;
use roomcast_conformance::broker::Broker;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::machine;
use super::process::Process;

const SERVERS: usize = 3;
/// Events for the processor times; a tenth of them come before, to warm up.
const EVENTS: u64 = 40_000;
/// Events that are ordered at a time, and how far a client may be behind.
const BATCH: u64 = 500;
const RATE: u64 = 1_000;
const SECONDS: u64 = 3;
const CROWD: usize = 1_000;
const ASKED: usize = 100;
const QUESTIONS: u64 = 100;
/// How long events may be on their way.
const PATIENCE: Duration = Duration::from_secs(20);

/// What one contestant did in one round.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Measured {
    /// Nanoseconds of processor time for an event: of the server that emits, of another one, of the broker.
    pub(crate) sender: u64,
    pub(crate) receiver: u64,
    pub(crate) broker: u64,
    /// In a second.
    pub(crate) events: u64,
    /// In microseconds, as all that follow.
    pub(crate) remote_p50: u64,
    pub(crate) remote_p99: u64,
    pub(crate) local_p50: u64,
    pub(crate) fetch: u64,
    pub(crate) acks: u64,
    /// In bytes, of the server that emits, with a third of the crowd.
    pub(crate) resident: u64,
}

/// What a client got.
#[derive(Default)]
struct Heard {
    count: AtomicU64,
    ages: Mutex<Vec<u64>>,
    news: Notify,
}

pub(crate) async fn run(contestant: &str, broker: &Broker, prefix: &str) -> Result<Measured, Failed> {
    let mut servers = Vec::new();
    for _ in 0..SERVERS {
        servers.push(Process::start(contestant, &broker.url(), prefix).await?);
    }
    let mut tasks = JoinSet::new();
    let mut heard = Vec::new();
    for server in &servers {
        heard.push(listen(server.address, &mut tasks).await?);
    }
    let mut measured = Measured::default();
    emit(&mut servers[0], &heard, EVENTS / 10).await?; // everything is connected, and warm
    latency(&mut servers[0], &heard, &mut measured).await?;
    processor(&mut servers, &heard, &mut measured).await?;
    questions(&mut servers, &mut measured).await?;
    measured.resident = machine::resident(servers[0].id());
    tasks.shutdown().await;
    Ok(measured)
}

async fn listen(server: SocketAddr, tasks: &mut JoinSet<()>) -> Result<Arc<Heard>, Failed> {
    let (mut client, heard) = (Client::connect(server, "/", &[]).await?, Arc::new(Heard::default()));
    let all = Arc::clone(&heard);
    tasks.spawn(async move {
        while let Ok(event) = client.next().await {
            let now = machine::now();
            let sent = event.strip_prefix("[\"e\",").and_then(|event| event.split(',').next()?.parse::<u64>().ok());
            all.ages
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(now.saturating_sub(sent.unwrap_or(now)) / 1_000);
            all.count.fetch_add(1, Ordering::Relaxed);
            all.news.notify_one();
        }
    });
    Ok(heard)
}

impl Heard {
    /// Waits until so many have come. Adapters may lose some: then it does not go on.
    async fn has(&self, count: u64) -> Result<(), Failed> {
        let all = async {
            while self.count.load(Ordering::Relaxed) < count {
                self.news.notified().await;
            }
        };
        let lost = |_| format!("of {count} events a client got {}", self.count.load(Ordering::Relaxed));
        Ok(tokio::time::timeout(PATIENCE, all).await.map_err(lost)?)
    }

    fn take(&self) -> Vec<u64> {
        self.count.store(0, Ordering::Relaxed);
        std::mem::take(&mut *self.ages.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Emits so many, no faster than all clients get them. Their counts begin anew.
async fn emit(sender: &mut Process, heard: &[Arc<Heard>], count: u64) -> Result<(), Failed> {
    heard.iter().for_each(|heard| drop(heard.take()));
    let mut sent = 0;
    while sent < count {
        sender.order(&format!("emit {BATCH}")).await?;
        sent += BATCH;
        for heard in heard {
            heard.has(sent - BATCH).await?;
        }
    }
    for heard in heard {
        heard.has(sent).await?;
    }
    Ok(())
}

async fn latency(sender: &mut Process, heard: &[Arc<Heard>], measured: &mut Measured) -> Result<(), Failed> {
    heard.iter().for_each(|heard| drop(heard.take()));
    let sent = sender.order(&format!("rate {RATE} {SECONDS}")).await?;
    for heard in heard {
        heard.has(sent[0]).await?;
    }
    let of = |mut ages: Vec<u64>, part: usize| {
        ages.sort_unstable();
        ages.get(ages.len() * part / 100).copied().unwrap_or_default()
    };
    measured.local_p50 = of(heard[0].take(), 50);
    let remote: Vec<u64> = heard[1..].iter().flat_map(|heard| heard.take()).collect();
    (measured.remote_p50, measured.remote_p99) = (of(remote.clone(), 50), of(remote, 99));
    Ok(())
}

async fn processor(servers: &mut [Process], heard: &[Arc<Heard>], measured: &mut Measured) -> Result<(), Failed> {
    let ids: Vec<_> = servers.iter().map(Process::id).collect();
    let used = || -> Vec<u64> {
        let broker = machine::cpu_of_others(&ids);
        ids.iter().map(|id| machine::cpu(*id)).chain([broker]).collect()
    };
    let (before, began) = (used(), machine::now());
    emit(&mut servers[0], heard, EVENTS).await?;
    let took = machine::now() - began;
    let used: Vec<_> =
        used().iter().zip(&before).map(|(after, before)| after.saturating_sub(*before) / EVENTS).collect();
    measured.sender = used[0];
    measured.receiver = used[1..SERVERS].iter().sum::<u64>() / (SERVERS as u64 - 1);
    measured.broker = used[SERVERS];
    measured.events = EVENTS * 1_000_000_000 / took.max(1);
    Ok(())
}

async fn questions(servers: &mut [Process], measured: &mut Measured) -> Result<(), Failed> {
    let mut crowd = JoinSet::new();
    for some in (0..CROWD).collect::<Vec<_>>().chunks(20) {
        let clients = some.iter().map(|n| {
            let rooms: &[&str] = if *n < ASKED { &["asked"] } else { &[] };
            Client::connect(servers[n % SERVERS].address, "/rooms", rooms)
        });
        for mut client in try_join_all(clients).await? {
            crowd.spawn(async move { while client.next().await.is_ok() {} });
        }
    }
    for (order, expected, result) in [("fetch", CROWD, &mut measured.fetch), ("acks", ASKED, &mut measured.acks)] {
        let answer = servers[0].order(&format!("{order} {QUESTIONS}")).await?;
        if answer[1] != expected as u64 {
            return Err(format!("{order}: {} answered, and not {expected}", answer[1]).into());
        }
        *result = answer[0];
    }
    crowd.shutdown().await;
    Ok(())
}
