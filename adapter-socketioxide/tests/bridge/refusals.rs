//! What socketioxide's sockets cannot read, and calls that are wrong whatever the state of the broker.

use std::time::Duration;

use crate::support::crowd::Crowd;
use crate::support::{self, client::Client};
use roomcast_core::{Cluster, ErrorKind, Hub, Memory, Packet};
use roomcast_socketioxide::{Adapter, SocketRef, State};
use socketioxide::EmitWithAckError;
use socketioxide_core::adapter::errors::{AdapterError, BroadcastError};

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

/// A server whose node takes packets of 1,000 bytes, and its client.
async fn narrow() -> (Cluster, support::Server, Client) {
    let cluster = Cluster::builder().max_message(1000).connect(Memory::new()).await.expect("connected");
    let io = support::server(cluster.clone().into()).await;
    let client = Client::connect(&io).await;
    (cluster, io, client)
}

/// Nobody has got anything, and what is right comes through.
async fn nothing_came(io: &support::Server, client: &mut Client) {
    io.emit("fence", &1).await.expect("sent");
    assert_eq!(client.until_fence().await, Vec::<String>::new());
}

fn kind(error: &BroadcastError) -> (ErrorKind, bool) {
    let BroadcastError::Adapter(AdapterError(cause)) = error else { panic!("of the adapter: {error:?}") };
    ours(cause.downcast_ref())
}

/// What socketioxide boxes is either the bridge's error, or socketioxide's own around it.
fn asked(error: &EmitWithAckError) -> (ErrorKind, bool) {
    let EmitWithAckError::Adapter(cause) = error else { panic!("of the adapter: {error:?}") };
    let within = cause.downcast_ref::<AdapterError>().map(|AdapterError(cause)| cause.downcast_ref());
    ours(within.unwrap_or_else(|| cause.downcast_ref()))
}

fn ours(error: Option<&roomcast_socketioxide::Error>) -> (ErrorKind, bool) {
    error.map(|error| (error.kind(), error.served_locally())).expect("ours")
}

#[tokio::test]
async fn a_packet_over_max_message_is_refused_before_anybody_gets_it() {
    let (_cluster, io, mut client) = narrow().await;
    let large = "x".repeat(1000);
    let refused = io.emit("news", &large).await.expect_err("too large");
    assert_eq!(kind(&refused), (ErrorKind::TooLarge, false));
    let refused = io.emit_with_ack::<_, String>("news", &large).await.map(drop).expect_err("too large");
    assert_eq!(asked(&refused), (ErrorKind::TooLarge, false));
    nothing_came(&io, &mut client).await;
    io.local().emit("news", &large).await.expect("stays here");
    assert!(client.next().await.starts_with("2[\"news\""));
}

#[tokio::test]
async fn too_many_names_are_refused_before_anybody_is_moved_or_gets_anything() {
    let (_cluster, io, mut client) = narrow().await;
    let names: Vec<_> = (0..500).map(|n| format!("room {n}")).collect();
    let refused = io.broadcast().join(names.clone()).await.expect_err("too large");
    assert_eq!((refused.kind(), refused.served_locally()), (ErrorKind::TooLarge, false));
    io.local().broadcast().join("here").await.expect("joined");
    let refused = io.broadcast().leave([names.clone(), vec!["here".to_owned()]].concat()).await.expect_err("too large");
    assert_eq!((refused.kind(), refused.served_locally()), (ErrorKind::TooLarge, false));
    assert_eq!(io.sockets()[0].rooms(), ["here"]);
    let to_all = [names, vec!["here".to_owned()]].concat();
    let refused = io.to(to_all.clone()).emit("news", &()).await.expect_err("too large");
    assert_eq!(kind(&refused), (ErrorKind::TooLarge, false));
    let refused = io.to(to_all).disconnect().await.expect_err("too large");
    assert_eq!(kind(&refused), (ErrorKind::TooLarge, false));
    nothing_came(&io, &mut client).await;
}

#[tokio::test]
async fn a_room_that_the_cluster_cannot_carry_is_refused_before_anybody_is_served() {
    let (_cluster, io, mut client) = narrow().await;
    let long = "x".repeat(roomcast_core::MAX_NAME + 1);
    for bad in [String::new(), long] {
        io.local().broadcast().join(bad.clone()).await.expect("stays here");
        for refused in [
            io.to(bad.clone()).emit("news", &()).await.expect_err("a bad room"),
            io.except(bad.clone()).emit("news", &()).await.expect_err("a bad room"),
            io.to(bad.clone()).disconnect().await.expect_err("a bad room"),
        ] {
            assert_eq!(kind(&refused), (ErrorKind::Config, false));
        }
        for refused in [
            io.broadcast().leave(bad.clone()).await.expect_err("a bad room"),
            io.to(bad.clone()).join("other").await.expect_err("a bad room"),
        ] {
            assert_eq!((refused.kind(), refused.served_locally()), (ErrorKind::Config, false));
        }
        let refused = io.to(bad.clone()).emit_with_ack::<_, ()>("news", &()).await.map(drop).expect_err("a bad room");
        assert_eq!(asked(&refused), (ErrorKind::Config, false));
        assert_eq!(io.sockets()[0].rooms(), std::slice::from_ref(&bad), "it has neither left nor joined");
        io.local().broadcast().leave(bad).await.expect("stays here");
    }
    nothing_came(&io, &mut client).await;
}

#[tokio::test]
async fn a_namespace_that_the_cluster_refused_serves_what_stays_here_alone() {
    let (_cluster, io, _client) = narrow().await;
    let long: &'static str = format!("/{}", "x".repeat(roomcast_core::MAX_NAME)).leak();
    io.ns(long, async |_: SocketRef| {}).await.expect_err("too long");
    let mut client = Client::connect_to(&io, long).await;
    let namespace = || io.of(long).expect("open");
    let refused = namespace().emit("news", &()).await.expect_err("a bad namespace");
    assert_eq!(kind(&refused), (ErrorKind::Config, false));
    let refused = namespace().join("room").await.expect_err("a bad namespace");
    assert_eq!((refused.kind(), refused.served_locally()), (ErrorKind::Config, false));
    namespace().local().emit("here", &()).await.expect("stays here");
    assert!(client.next().await.contains("[\"here\""), "and nothing before it");
}

#[tokio::test]
async fn a_timeout_of_zero_is_refused_before_anybody_is_asked_or_moved() {
    let cluster = Cluster::connect(Memory::new()).await.expect("connected");
    let state = State::from(cluster).request_timeout(Duration::ZERO);
    let (_layer, io) = socketioxide::SocketIo::builder().with_adapter::<Adapter<_>>(state).build_layer();
    io.ns("/", async |_: SocketRef| {}).await.expect("attached");
    let mut client = Client::connect(&io).await;
    let refused = io.broadcast().join("room").await.expect_err("no time");
    assert_eq!((refused.kind(), refused.served_locally()), (ErrorKind::Config, false));
    assert!(io.sockets()[0].rooms().is_empty());
    let refused = io.timeout(Duration::ZERO).emit_with_ack::<_, ()>("?", &()).await.map(drop).expect_err("no time");
    assert_eq!(asked(&refused), (ErrorKind::Config, false));
    io.emit("fence", &1).await.expect("sent");
    assert_eq!(client.until_fence().await, Vec::<String>::new());
}
