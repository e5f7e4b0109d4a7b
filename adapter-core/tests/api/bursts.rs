//! A burst of emits against sockets that read, with the default hub.

use roomcast_core::{Cluster, Hub, Memory, NamespaceHandle, Socket};
use tokio::task::JoinHandle;

use crate::support::{SOON, eventually};

/// Reads until the whole burst is there; returns what came.
fn reader(mut socket: Socket, burst: u32) -> JoinHandle<Vec<u32>> {
    tokio::spawn(async move {
        let mut got = Vec::new();
        while got.len() < burst as usize {
            let Some(delivery) = socket.next().await else { break };
            got.push(u32::from_le_bytes(delivery.packet.data[..4].try_into().unwrap()));
        }
        got
    })
}

async fn node(memory: &Memory) -> (Cluster, NamespaceHandle, Hub) {
    let cluster = Cluster::connect(memory.clone()).await.unwrap();
    let hub = Hub::new();
    let chat = cluster.namespace("/chat", hub.clone()).await.unwrap();
    (cluster, chat, hub)
}

async fn g11_a_burst_reaches_every_socket_that_reads(burst: u32, size: usize) {
    let memory = Memory::new();
    let nodes = [node(&memory).await, node(&memory).await];
    eventually(|| nodes.iter().all(|(cluster, ..)| cluster.nodes().len() == 2)).await;
    let readers: Vec<_> =
        nodes.iter().flat_map(|(_, _, hub)| [(); 2].map(|()| reader(hub.connect().unwrap(), burst))).collect();
    for number in 0..burst {
        let mut packet = number.to_le_bytes().to_vec();
        packet.resize(size, 0);
        nodes[0].1.emit(packet).await.unwrap();
    }
    for reader in readers {
        let got = tokio::time::timeout(SOON, reader).await.expect("the burst never came").unwrap();
        assert!(got.iter().copied().eq(0..burst), "{} of {burst}", got.len());
    }
    for (_, _, hub) in &nodes {
        assert_eq!((hub.stats().dropped(), hub.stats().disconnected_slow), (0, 0));
    }
}

#[tokio::test]
async fn g11_a_burst_disconnects_nobody_who_reads_on_one_thread() {
    g11_a_burst_reaches_every_socket_that_reads(10_000, 20).await;
    g11_a_burst_reaches_every_socket_that_reads(10_000, 1_000).await;
    g11_a_burst_reaches_every_socket_that_reads(6, 15 << 20).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g11_a_burst_disconnects_nobody_who_reads_on_two_workers() {
    g11_a_burst_reaches_every_socket_that_reads(10_000, 20).await;
    g11_a_burst_reaches_every_socket_that_reads(10_000, 1_000).await;
    g11_a_burst_reaches_every_socket_that_reads(6, 15 << 20).await;
}

#[tokio::test]
async fn g12_what_waits_for_one_socket_shares_no_memory_with_what_waits_for_another() {
    let memory = Memory::new();
    let nodes = [node(&memory).await, node(&memory).await];
    eventually(|| nodes.iter().all(|(cluster, ..)| cluster.nodes().len() == 2)).await;
    let hub = &nodes[1].2;
    let mut sockets: Vec<_> = (0..100).map(|_| hub.connect().unwrap()).collect();
    for socket in &sockets {
        nodes[0].1.to(socket.id()).emit("travels with others").await.unwrap();
    }
    eventually(|| hub.stats().queued == 100).await;
    let mut deliveries = Vec::new();
    for socket in &mut sockets {
        deliveries.push(socket.next().await.unwrap());
    }
    assert!(deliveries.iter().all(|delivery| delivery.packet.data.is_unique()));
}
