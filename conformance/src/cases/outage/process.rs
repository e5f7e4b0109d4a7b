//! What a node does to the process that it is in.

use std::time::{Duration, Instant};

use roomcast_core::backend::Outgoing;
use roomcast_core::{Event, Socket};

use super::BACK;
use crate::failure::Verdict;
use crate::link::channel;
use crate::node::{Node, PATIENCE, event, eventually_within};
use crate::proxy::Proxy;
use crate::scene::Scene;
use crate::specimen::{Census, Specimen};

cases! {"outage":
    Proxy g12_connecting_again_leaves_nothing_behind,
    Proxy g08_outages_are_no_storm_in_the_log,
    Proxy g08_connecting_and_outages_do_not_block_the_runtime,
    Proxy g12_what_waits_for_a_node_that_takes_nothing_is_bounded,
}

/// A node in a process of its own behind a proxy, and one beside it that knows whether it hears.
struct Pair {
    far: Specimen,
    near: Node,
    socket: Socket,
    proxy: Proxy,
}

impl Pair {
    async fn new(scene: &Scene, proxy: Proxy) -> Verdict<Self> {
        let near = scene.node().await?;
        let socket = near.socket([])?;
        let mut pair = Self { far: Specimen::node(scene, &proxy).await?, near, socket, proxy };
        pair.hears().await?;
        Ok(pair)
    }

    async fn hears(&mut self) -> Verdict {
        self.far.hears(&self.near, &mut self.socket).await
    }

    /// Waits until so many more connections were tried.
    async fn tries(&self, before: u64, more: u64) -> Verdict {
        let proxy = &self.proxy;
        eventually_within(2 * BACK, "it connects again", || proxy.counts().accepted >= before + more).await
    }

    async fn cut(&mut self) -> Verdict {
        let before = self.proxy.counts().accepted;
        self.proxy.cut();
        self.tries(before, 1).await?;
        self.hears().await
    }

    /// What the link gives up by itself it has to close itself.
    async fn silence(&mut self) -> Verdict {
        let before = self.proxy.counts().accepted;
        self.proxy.drop_replies();
        self.tries(before, 1).await?;
        self.proxy.pass_replies();
        self.hears().await
    }

    /// Nothing is accepted, until the other takes it for dead.
    async fn refuse(&mut self) -> Verdict {
        let before = self.proxy.counts().accepted;
        let mut events = self.near.cluster.events();
        self.proxy.refuse();
        self.proxy.cut();
        self.tries(before, 4).await?;
        event("its death", &mut events, |event| matches!(event, Event::NodeDown(..))).await?;
        self.proxy.accept();
        self.hears().await
    }

    /// New links are dead at once.
    async fn black_hole(&mut self) -> Verdict {
        let before = self.proxy.counts().accepted;
        self.proxy.black_hole_all();
        self.tries(before, 3).await?;
        self.proxy.black_hole_no_more();
        self.hears().await
    }
}

/// Tasks, threads, open files; and connections, with which goes what a broker keeps for each of them.
async fn g12_connecting_again_leaves_nothing_behind(scene: &Scene) -> Verdict {
    const CUTS: u64 = 10;
    /// Threads come and go in pools. What is left by each cut is more.
    const SLACK: u64 = CUTS / 2;
    let mut pair = Pair::new(scene, scene.proxy().await?).await?;
    pair.cut().await?; // what is made once is there now
    let (before, open) = (pair.far.census().await?, pair.proxy.counts().open);
    for _ in 0..CUTS {
        pair.cut().await?;
    }
    pair.silence().await?;
    let proxy = &pair.proxy;
    eventually_within(PATIENCE, "the links that were given up are closed", || proxy.counts().open <= open).await?;
    let left = |now: &Census| {
        let more = [(now.tasks, before.tasks), (now.files, before.files), (now.threads, before.threads)];
        more.map(|(now, before)| now.saturating_sub(before))
    };
    let mut more = left(&pair.far.census().await?);
    let mut look = tokio::time::interval(Duration::from_millis(100));
    // What goes with a link may take leave of the broker first.
    for _ in 0..100 {
        if more.iter().all(|more| *more <= SLACK) {
            break;
        }
        look.tick().await;
        more = left(&pair.far.census().await?);
    }
    check!(more.iter().all(|more| *more <= SLACK), "after {CUTS} cuts there are more tasks, files, threads: {more:?}");
    Ok(())
}

