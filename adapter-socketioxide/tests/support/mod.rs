//! Several socketioxide servers in one process, and clients of them.
#![allow(dead_code, unreachable_pub)] // each test file uses its own part

pub mod bus;
pub mod client;
pub mod msgpack;

use std::sync::Arc;

use adapter_socketioxide::{Adapter, SocketIo, SocketRef};
use client::Client;

/// A cluster of so many nodes. The one place to change for another implementation.
pub fn cluster(nodes: usize) -> Vec<Arc<dyn adapter_core::Adapter>> {
    let bus = bus::Bus::new();
    (0..nodes).map(|_| bus.node() as Arc<dyn adapter_core::Adapter>).collect()
}

/// A server on this node with a root namespace.
pub async fn server(node: Arc<dyn adapter_core::Adapter>) -> SocketIo {
    let (_layer, io) = socketioxide::SocketIo::builder().with_adapter::<Adapter<_>>(node.into()).build_layer();
    io.ns("/", async |_: SocketRef| {}).await.expect("attached");
    io
}

/// So many servers of one cluster, each with one client.
pub async fn servers<const N: usize>() -> ([SocketIo; N], [Client; N]) {
    let (mut servers, mut clients) = (Vec::new(), Vec::new());
    for node in cluster(N) {
        let io = server(node).await;
        clients.push(Client::connect(&io).await);
        servers.push(io);
    }
    let wrong = "as many as nodes";
    (servers.try_into().unwrap_or_else(|_| panic!("{wrong}")), clients.try_into().unwrap_or_else(|_| panic!("{wrong}")))
}

/// What each client gets until a fence that this server sends to everyone now.
pub async fn received<const N: usize>(io: &SocketIo, clients: &mut [Client; N]) -> [Vec<String>; N] {
    io.emit("fence", &()).await.expect("sent");
    let mut all = [const { Vec::new() }; N];
    for (received, client) in all.iter_mut().zip(clients) {
        *received = client.until_fence().await;
    }
    all
}
