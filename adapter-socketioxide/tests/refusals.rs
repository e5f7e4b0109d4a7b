//! What socketioxide's sockets cannot read.

mod support;

use adapter_core::{Cluster, ErrorKind, Hub, Memory, Packet};
use adapter_socketioxide::State;
use support::client::Client;
use support::crowd::Crowd;

async fn cluster(memory: &Memory) -> Cluster {
    Cluster::connect(memory.clone()).await.expect("connected")
}

#[tokio::test]
async fn an_opaque_packet_is_refused_where_it_is_emitted() {
    let memory = Memory::new();
    let (a, b) = (cluster(&memory).await, cluster(&memory).await);
    let io = support::server(a.clone().into()).await;
    let mut client = Client::connect(&io).await;
    let other = Crowd::new(&State::from(b), 1, 8);
    let chat = a.of("/").expect("valid");
    for packet in ["hello", "", "\0hello"] {
        let refused = chat.emit(packet).await.expect_err(packet);
        assert_eq!(refused.kind(), ErrorKind::Config);
        assert!(refused.to_string().contains("Packet::event"), "{refused}");
        let refused = chat.to("room").emit_with_ack(packet).await.expect_err(packet);
        assert_eq!(refused.kind(), ErrorKind::Config);
    }
    chat.emit(Packet::event("fence", 1).expect("json")).await.expect("sent");
    assert_eq!(client.until_fence().await, Vec::<String>::new());
    assert_eq!(other.read_until(other.ids[0], 1).await.len(), 1, "nothing was sent to the other node either");
}

#[tokio::test]
async fn an_opaque_packet_of_a_node_that_cannot_know_is_counted() {
    let memory = Memory::new();
    let (a, b) = (cluster(&memory).await, cluster(&memory).await);
    let io = support::server(b.clone().into()).await;
    let mut client = Client::connect(&io).await;
    let chat = a.namespace("/", Hub::new()).await.expect("valid");
    for packet in ["hello", "\0hello"] {
        chat.emit(packet).await.expect("a hub takes anything");
    }
    chat.emit(Packet::event("fence", 1).expect("json")).await.expect("sent");
    assert_eq!(client.until_fence().await, Vec::<String>::new());
    assert_eq!(b.stats().local_dropped.unreadable, 2);
}

#[tokio::test]
async fn an_opaque_packet_is_sent_if_some_local_sockets_read_it() {
    let memory = Memory::new();
    let a = cluster(&memory).await;
    let io = support::server(a.clone().into()).await;
    let mut client = Client::connect(&io).await;
    let hub = Hub::new();
    let chat = a.namespace("/", hub.clone()).await.expect("valid");
    let mut socket = hub.connect().expect("connected");
    chat.emit("hello").await.expect("for the hub");
    assert_eq!(socket.next().await.expect("connected").packet.data, "hello");
    chat.emit(Packet::event("fence", 1).expect("json")).await.expect("sent");
    assert_eq!(client.until_fence().await, Vec::<String>::new());
    assert_eq!(a.stats().local_dropped.unreadable, 1);
}
