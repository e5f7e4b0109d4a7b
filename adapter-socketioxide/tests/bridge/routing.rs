//! What leaves a node, when it comes and goes, and what happens in trouble.

use std::convert::Infallible;
use std::sync::Arc;

use crate::support::bus::Bus;
use crate::support::client::Client;
use crate::support::msgpack::Msgpack;
use crate::support::server;
use roomcast_core::ErrorKind;
use roomcast_core::adapter::Adapter as _;
use roomcast_core::adapter::Target;
use roomcast_socketioxide::{Adapter, SocketRef};
use socketioxide::adapter::Emitter;
use socketioxide::extract::AckSender;
use socketioxide::handler::ConnectHandler;
use socketioxide::{BroadcastError, SocketError};
use socketioxide_core::adapter::{BroadcastOptions, CoreAdapter, RemoteSocketData};
use socketioxide_core::parser::Parse;
use socketioxide_core::{Sid, Uid, packet};
use socketioxide_parser_msgpack::MsgPackParser;

#[tokio::test]
async fn what_is_local_does_not_leave_the_node() {
    let bus = Bus::new();
    let io = server(bus.node()).await;
    let client = Client::connect(&io).await;
    let socket = io.get_socket(client.id).expect("here");
    io.local().emit("a", &()).await.expect("sent");
    socket.local().join("x").await.expect("joined");
    socket.within(Vec::<String>::new()).emit("a", &()).await.expect("sent");
    let own = io.fetch_sockets().await.expect("found").remove(0);
    assert_eq!(bus.sent().len(), 1, "fetch_sockets alone asked the others");
    own.emit("a", &()).await.expect("sent");
    own.join("y").await.expect("joined");
    assert!(bus.sent().is_empty());
}

/// socketioxide's test sockets do not read the slot that volatile packets go through, so only the flag is seen here.
#[tokio::test]
async fn volatile_packets_stay_volatile() {
    let bus = Bus::new();
    let io = server(bus.node()).await;
    io.volatile().emit("position", &1).await.expect("sent");
    io.to("room").emit("news", &1).await.expect("sent");
    let volatile: Vec<_> = bus.sent().iter().map(|to| to.target.flags.is_volatile()).collect();
    assert_eq!(volatile, [true, false]);
}

#[tokio::test]
async fn a_remote_socket_is_reached_at_its_node_and_its_death_is_told_at_once() {
    let bus = Bus::new();
    let (near, far) = (bus.node(), bus.node());
    let (a, b) = (server(near).await, server(Arc::clone(&far) as _).await);
    let client = Client::connect(&b).await;
    let remote = a.fetch_sockets().await.expect("found").remove(0);
    bus.sent();
    remote.emit("a", &()).await.expect("sent");
    let sent = bus.sent().remove(0);
    assert_eq!(sent.target.node, Some(far.node().id));
    assert_eq!(sent.target.rooms, Target::rooms([roomcast_core::Room::new(client.id.as_str()).expect("valid")]).rooms);

    bus.kill(far.node().id);
    let gone = remote.emit("a", &()).await.expect_err("gone");
    assert!(format!("{gone:?}").contains(&format!("{:?}", SocketError::Closed)), "{gone:?}");
    assert!(remote.rooms().await.expect("none").is_empty());
    remote.join("x").await.expect("nobody");
    let answer = remote.emit_with_ack::<_, String>("a", &()).await.expect("asked").await;
    assert!(matches!(answer, Err(socketioxide::AckError::Socket(SocketError::Closed))), "{answer:?}");
    assert!(bus.sent().is_empty());
}

#[tokio::test]
async fn a_remote_socket_whose_node_is_not_known_is_looked_for_everywhere() {
    let bus = Bus::new();
    let (near, far) = (bus.node() as Arc<dyn roomcast_core::adapter::Adapter>, bus.node());
    let (a, b) = (Msgpack::new(&near.into(), ()), server(far).await);
    let mut client = Client::connect(&b).await;
    let remote = RemoteSocketData { id: client.id, server_id: Uid::new(), ns: "/".into() };
    a.adapter.add_sockets(BroadcastOptions::new_remote(&remote), "room").await.expect("joined");
    let event = MsgPackParser.encode_value(&1, Some("hello")).expect("encodes");
    let event = packet::Packet::event("/", event);
    a.adapter.broadcast(event, BroadcastOptions::new_remote(&remote)).await.expect("sent");
    assert_eq!(client.next().await, r#"2["hello",1]"#);
    assert_eq!(b.within("room").sockets().len(), 1);
    assert!(bus.sent().iter().all(|to| to.target.node.is_none()));
}

#[tokio::test]
async fn a_socket_that_is_gone_joins_nothing() {
    let bus = Bus::new();
    let here = Msgpack::new(&(bus.node() as Arc<dyn roomcast_core::adapter::Adapter>).into(), ());
    let local = here.adapter.get_local();
    let members = |room: &'static str| {
        let mut options = BroadcastOptions::default();
        options.rooms.extend([room.into()]);
        local.sockets(options)
    };
    for (id, expected) in [(Sid::new(), vec![]), (here.id, vec![here.id])] {
        let own = RemoteSocketData { id, server_id: local.server_id(), ns: "/".into() };
        here.adapter.add_sockets(BroadcastOptions::new_remote(&own), "room").await.expect("joined");
        here.adapter.add_sockets(BroadcastOptions::new(id), "room").await.expect("joined");
        assert_eq!(members("room"), expected);
    }
}

