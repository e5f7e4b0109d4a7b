//! The broker is away, or the link to it.

pub(super) mod back;
pub(super) mod crowd;
pub(super) mod full;
pub(super) mod limit;
pub(super) mod link;
pub(super) mod local;
pub(super) mod nemesis;
pub(super) mod planned;
pub(super) mod process;
pub(super) mod queue;
pub(super) mod replay;
pub(super) mod way;
pub(super) mod word;

use std::collections::HashMap;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use roomcast_core::{Event, Events, GapChannel, NodeId, Socket};
use tokio::sync::watch;

use crate::failure::{Failure, Verdict};
use crate::node::{Node, PATIENCE, event, events_so_far, eventually_within, next};

/// How long it may take until a node receives again; that it takes less than two seconds is measured.
const BACK: Duration = Duration::from_secs(20);

/// An echo that is younger proves the link.
const FRESH: Duration = Duration::from_millis(1500);

/// Waits until each of these has noticed that its link is down, or silent.
async fn all_degraded(events: &mut [Events]) -> Verdict {
    for events in events {
        event("word of the outage", events, |event| matches!(event, Event::Degraded(_))).await?;
    }
    Ok(())
}

/// Waits until every node has received from every node something that was emitted from now on; returns how long that took.
async fn all_receive(nodes: &[Node], sockets: &mut [Socket]) -> Verdict<Duration> {
    let began = Instant::now();
    let mut heard = vec![vec![false; nodes.len()]; nodes.len()];
    let mut again = tokio::time::interval(Duration::from_millis(20));
    let mark = format!("{:x}", getrandom::u64().map_err(Failure::new)?);
    while heard.iter().flatten().any(|heard| !heard) {
        check!(began.elapsed() < BACK, "after {BACK:?} some are still deaf; who has heard whom: {heard:?}");
        again.tick().await;
        for (from, node) in nodes.iter().enumerate() {
            // What is refused here is tried again.
            drop(node.chat.timeout(Duration::ZERO).emit(format!("{mark} {from}")).await);
        }
        for (at, socket) in sockets.iter_mut().enumerate() {
            while let Some(Some(delivery)) = socket.next().now_or_never() {
                let text = String::from_utf8_lossy(&delivery.packet.data).into_owned();
                let from = text.strip_prefix(&mark).and_then(|from| from.trim().parse::<usize>().ok());
                if let Some(from) = from {
                    heard[at][from] = true;
                }
            }
        }
    }
    Ok(began.elapsed())
}

/// Waits until every node's own heartbeats and probes come back in time: those that it sent from now on, for a link that
/// broke a moment ago leaves a proof that is still young.
async fn all_healthy(nodes: &[Node]) -> Verdict {
    let began = Instant::now();
    for node in nodes {
        let young = || node.cluster.health() < FRESH.min(began.elapsed());
        eventually_within(BACK, "a node's health is young again", young).await?;
    }
    Ok(())
}

/// How many packets a second each sender of a load emits.
const PACE: usize = 2_000;

/// What nodes emit at the same time, as fast as busy applications do, and how far they have come: faults begin and end by that.
struct Load<'a> {
    nodes: &'a [Node],
    /// Of each node.
    packets: usize,
    /// By all of them.
    sent: watch::Sender<usize>,
}

impl<'a> Load<'a> {
    fn new(nodes: &'a [Node], packets: usize) -> Self {
        Self { nodes, packets, sent: watch::Sender::new(0) }
    }

    /// Emits it all, numbered.
    async fn run(&self) -> Verdict {
        const BURST: usize = 4;
        let emit = async |(name, node): (usize, &Node)| {
            let mut pace = tokio::time::interval(Duration::from_secs(1) * BURST as u32 / PACE as u32);
            for n in 0..self.packets {
                if n % BURST == 0 {
                    pace.tick().await;
                }
                node.chat.emit(format!("load {name} {n}")).await?;
                self.sent.send_modify(|sent| *sent += 1);
            }
            Verdict::Ok(())
        };
        futures_util::future::try_join_all(self.nodes.iter().enumerate().map(emit)).await.map(drop)
    }

    /// Waits until so much of it is sent, in parts of a hundred.
    async fn reaches(&self, percent: usize) {
        let enough = self.packets * self.nodes.len() * percent / 100;
        let _ = self.sent.subscribe().wait_for(|sent| *sent >= enough).await; // never closed: it is ours
    }
}

/// What a socket got of each sender's load up to its `end`: strictly rising, so each once and in order.
async fn tally(socket: &mut Socket, senders: usize) -> Verdict<Vec<usize>> {
    let mut got = vec![0; senders];
    let mut newest = vec![None; senders];
    let mut ended = vec![false; senders];
    while ended.iter().any(|ended| !ended) {
        let text =
            next(socket).await.map_err(|_| Failure::new(format!("nothing came after {newest:?}, ends {ended:?}")))?;
        let mut words = text.split(' ');
        let (Some(word), Some(sender)) = (words.next(), words.next()) else { continue };
        let Ok(sender) = sender.parse::<usize>() else { continue };
        match word {
            "end" => ended[sender] = true,
            "load" => {
                let n: usize = words.next().unwrap_or_default().parse()?;
                check!(newest[sender].is_none_or(|newest| n > newest), "{n} of {sender} came after {newest:?}");
                newest[sender] = Some(n);
                got[sender] += 1;
            }
            _ => {}
        }
    }
    Ok(got)
}

/// Checks that a node was not told that anything is lost.
fn check_none_reported(events: &mut Events) -> Verdict {
    for event in events_so_far(events) {
        check!(!matches!(event, Event::Gap { .. }), "{event}");
    }
    Ok(())
}

/// Checks that a node was told exactly what it lost of each sender: what was sent, less what it got.
async fn check_reported(events: &mut Events, senders: &[Node], sent: &[usize], got: &[usize]) -> Verdict<u64> {
    let mut lost: HashMap<NodeId, u64> = HashMap::new();
    let want = senders.iter().zip(sent.iter().zip(got));
    let want: HashMap<NodeId, u64> = want.map(|(node, (sent, got))| (node.id(), (sent - got) as u64)).collect();
    let count = |lost: &mut HashMap<NodeId, u64>, event: Event| {
        match event {
            Event::Gap { node, channel: GapChannel::Cluster, count, .. } => {
                *lost.entry(node).or_default() += count.unwrap_or(0)
            }
            Event::Missed(missed) => return Err(Failure::new(format!("{missed} events were not read in time"))),
            _ => {}
        }
        Ok(())
    };
    let all = want.values().sum::<u64>();
    let read = async {
        while lost.values().sum::<u64>() < all {
            let event = events.next().await.ok_or_else(|| Failure::new("the node has ended"))?;
            count(&mut lost, event)?;
        }
        Verdict::Ok(())
    };
    if let Ok(failed) = tokio::time::timeout(PATIENCE, read).await {
        failed?;
    }
    for event in events_so_far(events) {
        count(&mut lost, event)?;
    }
    for (node, want) in want {
        check_eq!(lost.get(&node).copied().unwrap_or_default(), want, "reported as lost of node {node}");
    }
    Ok(all)
}
