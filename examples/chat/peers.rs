//! What nodes tell each other: a card of each, once a second, for the pages; and who is where, for those who ask.

use std::sync::Arc;
use std::time::Duration;

use roomcast::{Cluster, NamespaceHandle};
use serde::{Deserialize, Serialize};
use socketioxide::SocketIo;
use socketioxide::adapter::Adapter;

use crate::board::{Board, Card};
use crate::chat::User;

const ASK: &str = "who";
const CARD: &str = "card";
const PATIENCE: Duration = Duration::from_secs(2);

/// One node and the users whose sockets it holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NodeUsers {
    pub(crate) node: String,
    pub(crate) port: u16,
    pub(crate) users: Vec<UserRooms>,
}

/// One user and the rooms it is in.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct UserRooms {
    pub(crate) name: String,
    pub(crate) rooms: Vec<String>,
}

/// The answer to `who`.
#[derive(Debug, Serialize)]
pub(crate) struct Who {
    pub(crate) nodes: Vec<NodeUsers>,
    /// How many nodes that live did not answer.
    pub(crate) missing: usize,
}

/// The users of this node.
pub(crate) fn here<A: Adapter>(io: &SocketIo<A>, node: &str, port: u16) -> NodeUsers {
    // None when the server is closing.
    let sockets = io.of("/").map(|all| all.sockets()).unwrap_or_default();
    let mut users: Vec<_> = sockets
        .iter()
        .filter(|socket| socket.connected())
        .filter_map(|socket| {
            let User(name) = socket.extensions.get()?;
            let mut rooms: Vec<_> = socket.rooms().iter().filter_map(|room| crate::chat::shown(room)).collect();
            rooms.sort();
            Some(UserRooms { name, rooms })
        })
        .collect();
    users.sort();
    NodeUsers { node: node.to_owned(), port, users }
}

/// Adds the users of all other nodes to those of this one.
pub(crate) async fn everywhere(cluster: Option<&Cluster>, here: NodeUsers) -> roomcast::Result<Who> {
    let mut nodes = vec![here];
    let mut missing = 0;
    if let Some(cluster) = cluster {
        let peers = cluster.of("/")?.server_side_emit_with_ack(ASK, "", PATIENCE).await?;
        nodes.extend(peers.items.iter().filter_map(|(_, answer)| serde_json::from_slice(answer).ok()));
        missing = 1 + peers.items.len() + peers.missing.len() - nodes.len();
        nodes.sort_by(|a: &NodeUsers, b| a.node.cmp(&b.node));
    }
    Ok(Who { nodes, missing })
}

/// Sends this node's card to the others.
pub(crate) async fn tell(cluster: Option<&Cluster>, card: &Card) {
    let Some(all) = cluster.and_then(|cluster| cluster.of("/").ok()) else { return };
    if let Ok(card) = serde_json::to_vec(card) {
        // It fails when the queue is full or the node is closing; the next one comes in a second.
        all.server_side_emit(CARD, card).await.ok();
    }
}

/// Hears the other nodes, and answers them for this one, until the handle that it returns is dropped.
pub(crate) fn listen<A: Adapter>(
    cluster: &Cluster,
    io: SocketIo<A>,
    board: Arc<Board>,
    node: String,
    port: u16,
) -> roomcast::Result<NamespaceHandle> {
    let servers = cluster.of("/")?;
    servers.on_server_event(move |event| {
        if event.event == CARD
            && let Ok(card) = serde_json::from_slice(&event.data)
        {
            board.put(event.from, card);
        }
        let reply = event.reply.filter(|_| event.event == ASK);
        if let Some(reply) = reply
            && let Ok(users) = serde_json::to_vec(&here(&io, &node, port))
        {
            reply.send(users);
        }
        std::future::ready(())
    })?;
    Ok(servers)
}
