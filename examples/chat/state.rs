//! What the pages of a node show of it, and what it tells the other nodes.

use std::time::Duration;

use roomcast::{Cluster, Departure, Event, Events, GapChannel, NodeId};
use serde::Serialize;
use socketioxide::SocketIo;
use socketioxide::adapter::Adapter;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::board::{Card, Entry, Shown};
use crate::chat::Node;
use crate::demo::View;
use crate::peers;

const EVERY: Duration = Duration::from_secs(1);
/// What changes within this time is shown together.
const TOGETHER: Duration = Duration::from_millis(80);

#[derive(Serialize)]
struct NodeState<'a> {
    node: &'a str,
    port: u16,
    /// The names of the nodes that live, this one first.
    nodes: Vec<String>,
    /// Milliseconds since this node last heard itself through the broker; `null` without a cluster.
    health: Option<u64>,
    /// Milliseconds that it took; `null` before the first time.
    round_trip: Option<f64>,
    /// Why remote sockets may not be reached now.
    degraded: Option<&'a str>,
    /// All nodes, and those that were there until a moment ago.
    cards: Vec<Shown>,
    log: Vec<Entry>,
    /// What can be killed; `null` where nothing can.
    demo: Option<View>,
}

/// What other pages have seen and those of this node will not.
#[derive(Serialize)]
struct Lost {
    /// Whose events.
    node: String,
    /// How many; `null` when that cannot be known.
    count: Option<u64>,
}

/// Broadcasts so far, and when that was.
struct Counted {
    at: Instant,
    sent: u64,
    received: u64,
    rates: (f64, f64),
}

/// Keeps the pages of this node and the other nodes informed, for as long as it is polled.
pub(crate) async fn keep_informed<A: Adapter>(io: &SocketIo<A>, node: &Node) {
    let mut events = node.cluster.as_ref().map(Cluster::events);
    let mut view = node.demo.as_ref().map(|demo| demo.view.clone());
    let mut degraded = None;
    let mut counted = Counted { at: Instant::now(), sent: 0, received: 0, rates: (0.0, 0.0) };
    let mut tick = tokio::time::interval(EVERY);
    // When what has changed is shown.
    let mut due = None;
    loop {
        let (show, tell) = tokio::select! {
            _ = tick.tick() => {
                counted.look(node);
                (true, true)
            }
            event = next(events.as_mut()) => {
                take(io, node, event, &mut degraded).await;
                (false, false)
            }
            () = node.board.changed() => {
                due.get_or_insert_with(|| Instant::now() + TOGETHER);
                (false, false)
            }
            () = changed(view.as_mut()) => (true, false),
            () = until(due) => (true, node.board.take_touch()),
        };
        if show {
            due = None;
            let own = card(io, node, counted.rates).await;
            if tell && degraded.is_none() {
                peers::tell(node.cluster.as_ref(), &own).await;
            }
            local_if_idle(io, "state", &state(node, degraded.as_deref(), own)).await;
        }
    }
}

/// Writes down what happened, and tells the pages what is lost.
async fn take<A: Adapter>(io: &SocketIo<A>, node: &Node, event: Event, degraded: &mut Option<String>) {
    let board = &node.board;
    match event {
        Event::NodeUp(other) => {
            board.note("up", format!("{} is here", other.name));
            board.touch(); // it has no card of this node yet
        }
        Event::NodeDown(other, how) => {
            board.gone(other.id, how);
            match how {
                Departure::Left => board.note("down", format!("{} has left", other.name)),
                _ => board.note("down", format!("{} has died", other.name)),
            }
        }
        Event::Degraded(reason) => {
            board.note("degraded", format!("{} is cut off: {reason}", node.name));
            *degraded = Some(reason);
        }
        Event::Recovered => {
            board.note("recovered", format!("{} is connected again", node.name));
            *degraded = None;
            board.touch();
        }
        Event::Gap { node: id, channel: GapChannel::Cluster, count, .. } => {
            let whose = name_of(node, id);
            match count {
                Some(count) => board.note("gap", format!("{count} events of {whose} are lost")),
                None => board.note("gap", format!("what {whose} sent last may be lost")),
            }
            local(io, "lost", &Lost { node: whose, count }).await;
        }
        Event::Refused { reason, .. } => board.note("degraded", format!("{} is refused: {reason}", node.name)),
        Event::Missed(count) => board.note("gap", format!("{count} events of the cluster were not seen here")),
        _ => {}
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

/// Returns when something was killed or started.
async fn changed(view: Option<&mut watch::Receiver<View>>) {
    if let Some(view) = view
        && view.changed().await.is_ok()
    {
        return;
    }
    std::future::pending().await
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

fn name_of(node: &Node, id: NodeId) -> String {
    let nodes = node.cluster.as_ref().map(Cluster::nodes).unwrap_or_default();
    let known = nodes.into_iter().find(|node| node.id == id).map(|node| node.name);
    known.or_else(|| node.board.name(id)).unwrap_or_else(|| "a node that is gone".to_owned())
}

impl Counted {
    /// Counts the broadcasts since the last time.
    fn look(&mut self, node: &Node) {
        let Some(cluster) = &node.cluster else { return };
        let namespaces = cluster.status().namespaces;
        let sent = namespaces.iter().map(|namespace| namespace.sent).sum();
        let received = namespaces.iter().map(|namespace| namespace.delivered).sum();
        let seconds = self.at.elapsed().as_secs_f64().max(0.1);
        let rate = |now: u64, then: u64| now.saturating_sub(then) as f64 / seconds;
        let rates = (rate(sent, self.sent), rate(received, self.received));
        *self = Self { at: Instant::now(), sent, received, rates };
    }
}

/// This node's own card.
async fn card<A: Adapter>(io: &SocketIo<A>, node: &Node, (sent, received): (f64, f64)) -> Card {
    let users = peers::here(io, &node.name, node.port);
    let said = node.said.lock().await.clone();
    let status = node.cluster.as_ref().map(Cluster::status);
    let state = status.as_ref().and_then(|status| serde_json::to_value(status.state).ok());
    let state = state.and_then(|state| state.as_str().map(str::to_owned)).unwrap_or_else(|| "alone".to_owned());
    let round_trip = status.as_ref().and_then(|status| status.round_trip).map(|time| time.as_secs_f64() * 1000.0);
    let queue = status.as_ref().map_or(0, |status| status.queue.messages);
    let stats = status.map(|status| status.stats).unwrap_or_default();
    let (repaired, lost, duplicates) = (stats.repaired, stats.lost, stats.duplicates);
    Card { users, id: node.id(), state, round_trip, queue, repaired, lost, duplicates, sent, received, said }
}

fn state<'a>(node: &'a Node, degraded: Option<&'a str>, own: Card) -> NodeState<'a> {
    let cluster = node.cluster.as_ref();
    let names = |cluster: &Cluster| cluster.nodes().into_iter().map(|node| node.name).collect();
    NodeState {
        node: &node.name,
        port: node.port,
        nodes: cluster.map_or_else(|| vec![node.name.clone()], names),
        health: cluster.map(|cluster| u64::try_from(cluster.health().as_millis()).unwrap_or(u64::MAX)),
        round_trip: own.round_trip,
        degraded,
        cards: node.board.cards(own),
        log: node.board.log(),
        demo: node.demo.as_ref().map(|demo| demo.view.borrow().clone()),
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
