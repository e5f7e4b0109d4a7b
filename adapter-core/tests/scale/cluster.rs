//! Nodes on a simulated broker, and waiting for what they know of each other.

use std::collections::HashSet;
use std::time::Duration;

use futures_util::FutureExt as _;
use roomcast_core::{Cluster, Event, Events, NamespaceHandle, Node, NodeId};
use tokio::task::unconstrained;
use tokio::time::Instant;

use super::broker::{Broker, Table};
use super::local::Heard;
use super::port::Port;
use super::random::Random;
use super::traffic::Traffic;

/// How often it is looked at whether something has come true.
const STEP: Duration = Duration::from_millis(5);

/// The nodes that live, on their broker.
pub(crate) struct Nodes {
    pub(crate) all: Vec<Member>,
    pub(crate) random: Random,
    broker: Broker,
}

/// One node, with one namespace.
pub(crate) struct Member {
    pub(crate) link: usize,
    pub(crate) cluster: Cluster,
    pub(crate) chat: NamespaceHandle,
    pub(crate) heard: Heard,
}

impl Member {
    pub(crate) fn knows(&self, nodes: usize) -> bool {
        self.cluster.nodes().len() == nodes
    }

    pub(crate) fn knows_all(&self, others: &[Self]) -> bool {
        let known: HashSet<_> = self.cluster.nodes().into_iter().map(|Node { id, .. }| id).collect();
        others.iter().all(|other| known.contains(&other.cluster.node().id))
    }

    pub(crate) fn is_healthy(&self) -> bool {
        self.cluster.health() < Duration::from_millis(1500)
    }

    /// Leaves out of the list of its nodes nobody, and has nobody else in it.
    fn knows_exactly(&self, sorted: &[NodeId]) -> bool {
        let mut ids: Vec<_> = self.cluster.nodes().into_iter().map(|Node { id, .. }| id).collect();
        ids.sort_unstable();
        ids == sorted
    }
}

async fn start(port: Port, id: NodeId, name: String) -> roomcast_core::Result<Member> {
    let link = port.link;
    let cluster = Cluster::builder().node_id(id).node_name(name).connect(port).await?;
    let heard = Heard::default();
    let chat = cluster.namespace("/", heard.clone()).await?;
    Ok(Member { link, cluster, chat, heard })
}

impl Nodes {
    pub(crate) fn none(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let broker = Broker::start(random.next());
        Self { all: Vec::new(), random, broker }
    }

    pub(crate) fn broker(&self) -> &Table {
        &self.broker.table
    }

    pub(crate) fn traffic(&self) -> Traffic {
        self.broker().traffic()
    }

    /// Starts so many at once; returns when each has connected.
    pub(crate) async fn start(&mut self, count: usize) -> roomcast_core::Result<()> {
        let starting: Vec<_> = (0..count)
            .map(|_| {
                let id = NodeId::from_bytes(self.random.bytes());
                let name = format!("node-{:04}", self.all.len());
                tokio::spawn(start(self.broker().port(), id, name))
            })
            .collect();
        for starting in starting {
            self.all.push(starting.await.expect("starting does not panic")?);
        }
        Ok(())
    }

    /// Waits until something is so at every node, each of which is looked at until it is; returns how long that took, or
    /// None when it took longer than `limit`.
    pub(crate) async fn until(&self, limit: Duration, so: impl Fn(&Member) -> bool) -> Option<Duration> {
        let began = Instant::now();
        let mut left = self.all.iter().peekable();
        loop {
            while left.next_if(|member| so(member)).is_some() {}
            let passed = began.elapsed();
            if left.peek().is_none() {
                return Some(passed);
            }
            if passed > limit || self.broker().ran_away() {
                return None;
            }
            tokio::time::sleep(STEP).await;
        }
    }

    /// How many do not know exactly those that live.
    pub(crate) fn mistaken(&self) -> usize {
        let mut ids: Vec<_> = self.all.iter().map(|member| member.cluster.node().id).collect();
        ids.sort_unstable();
        self.all.iter().filter(|member| !member.knows_exactly(&ids)).count()
    }

    /// What happens at every node from now on.
    pub(crate) fn watch(&self) -> Watch {
        Watch(self.all.iter().map(|member| member.cluster.events()).collect())
    }
}

/// The events of every node.
pub(crate) struct Watch(Vec<Events>);

impl Watch {
    /// How many nodes were taken for gone since, over all who did so, and how many events were missed.
    pub(crate) fn evictions(&mut self) -> u64 {
        let mut evictions = 0;
        for events in &mut self.0 {
            // All that are there: there are more than a task may take in one turn.
            while let Some(Some(event)) = unconstrained(events.next()).now_or_never() {
                match event {
                    Event::NodeDown(..) => evictions += 1,
                    Event::Missed(events) => evictions += events,
                    _ => {}
                }
            }
        }
        evictions
    }
}
