//! A server of socketioxide and a Hub on another node, in one namespace.

use crate::support::client::Client;
use crate::support::{Server, server};
use futures_util::StreamExt;
use roomcast_core::{
    AckHandle, Bytes, Cluster, Delivery, EventData, Hub, Memory, NamespaceHandle, Packet, PacketFormat,
};
use serde_json::json;

/// Both of them, each with one socket.
struct Pair {
    io: Server,
    client: Client,
    chat: NamespaceHandle,
    socket: roomcast_core::Socket,
}

async fn pair() -> Pair {
    let memory = Memory::new();
    let node = async || Cluster::connect(memory.clone()).await.expect("connected");
    let io = server(node().await.into()).await;
    let hub = Hub::new();
    let chat = node().await.namespace("/", hub.clone()).await.expect("attached");
    Pair { client: Client::connect(&io).await, io, socket: hub.connect().expect("connected"), chat }
}

async fn next(socket: &mut roomcast_core::Socket) -> Delivery {
    let delivery = tokio::time::timeout(std::time::Duration::from_secs(5), socket.next()).await;
    delivery.expect("a packet in time").expect("connected")
}

#[tokio::test]
async fn g01_what_socketioxide_emits_is_an_event_of_json_at_a_hub() {
    let Pair { io, mut socket, client: _client, chat: _chat } = pair().await;
    io.emit("news", &("open", 9)).await.expect("sent");
    io.emit("file", &(Bytes::from_static(b"\0\xff"), "cat")).await.expect("sent");
    let news = next(&mut socket).await.packet;
    assert_eq!((news.format, &news.data[..]), (PacketFormat::Event, &br#"["news","open",9]"#[..]));
    let file = next(&mut socket).await.packet;
    let json = r#"["file",{"_placeholder":true,"num":0},"cat"]"#.into();
    let expected = EventData { json, attachments: vec![Bytes::from_static(b"\0\xff")] };
    assert_eq!((file.format, file.event_data()), (PacketFormat::BinaryEvent, Some(expected)));
}

#[tokio::test]
async fn g01_what_a_node_with_a_hub_emits_reaches_socketioxide_if_it_is_an_event() {
    let Pair { mut client, chat, io: _io, .. } = pair().await;
    chat.emit("opaque").await.expect("sent");
    chat.emit(Packet::event("news", "open").expect("JSON")).await.expect("sent");
    chat.emit(Packet::event("file", Bytes::from_static(b"\xff")).expect("JSON")).await.expect("sent");
    assert_eq!(client.next().await, r#"2["news","open"]"#);
    assert_eq!(client.next().await, r#"51-["file",{"_placeholder":true,"num":0}]"#);
    assert_eq!(client.next().await, "ff");
}

#[tokio::test]
async fn g03_rooms_are_shared() {
    let Pair { io, mut client, chat, mut socket } = pair().await;
    assert!(chat.join_sockets("from the hub").await.expect("joined").is_complete());
    io.broadcast().join("from socketioxide").await.expect("joined");
    let mut rooms = io.broadcast().rooms().await.expect("rooms");
    rooms.sort();
    assert_eq!(rooms, ["from socketioxide", "from the hub"]);
    for room in ["from the hub", "from socketioxide"] {
        io.to(room).emit("news", &1).await.expect("sent");
        assert_eq!(client.next().await, r#"2["news",1]"#);
        assert_eq!(next(&mut socket).await.packet.data, r#"["news",1]"#);
    }
    io.to(socket.id().to_string()).emit("private", &()).await.expect("sent");
    assert_eq!(next(&mut socket).await.packet.data, r#"["private",null]"#);

    let found = chat.fetch_sockets().await.expect("answered").items;
    assert_eq!(found.len(), 2, "the cluster's own question finds both");
    let found = io.fetch_sockets().await.expect("answered");
    assert_eq!(found.len(), 1, "socketioxide's describes its own kind alone");
    io.disconnect().await.expect("disconnected");
    assert!(socket.next().await.is_none());
}

#[tokio::test]
async fn g04_answers_that_are_json_arrays_are_read_on_both_sides() {
    let Pair { io, mut client, chat, mut socket } = pair().await;
    let reply = |ack: Option<AckHandle>| ack.expect("a question").send(r#"["from the hub"]"#);
    let question = Packet::event("question", 1).expect("JSON");
    let answers = chat.emit_with_ack(question).await.expect("sent");
    reply(next(&mut socket).await.ack);
    client.answer(r#"["from socketioxide"]"#).await;
    let acks = answers.gather().await.acks;
    let mut answers: Vec<_> = acks.into_iter().map(|ack| ack.answer.expect("answered")).collect();
    answers.sort();
    assert_eq!(answers, [r#"["from socketioxide"]"#, r#"["from the hub"]"#]);

    let answers = io.emit_with_ack::<_, serde_json::Value>("question", &1).await.expect("sent");
    reply(next(&mut socket).await.ack);
    client.answer(r#"["from socketioxide"]"#).await;
    let answers: Vec<_> = answers.collect().await;
    let of =
        |id: &str| answers.iter().find(|(socket, _)| socket.as_str() == id).map(|(_, answer)| answer.as_ref().ok());
    assert_eq!(of(socket.id().as_str()), Some(Some(&json!("from the hub"))));
    assert_eq!(of(client.id.as_str()), Some(Some(&json!("from socketioxide"))));
}
