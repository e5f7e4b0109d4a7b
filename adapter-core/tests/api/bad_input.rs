use std::sync::Arc;
use std::time::Duration;

use roomcast_core::adapter::{Acks, Adapter, LocalSocket, LocalSockets, Target};
use roomcast_core::backend::{Connect, Inbox, Outgoing};
use roomcast_core::{Cluster, Emitter, Error, ErrorKind, Hub, Memory, Namespace, Packet, Projection, Room};

use crate::support::{Node, eventually, next, three, until};

fn kind<T: std::fmt::Debug>(result: Result<T, Error>) -> ErrorKind {
    result.expect_err("refused").kind()
}

#[tokio::test]
async fn names_that_are_empty_or_too_long_are_refused_where_they_are_used() {
    let node = Node::on(&Memory::new()).await;
    let long = "x".repeat(1025);
    for bad in ["", long.as_str()] {
        assert_eq!(kind(node.chat.to(bad).emit("x").await), ErrorKind::Config);
        assert_eq!(kind(node.chat.except(["fine", bad]).fetch_sockets().await), ErrorKind::Config);
        assert_eq!(kind(node.chat.join_sockets(bad).await), ErrorKind::Config);
        assert_eq!(kind(node.cluster.of(bad)), ErrorKind::Config);
        assert_eq!(kind(node.chat.server_side_emit(bad, "").await), ErrorKind::Config);
        assert_eq!(kind(Cluster::builder().cluster(bad).connect(Memory::new()).await), ErrorKind::Config);
    }
    assert_eq!(kind(Cluster::builder().node_name("x".repeat(256)).connect(Memory::new()).await), ErrorKind::Config);
    assert_eq!(kind(Cluster::builder().max_message(usize::MAX).connect(Memory::new()).await), ErrorKind::Config);
    assert_eq!(kind(Emitter::builder().max_message(usize::MAX).connect(Memory::new()).await), ErrorKind::Config);
    assert_eq!(kind(Emitter::builder().timeout(Duration::ZERO).connect(Memory::new()).await), ErrorKind::Config);
    assert_eq!(kind(Cluster::builder().queue_bytes(0).connect(Memory::new()).await), ErrorKind::Config);
    assert_eq!(
        kind(Cluster::builder().connect_timeout(Duration::ZERO).connect(Memory::new()).await),
        ErrorKind::Config
    );
}

#[tokio::test]
async fn g13_a_packet_over_max_message_is_refused_before_anything_is_sent() {
    let node = Node::with(Cluster::builder().max_message(1000), &Memory::new()).await;
    let mut socket = node.socket([]);
    let refused = node.chat.emit(vec![0; 1001]).await.expect_err("refused");
    assert_eq!((refused.kind(), refused.served_locally()), (ErrorKind::TooLarge, false));
    assert_eq!(kind(node.chat.emit_with_ack(vec![0; 1001]).await), ErrorKind::TooLarge);
    node.chat.emit("x".repeat(1000)).await.unwrap();
    assert_eq!(next(&mut socket).await.len(), 1000);
}

#[tokio::test]
async fn what_is_refused_before_anybody_is_served_does_not_claim_to_have_served() {
    let node = Node::with(Cluster::builder().max_message(1000), &Memory::new()).await;
    let _socket = node.socket(["room"]);
    let large = || vec![0; 1001];
    let bad_name = "x".repeat(1025);
    for refused in [
        node.chat.to("room").emit(large()).await.map(drop),
        node.chat.to("room").emit_with_ack(large()).await.map(drop),
        node.chat.to(&bad_name).emit("x").await.map(drop),
        node.chat.to("room").join_sockets(&bad_name).await.map(drop),
        node.chat.to(&bad_name).disconnect_sockets().await.map(drop),
        node.chat.to(&bad_name).fetch_sockets().await.map(drop),
    ] {
        let error = refused.expect_err("refused");
        assert!(!error.served_locally() && !error.to_string().contains("served"), "{error}");
    }
}

