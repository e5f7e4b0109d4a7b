//! Two parsers in one namespace.

mod support;

use std::time::Duration;

use adapter_core::adapter::{Address, Target};
use adapter_core::{Namespace, Packet};
use adapter_socketioxide::State;
use bytes::Bytes;
use futures_util::StreamExt;
use serde_json::json;
use socketioxide::AckError;
use socketioxide_core::adapter::{BroadcastFlags, BroadcastOptions, CoreAdapter};
use socketioxide_core::parser::Parse;
use socketioxide_core::{Value, packet};
use socketioxide_parser_msgpack::MsgPackParser;
use support::client::Client;
use support::msgpack::Msgpack;
use support::{cluster, received, server};

fn everyone() -> BroadcastOptions {
    let mut options = BroadcastOptions::default();
    options.add_flag(BroadcastFlags::Broadcast);
    options
}

fn event(data: impl serde::Serialize) -> packet::Packet {
    packet::Packet::event("/", MsgPackParser.encode_value(&data, Some("news")).expect("encodes"))
}

#[tokio::test]
async fn text_reaches_msgpack_and_binary_is_refused() {
    let nodes = cluster(2).await;
    let state = State::from(nodes[1].clone());
    let (io, mut other) = (server(nodes[0].clone()).await, Msgpack::new(&state, "fine"));
    io.emit("news", &json!({ "a": [1, -2.5, null] })).await.expect("sent");
    io.emit("file", &Bytes::from_static(b"\xff")).await.expect("sent");
    io.to(other.id).emit("private", &()).await.expect("sent");
    assert_eq!(other.received(2).await, [json!(["news", { "a": [1, -2.5, null] }]), json!(["private", null])]);
    assert_eq!(state.refused(), 1);
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
async fn answers_are_translated_and_binary_ones_are_told_as_failures() {
    let nodes = cluster(3).await;
    let io = server(nodes[0].clone()).await;
    let fine = Msgpack::new(&nodes[1].clone().into(), "fine");
    let binary = Msgpack::new(&nodes[2].clone().into(), Bytes::from_static(b"\xff"));
    let answers = io.emit_with_ack::<_, String>("question", &1).await.expect("sent");
    let answers: Vec<_> = answers.collect().await;
    assert_eq!(answers.len(), 2);
    for (socket, answer) in answers {
        match socket {
            id if id == fine.id => assert_eq!(answer.expect("answered"), "fine"),
            id if id == binary.id => assert!(matches!(answer, Err(AckError::Decode(_)))),
            other => panic!("{other} was not asked"),
        }
    }

    let question = io.emit_with_ack::<_, String>("question", &Bytes::from_static(b"\xff")).await.expect("sent");
    let answers: Vec<_> = question.collect().await;
    assert!(answers.iter().all(|(_, answer)| matches!(answer, Err(AckError::Decode(_)))) && answers.len() == 2);
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
