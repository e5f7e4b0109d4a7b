//! Questions to every socket.

use std::time::Duration;

use roomcast_core::{AckError, MissingReason, Socket};

use super::requests::who;
use crate::failure::{Failure, Verdict};
use crate::node::{eventually, soon};
use crate::scene::Scene;

cases! {"requests":
    Nothing g04_every_socket_of_every_node_answers_once,
    Nothing g04_a_mute_socket_is_named_and_the_callers_timeout_travels,
    Nothing g04_a_socket_that_goes_is_not_waited_for,
    Nothing g04_the_stream_says_who_is_expected_and_names_a_node_that_dies,
    Nothing g04_nobody_to_ask_is_the_end_at_once,
    Nothing g04_a_dropped_stream_leaves_nothing,
}

/// Answers everything with the socket's name, for as long as the case's runtime lives.
fn answering(mut socket: Socket, name: &'static str) {
    tokio::spawn(async move {
        while let Some(delivery) = socket.next().await {
            if let Some(ack) = delivery.ack {
                ack.send(name);
            }
        }
    });
}

async fn g04_every_socket_of_every_node_answers_once(scene: &Scene) -> Verdict {
    let nodes = scene.nodes::<3>().await?;
    for (node, names) in nodes.iter().zip([["a", "b"], ["c", "d"], ["e", "f"]]) {
        for name in names {
            answering(node.socket(["room"])?, name);
        }
    }
    for from in &nodes {
        let stream = from.chat.to("room").emit_with_ack("?").await?;
        let acked = soon("the answers", stream.gather()).await?;
        check_eq!(acked.missing, []);
        let answers: Result<Vec<_>, _> = acked.acks.into_iter().map(|ack| ack.answer).collect();
        let mut answers = answers.map_err(|error| Failure::new(format!("a socket's answer is {error:?}")))?;
        answers.sort();
        check_eq!(answers, ["a", "b", "c", "d", "e", "f"]);
        check_eq!(from.cluster.stats().open_requests, 0);
    }
    for node in &nodes {
        eventually("no answer is awaited", || node.hub.stats().acks_pending == 0).await?;
    }
    Ok(())
}

async fn g04_a_mute_socket_is_named_and_the_callers_timeout_travels(scene: &Scene) -> Verdict {
    let nodes = scene.nodes::<3>().await?;
    let mute = nodes[2].socket(["room"])?;
    answering(nodes[0].socket(["room"])?, "here");
    let stream = nodes[0].chat.to("room").timeout(Duration::from_secs(2)).emit_with_ack("?").await?;
    let acked = soon("the end of the answers", stream.gather()).await?;
    check_eq!(acked.missing, [], "its node has answered");
    let silent: Vec<_> = acked.acks.iter().filter(|ack| ack.answer.is_err()).collect();
    check_eq!(
        silent.iter().map(|ack| (&ack.socket, &ack.answer)).collect::<Vec<_>>(),
        [(mute.id(), &Err(AckError::Timeout))]
    );
    eventually("the other node has given up by itself", || nodes[2].hub.stats().acks_pending == 0).await
}

async fn g04_a_socket_that_goes_is_not_waited_for(scene: &Scene) -> Verdict {
    let nodes = scene.nodes::<3>().await?;
    let socket = nodes[2].socket(["room"])?;
    let stream = nodes[0].chat.to("room").timeout(Duration::from_secs(60)).emit_with_ack("?").await?;
    let gone = async {
        eventually("the socket is asked", || nodes[2].hub.stats().acks_pending == 1).await?;
        drop(socket);
        Verdict::Ok(())
    };
    let (acked, gone) = tokio::join!(soon("the end of the answers", stream.gather()), gone);
    gone?;
    check_eq!(acked?.acks.into_iter().map(|ack| ack.answer).collect::<Vec<_>>(), [Err(AckError::Gone)]);
    Ok(())
}

async fn g04_the_stream_says_who_is_expected_and_names_a_node_that_dies(scene: &Scene) -> Verdict {
    let [one, two, three] = scene.nodes::<3>().await?;
    let mute = three.socket(["room"])?;
    answering(two.socket(["room"])?, "two");
    let mut stream = one.chat.to("room").timeout(Duration::from_secs(60)).emit_with_ack("?").await?;
    let first = soon("the first answer", stream.next()).await?.ok_or_else(|| Failure::new("the stream ended"))?;
    check_eq!(first.answer, Ok("two".into()));
    let dead = three.id();
    eventually("the mute socket is expected", || stream.expected() == [(dead, mute.id().clone())]).await?;
    three.crash();
    let acked = soon("the end of the answers", stream.gather()).await?;
    check_eq!(acked.acks.into_iter().map(|ack| ack.answer).collect::<Vec<_>>(), [Err(AckError::Gone)]);
    check_eq!(who(&acked.missing), [(dead, MissingReason::Died)]);
    Ok(())
}

async fn g04_nobody_to_ask_is_the_end_at_once(scene: &Scene) -> Verdict {
    let nodes = scene.nodes::<3>().await?;
    let stream = nodes[0].chat.to("empty room").timeout(Duration::from_secs(60)).emit_with_ack("?").await?;
    let acked = soon("the end of the answers", stream.gather()).await?;
    check!(acked.acks.is_empty() && acked.missing.is_empty(), "{acked:?}");
    Ok(())
}

async fn g04_a_dropped_stream_leaves_nothing(scene: &Scene) -> Verdict {
    let nodes = scene.nodes::<3>().await?;
    let _mute = nodes[2].socket(["room"])?;
    let stream = nodes[0].chat.to("room").emit_with_ack("?").await?;
    check_eq!(nodes[0].cluster.stats().open_requests, 1);
    drop(stream);
    check_eq!(nodes[0].cluster.stats().open_requests, 0);
    Ok(())
}