#[tokio::test]
async fn the_same_sockets_cannot_be_attached_twice_to_one_namespace() {
    let node = Node::on(&Memory::new()).await;
    let mut socket = node.socket([]);
    assert_eq!(kind(node.cluster.namespace("/chat", node.hub.clone()).await), ErrorKind::Config);
    assert_eq!(kind(node.cluster.namespace("chat", node.hub.clone()).await), ErrorKind::Config);
    node.chat.emit("once").await.unwrap();
    node.chat.emit("end").await.unwrap();
    assert_eq!(until("end", &mut socket).await, ["once"]);
    assert_eq!(node.chat.count_sockets().await.unwrap().total(), 1);

    let other = Hub::new();
    let beside = node.cluster.namespace("/chat", other.clone()).await.expect("other sockets may be there, too");
    let mut there = other.connect().unwrap();
    node.chat.emit("both").await.unwrap();
    assert_eq!((next(&mut socket).await, next(&mut there).await), ("both".to_owned(), "both".to_owned()));
    drop(beside);
    drop(node.chat);
    let _ = node.cluster.namespace("/chat", node.hub.clone()).await.expect("they are not attached any more");
}

#[tokio::test]
async fn local_sockets_without_a_key_are_told_apart_by_their_place() {
    let node = Node::on(&Memory::new()).await;
    let cluster: Arc<dyn Adapter> = node.cluster.clone().into();
    let chat = Namespace::new("/chat").unwrap();
    let sockets: Arc<dyn LocalSockets> = Arc::new(Broken);
    cluster.attach(&chat, Arc::clone(&sockets)).unwrap();
    assert_eq!(kind(cluster.attach(&chat, sockets)), ErrorKind::Config);
    cluster.attach(&chat, Arc::new(Broken)).unwrap();
}

#[tokio::test]
async fn a_namespace_without_its_slash_is_the_same_as_with_it() {
    let memory = Memory::new();
    let node = Node::on(&memory).await;
    let mut socket = node.socket([]);
    node.cluster.of("chat").unwrap().emit("by a handle").await.unwrap();
    let emitter = Emitter::connect(memory).await.unwrap();
    emitter.of("chat").unwrap().emit("by an emitter").await.unwrap();
    assert_eq!(next(&mut socket).await, "by a handle");
    assert_eq!(next(&mut socket).await, "by an emitter");
    assert_eq!(node.cluster.of("chat").unwrap().name().as_str(), "/chat");
}

#[tokio::test]
async fn a_zero_timeout_leaves_no_time_for_answers_and_does_not_wait_for_room() {
    let node = Node::on(&Memory::new()).await;
    let zero = || node.chat.timeout(Duration::ZERO);
    assert_eq!(kind(zero().fetch_sockets().await), ErrorKind::Config);
    assert_eq!(kind(zero().emit_with_ack("x").await), ErrorKind::Config);
    assert_eq!(kind(zero().join_sockets("a").await), ErrorKind::Config);
    zero().emit("x").await.unwrap();
    let _ = node.chat.timeout(Duration::MAX).fetch_sockets().await.unwrap();
}

#[tokio::test]
async fn calls_after_close_say_closed() {
    let node = Node::on(&Memory::new()).await;
    let (first, second) = tokio::join!(node.cluster.close(), node.cluster.close());
    assert!(first.is_ok() && second.is_ok());
    node.cluster.close().await.unwrap();
    assert_eq!(kind(node.chat.emit("x").await), ErrorKind::Closed);
    assert_eq!(kind(node.chat.local().emit("x").await), ErrorKind::Closed);
    assert_eq!(kind(node.chat.fetch_sockets().await), ErrorKind::Closed);
    assert_eq!(kind(node.chat.emit_with_ack("x").await), ErrorKind::Closed);
    assert_eq!(kind(node.chat.server_side_emit("x", "").await), ErrorKind::Closed);
    assert_eq!(kind(node.cluster.flush(Duration::from_secs(1)).await), ErrorKind::Closed);
    assert_eq!(kind(node.cluster.namespace("/", node.hub.clone()).await), ErrorKind::Closed);
    assert_eq!(kind(node.chat.on_server_event(|_| std::future::ready(()))), ErrorKind::Closed);
}

#[tokio::test]
async fn one_socket_id_on_two_nodes_is_two_sockets_in_one_private_room() {
    let nodes = three().await;
    let id = roomcast_core::SocketId::new("same").unwrap();
    let mut first = nodes[0].hub.connect_as(id.clone()).unwrap();
    let mut second = nodes[1].hub.connect_as(id.clone()).unwrap();
    assert_eq!(kind(nodes[0].hub.connect_as(id.clone())), ErrorKind::Config);
    nodes[2].chat.to(&id).emit("both").await.unwrap();
    assert_eq!((next(&mut first).await, next(&mut second).await), ("both".to_owned(), "both".to_owned()));
}

