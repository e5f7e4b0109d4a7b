//! Several socketioxide servers in one process, and clients of them.

pub(crate) mod bus;
pub(crate) mod client;
pub(crate) mod crowd;
pub(crate) mod msgpack;

use std::sync::Arc;
use std::time::Duration;

use client::Client;
use roomcast_core::adapter::{Address, Target};
use roomcast_core::{Cluster, Memory, Namespace, Packet};
use roomcast_socketioxide::{Adapter, SocketIo, SocketRef};

/// A cluster of so many nodes, each of which knows all of them.
pub(crate) async fn cluster(nodes: usize) -> Vec<Arc<dyn roomcast_core::adapter::Adapter>> {
    cluster_on(&Memory::new(), nodes).await
}

/// The same over this broker.
pub(crate) async fn cluster_on(memory: &Memory, nodes: usize) -> Vec<Arc<dyn roomcast_core::adapter::Adapter>> {
    let connected = (0..nodes).map(|_| Cluster::connect(memory.clone()));
    let connected = futures_util::future::try_join_all(connected).await.expect("connected");
    connected.into_iter().map(Into::into).collect()
}

/// A socketioxide server on a node.
pub(crate) struct Server {
    pub(crate) node: Arc<dyn roomcast_core::adapter::Adapter>,
    pub(crate) io: SocketIo,
}

impl std::ops::Deref for Server {
    type Target = SocketIo;

    fn deref(&self) -> &SocketIo {
        &self.io
    }
}

/// A server with a root namespace.
pub(crate) async fn server(node: Arc<dyn roomcast_core::adapter::Adapter>) -> Server {
    let state = Arc::clone(&node).into();
    let (_layer, io) = socketioxide::SocketIo::builder().with_adapter::<Adapter<_>>(state).build_layer();
    io.ns("/", async |_: SocketRef| {}).await.expect("attached");
    Server { node, io }
}

/// So many servers of one cluster, each with one client.
pub(crate) async fn servers<const N: usize>() -> ([Server; N], [Client; N]) {
    let (mut servers, mut clients) = (Vec::new(), Vec::new());
    for node in cluster(N).await {
        let io = server(node).await;
        clients.push(Client::connect(&io).await);
        servers.push(io);
    }
    let wrong = "as many as nodes";
    (servers.try_into().unwrap_or_else(|_| panic!("{wrong}")), clients.try_into().unwrap_or_else(|_| panic!("{wrong}")))
}

/// What each client got from these nodes: each of them sends a fence to everyone now, behind which nothing is looked for.
pub(crate) async fn received<const N: usize>(
    senders: &[&Arc<dyn roomcast_core::adapter::Adapter>],
    clients: &mut [Client; N],
) -> [Vec<String>; N] {
    for sender in senders {
        let everyone = Address::new(Namespace::new("/").expect("valid"), Target::everyone());
        let fence = Packet::event("fence", ()).expect("json");
        sender.broadcast(everyone, fence, Duration::from_secs(5)).await.expect("sent");
    }
    let mut all = [const { Vec::new() }; N];
    for (received, client) in all.iter_mut().zip(clients) {
        for _ in senders {
            received.append(&mut client.until_fence().await);
        }
    }
    all
}

/// Waits until something is so that can but be looked at again.
pub(crate) async fn eventually(what: &str, mut so: impl AsyncFnMut() -> bool) {
    let wait = async {
        while !so().await {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), wait).await.unwrap_or_else(|_| panic!("not in time: {what}"));
}
