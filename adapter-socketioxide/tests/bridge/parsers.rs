//! Two parsers in one namespace.

use std::time::Duration;

use crate::support::client::Client;
use crate::support::msgpack::Msgpack;
use crate::support::{cluster, cluster_on, received, server};
use bytes::Bytes;
use futures_util::StreamExt;
use roomcast_core::adapter::{Address, Target};
use roomcast_core::{Emitter, Memory, Namespace, Packet};
use roomcast_socketioxide::{AckStream, State};
use serde_json::json;
use socketioxide::AckError;
use socketioxide_core::adapter::{BroadcastFlags, BroadcastOptions, CoreAdapter};
use socketioxide_core::parser::Parse;
use socketioxide_core::{Value, packet};
use socketioxide_parser_msgpack::MsgPackParser;

fn everyone() -> BroadcastOptions {
    let mut options = BroadcastOptions::default();
    options.add_flag(BroadcastFlags::Broadcast);
    options
}

fn event(data: impl serde::Serialize) -> packet::Packet {
    packet::Packet::event("/", MsgPackParser.encode_value(&data, Some("news")).expect("encodes"))
}

fn msgpack(event: impl serde::Serialize) -> Bytes {
    rmp_serde::to_vec_named(&event).expect("encodes").into()
}

#[tokio::test]
async fn text_and_binary_reach_msgpack() {
    let nodes = cluster(2).await;
    let state = State::from(nodes[1].clone());
    let (io, mut other) = (server(nodes[0].clone()).await, Msgpack::new(&state, "fine"));
    io.emit("news", &json!({ "a": [1, -2.5, null] })).await.expect("sent");
    io.emit("file", &Bytes::from_static(b"\xff")).await.expect("sent");
    io.to(other.id).emit("private", &()).await.expect("sent");
    let expected = [
        msgpack(("news", json!({ "a": [1, -2.5, null] }))),
        msgpack(("file", Bytes::from_static(b"\xff"))),
        msgpack(("private", ())),
    ];
    assert_eq!(other.events(3).await, expected);
    assert_eq!(state.refused(), 0);
}

#[tokio::test]
async fn msgpack_reaches_text_and_binary_is_refused() {
    let nodes = cluster(2).await;
    let (io, other) = (server(nodes[0].clone()).await, Msgpack::new(&nodes[1].clone().into(), "fine"));
    let mut clients = [Client::connect(&io).await];
    other.adapter.broadcast(event(Bytes::from_static(b"\xff")), everyone()).await.expect("sent");
    other.adapter.broadcast(event(json!({ "a": 1 })), everyone()).await.expect("sent");
    assert_eq!(clients[0].next().await, r#"2["news",{"a":1}]"#);
    assert_eq!(received(&[&nodes[1]], &mut clients).await, [Vec::<String>::new()]);
}

#[tokio::test]
async fn g20_events_of_emitters_reach_msgpack() {
    let nodes = cluster(2).await;
    let mut other = Msgpack::new(&nodes[1].clone().into(), "fine");
    let to = Address::new(Namespace::new("/").expect("valid"), Target::everyone());
    let packet = Packet::event("news", [1, 2]).expect("json");
    nodes[0].broadcast(to, packet, Duration::from_secs(1)).await.expect("sent");
    assert_eq!(other.received(1).await, [json!(["news", [1, 2]])]);
}

#[tokio::test]
async fn g20_binary_of_an_emitter_reaches_both_parsers() {
    let memory = Memory::new();
    let nodes = cluster_on(&memory, 2).await;
    let (io, mut other) = (server(nodes[0].clone()).await, Msgpack::new(&nodes[1].clone().into(), "fine"));
    let mut client = Client::connect(&io).await;
    let emitter = Emitter::connect(memory).await.expect("connected");
    let file = Packet::event("file", ("cat", Bytes::from_static(b"\0\xff"))).expect("JSON");
    emitter.of("/").expect("valid").emit(file).await.expect("sent");
    assert_eq!(client.next().await, r#"51-["file",["cat",{"_placeholder":true,"num":0}]]"#);
    assert_eq!(client.next().await, "00ff");
    assert_eq!(other.events(1).await, [msgpack(("file", ("cat", Bytes::from_static(b"\0\xff"))))]);
}

#[tokio::test]
async fn answers_are_translated_and_binary_ones_are_told_as_failures() {
    let nodes = cluster(3).await;
    let io = server(nodes[0].clone()).await;
    let fine = Msgpack::new(&nodes[1].clone().into(), "fine");
    let binary = Msgpack::new(&nodes[2].clone().into(), Bytes::from_static(b"\xff"));
    check(&fine, &binary, io.emit_with_ack("question", &1).await.expect("sent")).await;
    check(&fine, &binary, io.emit_with_ack("question", &Bytes::from_static(b"\xff")).await.expect("sent")).await;
}

async fn check(fine: &Msgpack, binary: &Msgpack, answers: AckStream<String>) {
    let answers: Vec<_> = answers.collect().await;
    assert_eq!(answers.len(), 2);
    for (socket, answer) in answers {
        match socket {
            id if id == fine.id => assert_eq!(answer.expect("answered"), "fine"),
            id if id == binary.id => assert!(matches!(answer, Err(AckError::Decode(_)))),
            other => panic!("{other} was not asked"),
        }
    }
}

#[tokio::test]
async fn an_answer_of_text_is_read_by_msgpack() {
    let nodes = cluster(2).await;
    let (io, other) = (server(nodes[0].clone()).await, Msgpack::new(&nodes[1].clone().into(), "fine"));
    let mut client = Client::connect(&io).await;
    let answers = other.adapter.broadcast_with_ack(event(1), everyone(), None).await.expect("sent");
    client.answer(r#"["here"]"#).await;
    let answers: Vec<_> = answers.collect().await;
    let of_text = answers.into_iter().find(|(id, _)| *id == client.id).expect("answered").1;
    let Value::Bytes(bytes) = of_text.expect("answered") else { panic!("text for msgpack") };
    assert_eq!(rmp_serde::from_slice::<Vec<String>>(&bytes).expect("msgpack"), ["here"]);
}