#[tokio::test]
async fn g14_garbage_on_every_channel_is_counted_and_hurts_nobody() {
    let memory = Memory::new();
    let node = Node::on(&memory).await;
    let other = Node::on(&memory).await;
    let mut socket = node.socket([]);
    let stranger = memory.connect(stranger_inbox().await).await.unwrap();
    let cluster = roomcast_core::ClusterName::new("roomcast").unwrap();
    let channels = [
        roomcast_core::backend::Channel::cluster(&cluster),
        roomcast_core::backend::Channel::inbox(&cluster, node.cluster.node().id),
    ];
    let mut seed = 0x9e37_79b9_u64;
    for round in 0..2_000_usize {
        let mut bytes: Vec<u8> = (0..round % 97)
            .map(|_| {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (seed >> 56) as u8
            })
            .collect();
        if round % 2 == 0 {
            bytes.splice(..0, *b"RC\x01\x01");
        }
        for channel in &channels {
            stranger.publish(&[Outgoing::new(channel.clone(), bytes.clone().into())]).await.unwrap();
        }
    }
    other.chat.emit("still here").await.unwrap();
    assert_eq!(next(&mut socket).await, "still here");
    assert!(node.cluster.stats().malformed > 3_000);
    assert!(node.chat.count_sockets().await.unwrap().is_complete());
}

/// An inbox for a client that is no node: what connecting hands to a backend, caught.
pub(crate) async fn stranger_inbox() -> Inbox {
    struct Catch(tokio::sync::mpsc::UnboundedSender<Inbox>);
    #[roomcast_core::backend::async_trait]
    impl Connect for Catch {
        async fn connect(&self, inbox: Inbox) -> Result<Arc<dyn roomcast_core::backend::Backend>, Error> {
            self.0.send(inbox).unwrap();
            Err(Error::new(ErrorKind::Unavailable, "only the inbox was wanted"))
        }
    }
    let (sender, mut inbox) = tokio::sync::mpsc::unbounded_channel();
    assert_eq!(kind(Cluster::connect(Catch(sender)).await), ErrorKind::Unavailable);
    inbox.recv().await.unwrap()
}

/// Local sockets that panic whenever they are called.
struct Broken;

impl LocalSockets for Broken {
    fn broadcast(&self, _: &Target, _: &Packet) {
        panic!("broken")
    }
    fn broadcast_with_ack(&self, _: &Target, _: &Packet, _: Duration, _: Acks) {
        panic!("broken")
    }
    fn join(&self, _: &Target, _: &[Room]) {
        panic!("broken")
    }
    fn leave(&self, _: &Target, _: &[Room]) {
        panic!("broken")
    }
    fn disconnect(&self, _: &Target) {
        panic!("broken")
    }
    fn sockets(&self, _: &Target, _: Projection) -> Vec<LocalSocket> {
        panic!("broken")
    }
    fn rooms(&self, _: &Target) -> Vec<Room> {
        panic!("broken")
    }
}

#[tokio::test]
async fn local_sockets_that_panic_are_counted_and_stop_nobody() {
    let nodes = three().await;
    let _broken = nodes[1].cluster.namespace("/chat", Broken).await.unwrap();
    let mut there = nodes[1].socket(["room"]);
    nodes[0].chat.emit("one").await.unwrap();
    assert!(nodes[0].chat.within("room").join_sockets("other").await.unwrap().is_complete());
    assert_eq!(nodes[0].chat.within("other").count_sockets().await.unwrap().total(), 1);
    let acked = nodes[0].chat.to("nobody").emit_with_ack("?").await.unwrap().gather().await;
    assert!(acked.missing.is_empty());
    nodes[1].chat.emit("two").await.unwrap();
    assert_eq!((next(&mut there).await, next(&mut there).await), ("one".to_owned(), "two".to_owned()));
    eventually(|| nodes[1].cluster.stats().panics >= 5).await;
}

#[tokio::test]
async fn a_frame_for_a_namespace_that_is_not_here_is_nothing_to_do() {
    let nodes = three().await;
    let nowhere = nodes[0].cluster.of("/nowhere").unwrap();
    nowhere.emit("x").await.unwrap();
    assert!(nowhere.join_sockets("room").await.unwrap().is_complete());
    assert_eq!(nowhere.count_sockets().await.unwrap().total(), 0);
    assert!(nowhere.emit_with_ack("?").await.unwrap().gather().await.missing.is_empty());
}