/// An operator has to find the cause in the log; and the log is on a disk that other programs need.
async fn g08_outages_are_no_storm_in_the_log(scene: &Scene) -> Verdict {
    /// Of the node itself for what happens once in each outage, and of its client for each connection that fails.
    const EACH_OUTAGE: u64 = 10;
    const EACH_SECOND: u64 = 5;
    let mut pair = Pair::new(scene, scene.proxy().await?).await?;
    let (before, began) = (pair.far.census().await?, Instant::now());
    let tried = pair.proxy.counts().accepted;
    pair.cut().await?;
    pair.refuse().await?;
    pair.black_hole().await?;
    let (count, lines) = pair.far.census().await?.logged_since(&before);
    let (tries, seconds) = (pair.proxy.counts().accepted - tried, 1 + began.elapsed().as_secs());
    scene.measure("logged", count);
    let most = 3 * EACH_OUTAGE + EACH_SECOND * seconds;
    check!(count <= most, "{count} events in {seconds} s with {tries} connections: {lines:?}");
    Ok(())
}

/// On a slow way, so that whatever waits for an answer waits for a while.
async fn g08_connecting_and_outages_do_not_block_the_runtime(scene: &Scene) -> Verdict {
    /// A second.
    const LONGEST: u64 = 100;
    let proxy = scene.proxy().await?;
    proxy.delay(Duration::from_millis(150));
    let mut pair = Pair::new(scene, proxy).await?;
    let lasted = async |pair: &mut Pair, what: &str| {
        let blocked = pair.far.census().await?.blocked;
        scene.measure("blocked_ms", blocked * 10);
        check!(blocked <= LONGEST, "no task ran for {blocked} ticks of another thread: {what}");
        Ok(())
    };
    lasted(&mut pair, "connecting").await?;
    pair.cut().await?;
    lasted(&mut pair, "connecting again").await?;
    pair.refuse().await?;
    lasted(&mut pair, "while nothing was accepted").await?;
    pair.black_hole().await?;
    lasted(&mut pair, "while new links were dead").await
}

/// By the memory of its process: a client that drops what it has no room for, and says so, is as good as one that stops reading.
async fn g12_what_waits_for_a_node_that_takes_nothing_is_bounded(scene: &Scene) -> Verdict {
    const SENT: usize = 192 << 20;
    const MOST: u64 = 128 << 20;
    const BATCH: usize = 1 << 20;
    let (proxy, publisher) = (scene.proxy().await?, scene.link().await?);
    let channel = channel(&scene.cluster, "all")?;
    let mut idler = Specimen::idler(scene, &proxy, &channel).await?;
    let before = idler.census().await?.peak;
    let size = publisher.backend.limits().max_frame.min(64 << 10);
    let frame = Outgoing::new(channel.clone(), vec![b'x'; size].into());
    let batch = vec![frame; (BATCH / size).max(1)];
    for _ in 0..SENT / (size * batch.len()) {
        publisher.publish_all(&batch).await?;
    }
    // All of it has come, or no more than the answers to pings.
    let mut look = tokio::time::interval(Duration::from_millis(50));
    let (mut came, mut still) = (0, 0);
    while still < 20 {
        look.tick().await;
        let now = proxy.counts().to_client;
        still = if now - came < 10_000 { still + 1 } else { 0 };
        came = now;
    }
    let ends = async {
        loop {
            publisher.publish_all(&[Outgoing::new(channel.clone(), "end".into())]).await?;
            look.tick().await;
        }
    };
    tokio::select! {
        drained = idler.drain() => drained?,
        failed = ends => return failed,
    }
    let held = idler.census().await?.peak.saturating_sub(before);
    scene.measure("held_bytes", held);
    check!(held <= MOST, "{held} bytes were held of {SENT}, of which {came} came");
    Ok(())
}
