use std::time::Duration;

use roomcast_core::{AckError, Cluster, MissingReason, Socket};

use crate::support::{Node, eventually, narrow, three};

/// Answers everything with the socket's name.
fn answering(mut socket: Socket, name: &'static str) -> tokio::task::JoinHandle<()> {
    tokio::spawn(async move {
        while let Some(delivery) = socket.next().await {
            if let Some(ack) = delivery.ack {
                ack.send(name);
            }
        }
    })
}

#[tokio::test]
async fn g04_every_socket_of_every_node_answers_once() {
    let nodes = three().await;
    for (node, names) in nodes.iter().zip([["a", "b"], ["c", "d"], ["e", "f"]]) {
        drop(names.map(|name| answering(node.socket(["room"]), name))); // they run on, detached
    }
    let acked = nodes[1].chat.to("room").emit_with_ack("?").await.unwrap().gather().await;
    assert!(acked.missing.is_empty());
    let mut answers: Vec<_> = acked.acks.into_iter().map(|ack| ack.answer.unwrap()).collect();
    answers.sort();
    assert_eq!(answers, ["a", "b", "c", "d", "e", "f"]);
    assert_eq!(nodes[1].cluster.stats().open_requests, 0);
    for node in &nodes {
        eventually(|| node.hub.stats().acks_pending == 0).await;
    }
}

#[tokio::test]
async fn g04_a_mute_socket_is_named_and_the_callers_timeout_travels() {
    let nodes = three().await;
    let mute = nodes[2].socket(["room"]);
    answering(nodes[0].socket(["room"]), "here");
    let stream = nodes[0].chat.to("room").timeout(Duration::from_secs(2)).emit_with_ack("?").await.unwrap();
    let acked = stream.gather().await;
    assert!(acked.missing.is_empty(), "its node has answered");
    let silent: Vec<_> = acked.acks.iter().filter(|ack| ack.answer.is_err()).collect();
    assert_eq!(silent.len(), 1);
    assert_eq!((&silent[0].socket, &silent[0].answer), (mute.id(), &Err(AckError::Timeout)));
    // The other node has given up by itself, too.
    eventually(|| nodes[2].hub.stats().acks_pending == 0).await;
}

#[tokio::test]
async fn g04_a_socket_that_goes_is_not_waited_for() {
    let nodes = three().await;
    let socket = nodes[2].socket(["room"]);
    let stream = nodes[0].chat.to("room").timeout(Duration::from_secs(60)).emit_with_ack("?").await.unwrap();
    let gather = tokio::spawn(stream.gather());
    eventually(|| nodes[2].hub.stats().acks_pending == 1).await;
    drop(socket);
    let acked = gather.await.unwrap();
    assert_eq!(acked.acks.len(), 1);
    assert_eq!(acked.acks[0].answer, Err(AckError::Gone));
}

#[tokio::test]
async fn g04_the_stream_says_who_is_still_expected_and_names_a_node_that_dies() {
    let [one, two, three] = three().await;
    let mute = three.socket(["room"]);
    answering(two.socket(["room"]), "two");
    let mut stream = one.chat.to("room").timeout(Duration::from_secs(60)).emit_with_ack("?").await.unwrap();
    let first = std::future::poll_fn(|cx| futures_core::Stream::poll_next(std::pin::Pin::new(&mut stream), cx)).await;
    assert_eq!(first.unwrap().answer.unwrap(), "two");
    let dead = three.cluster.node().id;
    eventually(|| stream.expected() == [(dead, mute.id().clone())]).await;
    drop((three.chat, three.cluster));
    let acked = stream.gather().await;
    assert_eq!((acked.acks.len(), &acked.acks[0].answer), (1, &Err(AckError::Gone)));
    assert_eq!((acked.missing[0].node, acked.missing[0].reason), (dead, MissingReason::Died));
}

#[tokio::test]
async fn g04_nobody_to_ask_is_the_end_at_once() {
    let nodes = three().await;
    let acked = nodes[0].chat.to("empty room").emit_with_ack("?").await.unwrap().gather().await;
    assert!(acked.acks.is_empty() && acked.missing.is_empty());
}

#[tokio::test]
async fn g04_a_dropped_stream_leaves_nothing() {
    let nodes = three().await;
    let _mute = nodes[2].socket(["room"]);
    let stream = nodes[0].chat.to("room").emit_with_ack("?").await.unwrap();
    assert_eq!(nodes[0].cluster.stats().open_requests, 1);
    drop(stream);
    assert_eq!(nodes[0].cluster.stats().open_requests, 0);
}

#[tokio::test]
async fn g04_answers_that_together_are_larger_than_a_message_all_arrive() {
    let memory = narrow(1024);
    let builder = || Cluster::builder().max_message(4096);
    let nodes = [Node::with(builder(), &memory).await, Node::with(builder(), &memory).await];
    eventually(|| nodes[0].cluster.nodes().len() == 2).await;
    let mut sockets: Vec<_> = (0..100).map(|_| nodes[1].socket(["room"])).collect();
    let stream = nodes[0].chat.to("room").emit_with_ack("?").await.unwrap();
    let mut acks = Vec::new();
    for socket in &mut sockets {
        acks.extend(socket.next().await.unwrap().ack);
    }
    for ack in acks {
        ack.send(vec![b'x'; 1000]); // nothing is sent in between: they travel together
    }
    let acked = stream.gather().await;
    assert!(acked.missing.is_empty());
    assert_eq!(acked.acks.iter().filter(|ack| ack.answer.as_ref().is_ok_and(|data| data.len() == 1000)).count(), 100);
}
