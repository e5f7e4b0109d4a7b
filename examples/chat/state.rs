//! What the pages of a node show of it.

use std::time::Duration;

use roomcast::{Cluster, Event, Events, GapChannel, NodeId};
use serde::Serialize;
use socketioxide::SocketIo;
use socketioxide::adapter::Adapter;

use crate::chat::Node;

const EVERY: Duration = Duration::from_secs(1);

#[derive(Serialize)]
struct NodeState<'a> {
    node: &'a str,
    port: u16,
    /// The names of the nodes that live, this one first.
    nodes: Vec<String>,
    /// Milliseconds since this node last heard itself through the broker; `null` without a cluster.
    health: Option<u64>,
    /// Why remote sockets may not be reached now.
    degraded: Option<&'a str>,
}

/// What other pages have seen and those of this node will not.
#[derive(Serialize)]
struct Lost {
    /// Whose events.
    node: String,
    /// How many; `null` when that cannot be known.
    count: Option<u64>,
}

/// Keeps the pages of this node informed, for as long as it is polled.
pub(crate) async fn keep_informed<A: Adapter>(io: &SocketIo<A>, node: &Node) {
    let mut events = node.cluster.as_ref().map(Cluster::events);
    let mut degraded = None;
    let mut tick = tokio::time::interval(EVERY);
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            event = next(events.as_mut()) => match event {
                Event::NodeUp(_) | Event::NodeDown(..) => local(io, "changed", &()).await,
                Event::Degraded(reason) => degraded = Some(reason),
                Event::Recovered => {
                    degraded = None;
                    local(io, "changed", &()).await;
                }
                Event::Gap { node: id, channel: GapChannel::Cluster, count } => {
                    local(io, "lost", &Lost { node: name_of(node, id), count }).await;
                    local(io, "changed", &()).await; // it may have been a change that was lost
                }
                _ => {}
            },
        }
        local_if_idle(io, "state", &state(node, degraded.as_deref())).await;
    }
}

/// The next event, if there will ever be one.
async fn next(events: Option<&mut Events>) -> Event {
    if let Some(events) = events
        && let Some(event) = events.next().await
    {
        return event;
    }
    std::future::pending().await
}

fn name_of(node: &Node, id: NodeId) -> String {
    let nodes = node.cluster.as_ref().map(Cluster::nodes).unwrap_or_default();
    nodes.into_iter().find(|node| node.id == id).map_or_else(|| "a node that is gone".to_owned(), |node| node.name)
}

fn state<'a>(node: &'a Node, degraded: Option<&'a str>) -> NodeState<'a> {
    let cluster = node.cluster.as_ref();
    let names = |cluster: &Cluster| cluster.nodes().into_iter().map(|node| node.name).collect();
    NodeState {
        node: &node.name,
        port: node.port,
        nodes: cluster.map_or_else(|| vec![node.name.clone()], names),
        health: cluster.map(|cluster| u64::try_from(cluster.health().as_millis()).unwrap_or(u64::MAX)),
        degraded,
    }
}

/// Emits to the sockets of this node.
async fn local<A: Adapter>(io: &SocketIo<A>, event: &str, data: &impl Serialize) {
    if let Some(here) = io.of("/") {
        // Fails for sockets that are full or closing, which the pages see for themselves.
        here.local().emit(event, data).await.ok();
    }
}

/// Emits what the next one makes old: a socket that is busy now gets that one.
async fn local_if_idle<A: Adapter>(io: &SocketIo<A>, event: &str, data: &impl Serialize) {
    if let Some(here) = io.of("/") {
        here.local().volatile().emit(event, data).await.ok();
    }
}
