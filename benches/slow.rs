//! What those that are too slow cost themselves and the others, while a thousand packets a second are emitted over each broker:
//! a socket that stops reading among two hundred of a Hub, and a node that takes 2 ms for a packet among three. `cargo bench --bench slow`, or `-- redis nats --seconds 60`.
//!
//! Of the nodes, all are fast first; then one is slow for as long as `--seconds` says (90: it is 30 s behind after 60); then it is fast again. For each part: the latency
//! from the emit call to the sockets of the fast node, and to those of the slow one (in its worst 200 ms); what the slow one was
//! told to have lost; and at the end whether that and what it got are all that was sent.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use roomcast::adapter::{Acks, LocalSocket, LocalSockets, Projection, Target};
use roomcast::{Cluster, Event, Events, Hub, NamespaceHandle, Packet, Room};
use roomcast_conformance::broker::{Broker, Recipe, recipes};
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::JoinSet;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Messages in a second.
const RATE: u32 = 1_000;
const SIZE: usize = 200;
const SOCKETS: usize = 200;
const WARM: Duration = Duration::from_secs(2);
const FAST: Duration = Duration::from_secs(10);
/// How long the slow one may take to be in real time again.
const AFTERWARDS: Duration = Duration::from_secs(20);
/// So often the slow one's ages are looked at.
const STEP: Duration = Duration::from_millis(200);
/// A packet that is younger, in microseconds, has come in real time.
const REAL_TIME: u64 = 100_000;

fn main() -> Result<()> {
    let brokers = [recipes::redis(), recipes::nats(), recipes::rabbitmq(), recipes::postgres()];
    let (mut names, mut seconds) = (Vec::new(), 90);
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench"); // which cargo adds
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--seconds" => seconds = arguments.next().ok_or("--seconds needs a value")?.parse()?,
            name if brokers.iter().any(|recipe| recipe.name() == name) => names.push(argument),
            _ => return Err("[redis|nats|rabbitmq|postgres ...] [--seconds N]".into()),
        }
    }
    let runtime = tokio::runtime::Runtime::new()?;
    for recipe in brokers {
        if !names.is_empty() && !names.iter().any(|name| name == recipe.name()) {
            continue;
        }
        let length = Duration::from_secs(seconds);
        // The slow one blocks its thread: it has a runtime of its own, as a process has.
        let aside = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let slow = aside.handle().clone();
        let done = runtime.block_on(async { tokio::spawn(beside_a_slow_one(recipe, length, slow)).await });
        aside.shutdown_background();
        done??;
    }
    Ok(())
}

async fn beside_a_slow_one(recipe: Recipe, length: Duration, aside: Handle) -> Result<()> {
    let broker = Broker::start(&recipe).await?;
    println!("{} {}", broker.name(), broker.version());
    beside_a_stopped_socket(&broker).await?;
    let began = Instant::now();
    let [fast, slow] = [Sockets::new(began), Sockets::new(began)];
    let (sender, emitting) = connect(broker.url(), Sockets::new(began)).await?;
    let (near, _near) = connect(broker.url(), fast.clone()).await?;
    let (far, _far) = aside.spawn(connect(broker.url(), slow.clone())).await??;
    let mut events = far.events();

    println!(
        "  {:<20}{:>12}{:>10}{:>14}{:>12}{:>8}{:>10}",
        "", "fast p50 us", "p99", "slow p50 us", "p99", "gaps", "lost"
    );
    let (mut sent, mut lost) = (0, 0);
    let parts =
        [("warming up", WARM, 0), ("all are fast", FAST, 0), ("one is slow", length, 2), ("fast again", AFTERWARDS, 0)];
    for (name, length, cost) in parts {
        slow.costs(Duration::from_millis(cost));
        let (at, mut back) = (Instant::now(), None);
        let mut ages = Vec::new();
        while at.elapsed() < length {
            sent += emit(&emitting, began, STEP).await?;
            ages.push(slow.ages());
            if slow.count() > 0 && back.is_none() && ages.last().is_some_and(|ages| ages[2] < REAL_TIME) {
                back = Some(at.elapsed());
            }
        }
        let of = |which: usize| ages.iter().map(|ages| ages[which]).max().unwrap_or_default();
        let (gaps, count) = told(&mut events);
        lost += count;
        let [p50, p99, _] = fast.ages();
        println!("  {name:<20}{p50:>12}{p99:>10}{:>14}{:>12}{gaps:>8}{count:>10}", of(0), of(1));
        if name == "fast again" {
            println!("  in real time again after {} ms", back.unwrap_or(length).as_millis());
        }
    }
    tokio::time::sleep(WARM).await; // for what is on its way
    lost += told(&mut events).1;
    println!("  sent {sent}: it got {}, and was told that {lost} are lost\n", slow.count());
    sender.close().await?;
    near.close().await?;
    Ok(())
}

