//! Questions to all servers, and changes of sockets anywhere.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::support::client::Client;
use crate::support::{cluster, received, server, servers};
use futures_util::StreamExt;
use socketioxide::AckError;

#[tokio::test]
async fn g03_sockets_of_any_node_join_leave_and_disconnect() {
    let ([a, b], mut clients) = servers::<2>().await;
    a.broadcast().join(["x", "y"]).await.expect("joined");
    a.to(clients[1].id).leave("y").await.expect("left");
    let mut rooms = b.within("x").rooms().await.expect("rooms");
    rooms.sort();
    assert_eq!(rooms, ["x", "y"]);
    b.to("y").emit("y", &()).await.expect("sent");
    assert_eq!(received(&[&b.node], &mut clients).await, [vec!["y"], vec![]]);

    a.to(clients[1].id).disconnect().await.expect("disconnected");
    assert_eq!(clients[1].next().await, "1");
    assert!(b.get_socket(clients[1].id).is_none());
}

#[tokio::test]
async fn nobody_joins_no_room() {
    let ([a, b], clients) = servers::<2>().await;
    let stranger = socketioxide::socket::Sid::new();
    a.to(stranger).join("x").await.expect("nobody");
    a.within("nowhere").join("x").await.expect("nobody");
    a.to(clients[1].id).join("y").await.expect("joined");
    assert_eq!(b.rooms().await.expect("rooms"), ["y"]);
    assert!(a.within("x").sockets().is_empty() && b.within("x").sockets().is_empty());
}

#[tokio::test]
async fn remote_sockets_are_found_and_obey() {
    let ([a, _], mut clients) = servers::<2>().await;
    let found = a.fetch_sockets().await.expect("found");
    let mut ids: Vec<_> = found.iter().map(|socket| socket.data().id).collect();
    ids.sort();
    let mut expected = [clients[0].id, clients[1].id];
    expected.sort();
    assert_eq!(ids, expected);
    assert_eq!(a.to(clients[1].id).fetch_sockets().await.expect("found").len(), 1);

    let other = found.into_iter().find(|socket| socket.data().id == clients[1].id).expect("found");
    other.join(["x", "y"]).await.expect("joined");
    other.leave("y").await.expect("left");
    assert_eq!(other.rooms().await.expect("rooms"), ["x"]);
    other.emit("hello", &()).await.expect("sent");
    assert_eq!(received(&[&a.node], &mut clients).await, [vec![], vec!["hello"]]);
    let answer = other.emit_with_ack::<_, String>("question", &()).await.expect("sent");
    clients[1].answer(r#"["fine"]"#).await;
    assert_eq!(answer.await.expect("answered"), "fine");
    other.disconnect().await.expect("disconnected");
    assert_eq!(clients[1].next().await, "1");
}

#[tokio::test]
async fn g04_every_socket_answers_once_or_is_told_as_a_failure() {
    let nodes = cluster(2).await;
    let (a, b) = (server(nodes[0].clone()).await, server(nodes[1].clone()).await);
    let mut here = Client::connect(&a).await;
    let mut there = Client::connect(&b).await;
    let mute = Client::connect(&b).await;
    let question = a.broadcast().timeout(Duration::from_secs(2)).emit_with_ack::<_, String>("question", &1);
    let answers = question.await.expect("sent");
    here.answer(r#"["here"]"#).await;
    there.answer(r#"["there"]"#).await;
    let answers: BTreeMap<_, _> = answers.collect().await;
    assert_eq!(answers.len(), 3);
    assert_eq!(answers[&here.id].as_ref().expect("answered"), "here");
    assert_eq!(answers[&there.id].as_ref().expect("answered"), "there");
    assert!(matches!(answers[&mute.id], Err(AckError::Timeout)));
}

#[tokio::test]
async fn an_answer_to_a_private_room_and_a_room_comes_once() {
    let ([a, b], mut clients) = servers::<2>().await;
    b.get_socket(clients[1].id).expect("here").join("room");
    let question = a.to("room").to(clients[1].id).emit_with_ack::<_, String>("question", &1);
    let answers = question.await.expect("sent");
    clients[1].answer(r#"["once"]"#).await;
    let answers: Vec<_> = answers.collect().await;
    assert_eq!(answers.len(), 1);
    assert_eq!(answers[0].0, clients[1].id);
}
