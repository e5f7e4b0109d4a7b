//! What a cluster of many nodes costs its broker: two hundred real nodes in this process, over one real Redis, which counts the
//! bytes that it sends. `cargo bench --bench nodes`, or with another number of nodes: `cargo bench --bench nodes -- 64`.
//!
//! At rest, while one more joins, and after every connection was cut at once. What a machine with few cores takes for the work
//! of two hundred nodes is in the times.

use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use futures_util::future::{join_all, try_join_all};
use roomcast::{Cluster, Event, Events, Hub, NamespaceHandle, Socket};
use roomcast_conformance::broker::{Broker, recipes};
use tokio::task::unconstrained;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// So many are started at a time.
const AT_ONCE: usize = 20;
const REST: Duration = Duration::from_secs(10);
/// What a case causes has been sent by then.
const AFTERMATH: Duration = Duration::from_secs(3);
const STEP: Duration = Duration::from_millis(5);
/// So long it is waited for what does not come in time.
const AT_LAST: Duration = Duration::from_secs(30);

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench"); // which cargo adds
    let count = arguments.next_back().map_or(Ok(200), |count| count.parse())?;
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async { tokio::spawn(life(count)).await? })
}

async fn life(count: usize) -> Result<()> {
    let broker = Broker::start(&recipes::redis()).await?;
    let url = broker.url();
    let client = redis::Client::open(url.as_str())?;
    let mut redis = Server(client.get_multiplexed_async_connection().await?);
    println!("{} {}, {}: {count} nodes", broker.name(), broker.version(), broker.provider());

    let began = Instant::now();
    let mut nodes = Vec::new();
    while nodes.len() < count {
        let some = (0..AT_ONCE.min(count - nodes.len())).map(|_| Member::start(&url));
        nodes.append(&mut try_join_all(some).await?);
    }
    until(|| nodes.iter().all(|node| node.knows(count))).await?;
    println!("started {AT_ONCE} at a time: all know all after {} ms", began.elapsed().as_millis());
    tokio::time::sleep(AFTERMATH).await;

    let rest = redis.sent_within(REST).await? / REST.as_secs_f64();
    println!("at rest: Redis sends {:.3} MB/s", rest / 1e6);

    let (before, began) = (redis.sent().await?, Instant::now());
    nodes.push(Member::start(&url).await?);
    let connected = began.elapsed();
    until(|| nodes.iter().all(|node| node.knows(count + 1))).await?;
    let known = began.elapsed();
    tokio::time::sleep(AFTERMATH).await;
    let sent = redis.sent().await? - before - rest * began.elapsed().as_secs_f64();
    println!(
        "one joins: connected after {} ms, known to all after {} ms, {:.3} MB beyond rest",
        connected.as_millis(),
        known.as_millis(),
        sent / 1e6
    );

    nodes.iter_mut().for_each(|node| {
        node.told();
    });
    let (before, began) = (redis.sent().await?, Instant::now());
    let killed = redis.cut().await?;
    nodes[0].chat.emit("after the cut").await?;
    join_all(nodes.iter_mut().map(|node| node.socket.next())).await;
    let reached = began.elapsed();
    until(|| nodes.iter().all(Member::is_healthy)).await?;
    let healthy = began.elapsed();
    tokio::time::sleep(AFTERMATH).await;
    let sent = redis.sent().await? - before - rest * began.elapsed().as_secs_f64();
    let told: Vec<Told> = nodes.iter_mut().map(Member::told).collect();
    println!(
        "{killed} connections are cut: all have what was emitted then after {} ms, all are healthy after {} ms, {:.3} MB beyond \
         rest; {} nodes were degraded, {} nodes were condemned, {} gaps, {} events were missed, {} nodes do not know all",
        reached.as_millis(),
        healthy.as_millis(),
        sent / 1e6,
        told.iter().map(|told| told.degraded).sum::<usize>(),
        told.iter().map(|told| told.condemned).sum::<usize>(),
        told.iter().map(|told| told.gaps).sum::<usize>(),
        told.iter().map(|told| told.missed).sum::<u64>(),
        nodes.iter().filter(|node| !node.knows(count + 1)).count()
    );
    join_all(nodes.iter().map(|node| node.cluster.close())).await;
    Ok(())
}

/// The server, as its operator sees it.
struct Server(redis::aio::MultiplexedConnection);

impl Server {
    /// Bytes that it has sent so far, to everybody.
    async fn sent(&mut self) -> Result<f64> {
        let info: String = redis::cmd("INFO").arg("stats").query_async(&mut self.0).await?;
        let field = info.lines().find_map(|line| line.strip_prefix("total_net_output_bytes:"));
        Ok(field.ok_or("Redis does not say what it sends")?.trim().parse()?)
    }

    async fn sent_within(&mut self, time: Duration) -> Result<f64> {
        let before = self.sent().await?;
        tokio::time::sleep(time).await;
        Ok(self.sent().await? - before)
    }

    /// Cuts every connection but this one; returns how many there were.
    async fn cut(&mut self) -> Result<usize> {
        let mut killed = 0;
        for kind in ["pubsub", "normal"] {
            let mut kill = redis::cmd("CLIENT");
            killed += kill.arg("KILL").arg("TYPE").arg(kind).query_async::<usize>(&mut self.0).await?;
        }
        Ok(killed)
    }
}

/// One node, with a socket.
struct Member {
    cluster: Cluster,
    chat: NamespaceHandle,
    socket: Socket,
    events: Events,
}

/// What a node was told since it was asked last.
#[derive(Default)]
struct Told {
    degraded: usize,
    condemned: usize,
    gaps: usize,
    /// Events that it was too slow for.
    missed: u64,
}

impl Member {
    async fn start(url: &str) -> Result<Self> {
        let cluster = roomcast::connect(url).await?;
        let hub = Hub::new();
        let chat = cluster.namespace("/", hub.clone()).await?;
        Ok(Self { events: cluster.events(), socket: hub.connect()?, cluster, chat })
    }

    fn knows(&self, nodes: usize) -> bool {
        self.cluster.nodes().len() == nodes
    }

    fn is_healthy(&self) -> bool {
        self.cluster.health() < Duration::from_millis(1500)
    }

    fn told(&mut self) -> Told {
        let mut told = Told::default();
        // All that are there, however much of its turn this task has used.
        while let Some(Some(event)) = unconstrained(self.events.next()).now_or_never() {
            match event {
                Event::Degraded(_) => told.degraded += 1,
                Event::NodeDown(..) => told.condemned += 1,
                Event::Missed(events) => told.missed += events,
                Event::Gap { .. } => told.gaps += 1,
                _ => {}
            }
        }
        told
    }
}

async fn until(so: impl Fn() -> bool) -> Result<()> {
    let began = Instant::now();
    while !so() {
        if began.elapsed() > AT_LAST {
            return Err("it never came true".into());
        }
        tokio::time::sleep(STEP).await;
    }
    Ok(())
}