#[tokio::test]
async fn g06_local_sockets_are_served_with_the_broker_down_and_the_caller_is_told() {
    let bus = Bus::new();
    let io = server(bus.node()).await;
    let mut client = Client::connect(&io).await;
    bus.take_down();
    let error = io.emit("news", &()).await.expect_err("told");
    assert!(matches!(&error, BroadcastError::Adapter(cause) if cause.to_string().contains("were served")), "{error:?}");
    assert!(client.next().await.starts_with("2[\"news\""));
    let error = io.broadcast().join("room").await.expect_err("told");
    assert_eq!((error.kind(), error.served_locally()), (ErrorKind::Unavailable, true));
    assert_eq!(io.within("room").sockets().len(), 1);
}

#[tokio::test]
async fn a_question_that_fails_has_served_nobody() {
    let bus = Bus::new();
    let io = server(bus.node()).await;
    let _client = Client::connect(&io).await;
    bus.take_down();
    for error in
        [io.fetch_sockets().await.map(|_| ()).expect_err("told"), io.rooms().await.map(|_| ()).expect_err("told")]
    {
        assert_eq!((error.kind(), error.served_locally()), (ErrorKind::Unavailable, false));
        assert!(!format!("{error} {error:?}").contains("served"), "{error}");
    }
}

#[tokio::test]
async fn g04_a_silent_node_does_not_spoil_the_others_answers() {
    let bus = Bus::new();
    let (near, far) = (bus.node(), bus.node());
    let (a, _b) = (server(near).await, server(Arc::clone(&far) as _).await);
    let client = Client::connect(&a).await;
    bus.silence(far.node().id);
    let found = a.fetch_sockets().await.expect("what came");
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].data().id, client.id);
}

/// As the documentation has it, however late the connect handler runs.
#[tokio::test]
async fn a_listener_set_in_a_middleware_hears_the_first_event() {
    async fn listen(socket: SocketRef) -> Result<(), Infallible> {
        socket.on("say", async |ack: AckSender<Adapter<Emitter>>| ack.send("heard").expect("connected"));
        Ok(())
    }
    let io = server(Bus::new().node()).await;
    io.ns("/early", std::future::pending.with(listen)).await.expect("attached");
    let mut client = Client::connect_to(&io, "/early").await;
    client.send(r#"2/early,0["say"]"#).await;
    assert_eq!(client.next().await, r#"3/early,0["heard"]"#);
}

#[tokio::test]
async fn a_namespace_leaves_the_cluster_when_it_is_deleted_closed_or_dropped() {
    let bus = Bus::new();
    let node = bus.node();
    let io = server(Arc::clone(&node) as _).await;
    io.ns("/chat", async |_: SocketRef| {}).await.expect("attached");
    assert_eq!(node.attached(), 2);
    io.delete_ns("/chat");
    assert_eq!(node.attached(), 1);
    io.close().await;
    assert_eq!(node.attached(), 0);

    let io = server(Arc::clone(&node) as _).await;
    assert_eq!(node.attached(), 1);
    drop(io);
    assert_eq!(node.attached(), 0, "nothing holds the namespace but the server");
}

#[tokio::test]
async fn a_namespace_that_the_cluster_refuses_serves_its_own_clients_and_says_so() {
    let bus = Bus::new();
    let io = server(bus.node()).await;
    let long = format!("/{}", "x".repeat(roomcast_core::MAX_NAME));
    let refused = io.ns(long.clone(), async |_: SocketRef| {}).await.expect_err("too long");
    assert_eq!(refused.kind(), ErrorKind::Config);
    let error = io.of(long).expect("open").join("x").await.expect_err("told");
    assert_eq!(error.kind(), ErrorKind::Config);
}
