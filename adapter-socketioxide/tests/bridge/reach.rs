//! Who gets what, over several servers.

use crate::support::client::Client;
use crate::support::{cluster, received, server, servers};
use bytes::Bytes;
use roomcast_core::adapter::{Address, Target};
use roomcast_core::{Namespace, Packet};

const NONE: Vec<String> = Vec::new();

#[tokio::test]
async fn g01_a_broadcast_reaches_every_node_once() {
    let ([a, b, _], mut clients) = servers::<3>().await;
    a.emit("all", &1).await.expect("sent");
    b.to("nowhere").emit("nobody", &1).await.expect("sent");
    assert_eq!(received(&[&a.node, &b.node], &mut clients).await, [["all"]; 3]);
}

#[tokio::test]
async fn g01_a_socket_in_two_rooms_gets_one_copy_and_except_beats_rooms() {
    let ([a, b], mut clients) = servers::<2>().await;
    for (io, client) in [(&a, &clients[0]), (&b, &clients[1])] {
        io.get_socket(client.id).expect("here").join(["one", "two"]);
    }
    b.get_socket(clients[1].id).expect("here").join("muted");
    a.to(["one", "two"]).emit("both", &()).await.expect("sent");
    a.to("one").except("muted").emit("some", &()).await.expect("sent");
    a.to("one").local().emit("local", &()).await.expect("sent");
    assert_eq!(received(&[&a.node], &mut clients).await, [vec!["both", "some", "local"], vec!["both"]]);
}

#[tokio::test]
async fn g01_the_private_room_of_a_socket_works_from_anywhere() {
    let ([a, b], mut clients) = servers::<2>().await;
    let ids = [clients[0].id, clients[1].id];
    for io in [&a, &b] {
        io.to(ids[1]).emit("private", &()).await.expect("sent");
        io.except(ids[1]).emit("except", &()).await.expect("sent");
        io.to(ids[1]).to(ids[0]).emit("two", &()).await.expect("sent");
        io.except(ids[0]).except(ids[1]).emit("none", &()).await.expect("sent");
        assert_eq!(received(&[&io.node], &mut clients).await, [["except", "two"], ["private", "two"]]);
    }
    b.get_socket(ids[1]).expect("here").join("room");
    for io in [&a, &b] {
        io.to("room").to(ids[1]).emit("once", &()).await.expect("sent");
        io.to(ids[1]).except("room").emit("muted", &()).await.expect("sent");
        io.to("room").except(ids[1]).emit("left out", &()).await.expect("sent");
        assert_eq!(received(&[&io.node], &mut clients).await, [vec![], vec!["once"]]);
    }
    let rooms = b.get_socket(ids[1]).expect("here").rooms();
    assert_eq!(rooms, ["room"], "upstream's map never hears of private rooms");
}

#[tokio::test]
async fn g01_two_private_rooms_are_left_out_of_everyone() {
    let nodes = cluster(2).await;
    let (a, b) = (server(nodes[0].clone()).await, server(nodes[1].clone()).await);
    let mut clients = [Client::connect(&b).await, Client::connect(&b).await, Client::connect(&b).await];
    a.except(clients[0].id).except(clients[1].id).emit("third", &()).await.expect("sent");
    assert_eq!(received(&[&a.node], &mut clients).await, [vec![], vec![], vec!["third"]]);
}

#[tokio::test]
async fn a_socket_does_not_hear_itself() {
    let ([a, b], mut clients) = servers::<2>().await;
    let socket = a.get_socket(clients[0].id).expect("here");
    socket.join("room");
    b.get_socket(clients[1].id).expect("here").join("room");
    socket.to("room").emit("to", &()).await.expect("sent");
    socket.broadcast().emit("broadcast", &()).await.expect("sent");
    socket.within("room").emit("within", &()).await.expect("sent");
    socket.to(clients[1].id).emit("private", &()).await.expect("sent");
    socket.local().emit("myself", &()).await.expect("sent");
    let others = vec!["to", "broadcast", "within", "private"];
    assert_eq!(received(&[&a.node], &mut clients).await, [vec!["within", "myself"], others]);
}

#[tokio::test]
async fn g01_binary_arrives_byte_for_byte() {
    let ([a, _], mut clients) = servers::<2>().await;
    a.emit("file", &(Bytes::from_static(b"\0\xff"), "name", Bytes::new())).await.expect("sent");
    for client in &mut clients {
        let header = client.next().await;
        assert!(header.starts_with("52-[\"file\","), "{header}");
        assert_eq!([client.next().await, client.next().await], ["00ff", ""]);
    }
}

#[tokio::test]
async fn namespaces_do_not_mix_and_dynamic_ones_work() {
    let nodes = cluster(2).await;
    let (a, b) = (server(nodes[0].clone()).await, server(nodes[1].clone()).await);
    for io in [&a, &b] {
        io.dyn_ns("/rooms/{id}", async |_: roomcast_socketioxide::SocketRef| {}).expect("a fine path");
    }
    let mut here = Client::connect_to(&a, "/rooms/1").await;
    let mut there = [Client::connect_to(&b, "/rooms/1").await];
    let mut elsewhere = Client::connect(&b).await;
    a.of("/rooms/1").expect("open").emit("one", &()).await.expect("sent");
    assert_eq!(here.next().await, "2/rooms/1,[\"one\",null]");
    assert_eq!(there[0].next().await, "2/rooms/1,[\"one\",null]");
    a.emit("fence", &()).await.expect("sent");
    assert_eq!(elsewhere.until_fence().await, NONE);
}

#[tokio::test]
async fn g20_events_of_emitters_are_delivered_and_nonsense_is_counted() {
    let nodes = cluster(2).await;
    let state = roomcast_socketioxide::State::new(nodes[1].clone());
    let builder = socketioxide::SocketIo::builder();
    let (_layer, io) = builder.with_adapter::<roomcast_socketioxide::Adapter<_>>(state.clone()).build_layer();
    io.ns("/", async |_: roomcast_socketioxide::SocketRef| {}).await.expect("attached");
    let mut clients = [Client::connect(&io).await];

    let everyone = || Address::new(Namespace::new("/").expect("valid"), Target::everyone());
    let mut nonsense = Packet::event("news", 1).expect("json");
    nonsense.data = Bytes::from_static(b"[1]");
    for packet in [Packet::event("news", 1).expect("json"), nonsense, Packet::opaque("?"), Packet::opaque("")] {
        nodes[0].broadcast(everyone(), packet, std::time::Duration::from_secs(1)).await.expect("sent");
    }
    assert_eq!(received(&[&nodes[0]], &mut clients).await, [["news"]]);
    assert_eq!(state.refused(), 3);
}