async fn beside_a_stopped_socket(broker: &Broker) -> Result<()> {
    let (began, hub) = (Instant::now(), Hub::new());
    let (sender, emitting) = connect(broker.url(), Sockets::new(began)).await?;
    let cluster = roomcast::connect(&broker.url()).await?;
    let _namespace = cluster.namespace("/slow", hub.clone()).await?;
    let (ages, mut tasks) = (Sockets::new(began), JoinSet::new());
    let stop = Arc::new(Notify::new());
    for n in 0..SOCKETS {
        let (mut socket, ages, stop) = (hub.connect()?, ages.clone(), (n == 0).then(|| Arc::clone(&stop)));
        tasks.spawn(async move {
            while let Some(delivery) = socket.next().await {
                ages.take(&delivery.packet);
                if let Some(stop) = stop.as_ref().filter(|stop| stop.notified().now_or_never().is_some()) {
                    stop.notified().await; // reads nothing any more
                }
            }
        });
    }
    println!("  {:<20}{:>12}{:>10}", "sockets", "p50 us", "p99");
    for name in ["warming up", "all read", "one has stopped"] {
        if name == "one has stopped" {
            stop.notify_one();
        }
        emit(&emitting, began, if name == "warming up" { WARM } else { FAST }).await?;
        let [p50, p99, _] = ages.ages();
        println!("  {name:<20}{p50:>12}{p99:>10}");
    }
    tasks.shutdown().await;
    cluster.close().await?;
    Ok(sender.close().await?)
}

/// What a node was told since it was asked last: how often that it lost something, and how much.
fn told(events: &mut Events) -> (u64, u64) {
    let (mut gaps, mut lost) = (0, 0);
    while let Some(Some(event)) = events.next().now_or_never() {
        if let Event::Gap { count, .. } = event {
            gaps += 1;
            lost += count.unwrap_or(0);
        }
    }
    (gaps, lost)
}

/// Emits [`RATE`] packets a second for this long, and returns how many. Each packet holds the time of its emit.
async fn emit(to: &NamespaceHandle, began: Instant, length: Duration) -> Result<u64> {
    let (until, mut pace, mut sent) =
        (Instant::now() + length, tokio::time::interval(Duration::from_secs(1) / RATE), 0);
    while Instant::now() < until {
        pace.tick().await;
        let mut packet = u64::try_from(began.elapsed().as_micros())?.to_be_bytes().to_vec();
        packet.resize(SIZE, 0);
        to.emit(packet).await?;
        sent += 1;
    }
    Ok(sent)
}

async fn connect(url: String, sockets: Sockets) -> Result<(Cluster, NamespaceHandle)> {
    let cluster = roomcast::connect(&url).await?;
    let namespace = cluster.namespace("/slow", sockets).await?;
    Ok((cluster, namespace))
}

/// Takes the time of what it gets, and takes time for it if it is to. Clones are the same.
#[derive(Clone)]
struct Sockets(Arc<State>);

struct State {
    began: Instant,
    /// In microseconds.
    cost: AtomicU64,
    count: AtomicU64,
    /// How old the packets of this part were, in microseconds.
    ages: Mutex<Vec<u64>>,
}

impl Sockets {
    fn new(began: Instant) -> Self {
        let (cost, count, ages) = (AtomicU64::new(0), AtomicU64::new(0), Mutex::default());
        Self(Arc::new(State { began, cost, count, ages }))
    }

    fn costs(&self, cost: Duration) {
        self.0.cost.store(u64::try_from(cost.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    fn count(&self) -> u64 {
        self.0.count.load(Ordering::Relaxed)
    }

    fn take(&self, packet: &Packet) {
        let state = &*self.0;
        let now = u64::try_from(state.began.elapsed().as_micros()).unwrap_or(u64::MAX);
        let at = packet.data.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes));
        state.ages.lock().unwrap_or_else(PoisonError::into_inner).push(now.saturating_sub(at));
        state.count.fetch_add(1, Ordering::Relaxed);
    }

    /// The 50th and the 99th of a hundred ages, and the age of the latest packet. The next part begins.
    fn ages(&self) -> [u64; 3] {
        let mut ages = std::mem::take(&mut *self.0.ages.lock().unwrap_or_else(PoisonError::into_inner));
        let latest = ages.last().copied().unwrap_or(u64::MAX);
        ages.sort_unstable();
        let of = |part: usize| ages.get(ages.len() * part / 100).copied().unwrap_or_default();
        [of(50), of(99), latest]
    }
}

impl LocalSockets for Sockets {
    fn broadcast(&self, _: &Target, packet: &Packet) {
        self.take(packet);
        std::thread::sleep(Duration::from_micros(self.0.cost.load(Ordering::Relaxed)));
    }

    fn broadcast_with_ack(&self, _: &Target, _: &Packet, _: Duration, _: Acks) {}

    fn join(&self, _: &Target, _: &[Room]) {}

    fn leave(&self, _: &Target, _: &[Room]) {}

    fn disconnect(&self, _: &Target) {}

    fn sockets(&self, _: &Target, _: Projection) -> Vec<LocalSocket> {
        Vec::new()
    }

    fn rooms(&self, _: &Target) -> Vec<Room> {
        Vec::new()
    }
}
