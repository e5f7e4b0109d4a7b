//! Servers that emit numbered messages to all, and count what their sockets get.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use roomcast::{Cluster, Hub, NamespaceHandle, Result, Socket};
use tokio::task::JoinSet;

use crate::broker::Victim;
use crate::score::Score;

/// So many messages are emitted in one go.
const BURST: u64 = 4;

/// The servers at work.
pub(crate) struct Load {
    clusters: Vec<Cluster>,
    /// A server's sockets are there for as long as one of these is.
    rooms: Vec<NamespaceHandle>,
    counts: Vec<Arc<Mutex<Count>>>,
    sent: Arc<AtomicU64>,
    refused: Arc<AtomicU64>,
    emitting: JoinSet<()>,
    counting: JoinSet<()>,
}

/// What one socket got.
struct Count {
    /// The newest number of each server.
    newest: Vec<u64>,
    delivered: u64,
    doubled: u64,
    disordered: u64,
    /// For each server, which of its numbers came.
    seen: Vec<Vec<bool>>,
    /// When something came last from another server than its own.
    last: Instant,
    silence: Duration,
    /// Its own server.
    here: usize,
}

impl Load {
    /// Connects the servers, and begins.
    pub(crate) async fn start(victim: &Victim, nodes: u64, rate: u64) -> Result<Self> {
        let (sent, refused) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let (mut clusters, mut rooms, mut counts) = (Vec::new(), Vec::new(), Vec::new());
        let (mut emitting, mut counting) = (JoinSet::new(), JoinSet::new());
        for name in 0..nodes {
            let cluster = victim.connect(Cluster::builder().node_name(format!("server-{name}"))).await?;
            let hub = Hub::new();
            rooms.push(cluster.namespace("/", hub.clone()).await?);
            let count = Arc::new(Mutex::new(Count::new(name as usize, nodes as usize)));
            counting.spawn(take(hub.connect()?, Arc::clone(&count)));
            clusters.push(cluster);
            counts.push(count);
        }
        for (name, room) in rooms.iter().cloned().enumerate() {
            let pause = Duration::from_secs(nodes * BURST).div_f64(rate as f64);
            emitting.spawn(emit(name, room, pause, [&sent, &refused].map(Arc::clone)));
        }
        Ok(Self { clusters, rooms, counts, sent, refused, emitting, counting })
    }

    /// How it stands now.
    pub(crate) fn score(&self, kills: u64) -> Score {
        let sent = self.sent.load(Ordering::Relaxed);
        // A socket of the own server has got what was refused.
        let refused = self.refused.load(Ordering::Relaxed);
        let due = sent * self.counts.len() as u64 + refused;
        let mut score = Score { sent, refused, due, kills, ..Score::default() };
        for count in &self.counts {
            let count = lock(count);
            score.delivered += count.delivered;
            score.doubled += count.doubled;
            score.disordered += count.disordered;
            score.silence = score.silence.max(count.silence).max(count.last.elapsed());
        }
        for cluster in &self.clusters {
            let stats = cluster.stats();
            score.repaired += stats.repaired;
            score.reported += stats.lost;
        }
        score
    }

    /// Stops emitting, waits up to `patience` until no packet is missing, and closes the servers.
    pub(crate) async fn finish(mut self, kills: u64, patience: Duration) -> Result<Score> {
        self.emitting.shutdown().await;
        let silence = self.score(kills).silence;
        let late = Instant::now() + patience;
        let mut look = tokio::time::interval(Duration::from_millis(20));
        while self.score(kills).missing() > 0 && Instant::now() < late {
            look.tick().await;
        }
        let score = Score { silence, ..self.score(kills) };
        self.counting.shutdown().await;
        drop(self.rooms);
        for cluster in &self.clusters {
            cluster.close().await?;
        }
        Ok(score)
    }
}

/// Emits numbers until its task is aborted.
async fn emit(name: usize, room: NamespaceHandle, pause: Duration, [sent, refused]: [Arc<AtomicU64>; 2]) {
    let mut pace = tokio::time::interval(pause);
    let mut n: u64 = 0;
    loop {
        pace.tick().await;
        for _ in 0..BURST {
            // An error says that the others do not get this packet: the broker has been away for too long. That is no loss.
            match room.emit(format!("{name} {n}")).await {
                Ok(()) => sent.fetch_add(1, Ordering::Relaxed),
                Err(_) => refused.fetch_add(1, Ordering::Relaxed),
            };
            n += 1;
        }
    }
}

async fn take(mut socket: Socket, count: Arc<Mutex<Count>>) {
    while let Some(delivery) = socket.next().await {
        let text = String::from_utf8_lossy(&delivery.packet.data);
        let mut numbers = text.split(' ').filter_map(|word| word.parse::<u64>().ok());
        if let (Some(server), Some(n)) = (numbers.next(), numbers.next()) {
            lock(&count).took(server as usize, n as usize);
        }
    }
}

impl Count {
    fn new(here: usize, nodes: usize) -> Self {
        let (newest, seen) = (vec![0; nodes], vec![Vec::new(); nodes]);
        let (delivered, doubled, disordered) = (0, 0, 0);
        Self { newest, delivered, doubled, disordered, seen, last: Instant::now(), silence: Duration::ZERO, here }
    }

    fn took(&mut self, server: usize, n: usize) {
        let Some(seen) = self.seen.get_mut(server) else { return };
        seen.resize(seen.len().max(n + 1), false);
        if std::mem::replace(&mut seen[n], true) {
            self.doubled += 1;
        } else {
            self.delivered += 1;
            self.disordered += u64::from((n as u64) < self.newest[server]);
        }
        self.newest[server] = self.newest[server].max(n as u64);
        if server != self.here {
            self.silence = self.silence.max(self.last.elapsed());
            self.last = Instant::now();
        }
    }
}

// Guards what one socket's task counts; nothing awaits while it is held.
fn lock(count: &Mutex<Count>) -> std::sync::MutexGuard<'_, Count> {
    count.lock().unwrap_or_else(PoisonError::into_inner)
}
