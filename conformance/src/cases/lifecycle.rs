//! Starting and ending.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use roomcast_core::{ErrorKind, Socket};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::failure::{Failure, Verdict};
use crate::node::{Node, PATIENCE, eventually, next, sockets, soon};
use crate::scene::Scene;

cases! {"lifecycle":
    Nothing g19_close_hands_over_what_was_accepted,
    Nothing g19_a_rolling_restart_loses_nothing_that_was_accepted,
    Nothing g19_close_leaves_no_task,
    Nothing g19_a_node_that_is_dropped_leaves_no_task,
    Nothing g19_a_future_dropped_anywhere_breaks_nothing,
    Nothing g19_calls_after_close_say_closed,
    Nothing g07_flush_waits_for_the_brokers_word_and_health_is_young,
}

async fn g19_close_hands_over_what_was_accepted(scene: &Scene) -> Verdict {
    const PACKETS: usize = 1_000;
    let [one, two, three] = scene.nodes::<3>().await?;
    let mut there = two.socket([])?;
    for n in 0..PACKETS {
        one.chat.emit(n.to_string()).await?;
    }
    one.cluster.close().await?;
    for n in 0..PACKETS {
        check_eq!(next(&mut there).await?, n.to_string());
    }
    eventually("two nodes are left", || two.cluster.nodes().len() == 2).await?;
    check_eq!(two.cluster.stats().lost, 0);
    drop(three);
    Ok(())
}

/// As a deployment has it: one node after the other is closed and another one comes in its place, while all of them emit.
async fn g19_a_rolling_restart_loses_nothing_that_was_accepted(scene: &Scene) -> Verdict {
    const AT_ONCE: usize = 3;
    const IN_ALL: usize = 6;
    const EACH: usize = 200;
    let witness = scene.node().await?;
    let mut there = witness.socket([])?;
    let (mut nodes, mut loads) = (VecDeque::new(), JoinSet::new());
    let mut senders: [_; IN_ALL] = std::array::from_fn(|_| Sender::default());
    for turn in 0..IN_ALL + AT_ONCE {
        if let Some(oldest) = turn.checked_sub(AT_ONCE) {
            while senders[oldest].heard < EACH {
                hear(&mut there, &mut senders).await?;
            }
            let node: Node = nodes.pop_front().ok_or_else(|| Failure::new("no node is left"))?;
            node.cluster.close().await?;
            senders[oldest].ahead.close();
            let ended = soon("the end of its load", loads.join_next()).await?;
            senders[oldest].accepted = ended.ok_or_else(|| Failure::new("there was no load"))???;
        }
        if turn < IN_ALL {
            let node = scene.node().await?;
            loads.spawn(load(node.clone(), turn, Arc::clone(&senders[turn].ahead)));
            nodes.push_back(node);
        }
    }
    while senders.iter().any(|sender| sender.heard < sender.accepted) {
        hear(&mut there, &mut senders).await?;
    }
    for Sender { heard, accepted, .. } in senders {
        check_eq!(heard, accepted, "packets of a node that was closed");
    }
    check_eq!(witness.cluster.stats().lost, 0);
    Ok(())
}

struct Sender {
    /// How far it may be ahead of the witness.
    ahead: Arc<Semaphore>,
    heard: usize,
    accepted: usize,
}

impl Default for Sender {
    fn default() -> Self {
        Self { ahead: Arc::new(Semaphore::new(1_000)), heard: 0, accepted: 0 }
    }
}

/// Emits until the node is closed; returns how many packets were accepted.
async fn load(node: Node, sender: usize, ahead: Arc<Semaphore>) -> Verdict<usize> {
    let mut count = 0;
    while let Ok(room) = ahead.acquire().await {
        room.forget();
        match node.chat.emit(format!("{sender} {count}")).await {
            Ok(()) => count += 1,
            Err(error) if error.kind() == ErrorKind::Closed => break,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(count)
}

/// Takes one packet, which has to be the next of its sender.
async fn hear(socket: &mut Socket, senders: &mut [Sender]) -> Verdict {
    let text = next(socket).await?;
    let (sender, n) = text.split_once(' ').ok_or_else(|| Failure::new("a packet of nobody's"))?;
    let (sender, n): (usize, usize) = (sender.parse()?, n.parse()?);
    check_eq!(n, senders[sender].heard, "what came next of node {sender}");
    senders[sender].heard += 1;
    senders[sender].ahead.add_permits(1);
    Ok(())
}

fn tasks() -> usize {
    tokio::runtime::Handle::current().metrics().num_alive_tasks()
}

async fn g19_close_leaves_no_task(scene: &Scene) -> Verdict {
    let before = tasks();
    let nodes = scene.nodes::<3>().await?;
    let all = sockets(&nodes, ["room"])?;
    let emitter = scene.emitter().await?;
    emitter.of("/chat")?.emit("x").await?;
    let _ = nodes[0].chat.count_sockets().await?;
    check!(tasks() > before, "no node has a task");
    emitter.close().await?;
    for node in &nodes {
        node.cluster.close().await?;
    }
    // Handles, hubs and sockets are still there.
    eventually("no task is left", || tasks() == before).await?;
    drop((nodes, all, emitter));
    Ok(())
}

async fn g19_a_node_that_is_dropped_leaves_no_task(scene: &Scene) -> Verdict {
    let before = tasks();
    let nodes = scene.nodes::<2>().await?;
    let link = scene.link().await?;
    drop((nodes, link, scene.emitter().await?));
    let given_up = tokio::time::timeout(Duration::from_millis(20), scene.node()).await;
    drop(given_up);
    eventually("no task is left", || tasks() == before).await
}

async fn g19_a_future_dropped_anywhere_breaks_nothing(scene: &Scene) -> Verdict {
    let [one, two, _three] = scene.nodes::<3>().await?;
    let mut there = two.socket(["room"])?;
    for polls in 0..200 {
        let mut calls: [Pin<Box<dyn Future<Output = ()> + Send + '_>>; 4] = [
            Box::pin(async { drop(one.chat.to("room").emit("x").await) }),
            Box::pin(async { drop(one.chat.within("room").join_sockets("other").await) }),
            Box::pin(async { drop(one.chat.fetch_sockets().await) }),
            Box::pin(async {
                if let Ok(stream) = one.chat.to("room").emit_with_ack("?").await {
                    drop(stream.gather().await);
                }
            }),
        ];
        for call in &mut calls {
            for _ in 0..polls % 5 {
                let poll = std::future::poll_fn(|cx| Poll::Ready(call.as_mut().poll(cx).is_ready()));
                if poll.await {
                    break;
                }
                tokio::task::yield_now().await;
            }
        }
    }
    check_eq!(one.cluster.stats().open_requests, 0);
    one.chat.emit("end").await?;
    while next(&mut there).await? != "end" {}
    check_eq!(two.cluster.stats().lost, 0);
    Ok(())
}

async fn g19_calls_after_close_say_closed(scene: &Scene) -> Verdict {
    let node = scene.node().await?;
    node.cluster.close().await?;
    node.cluster.close().await?;
    let failed = [
        node.chat.emit("x").await.err(),
        node.chat.local().emit("x").await.err(),
        node.chat.fetch_sockets().await.err(),
        node.chat.emit_with_ack("x").await.err(),
        node.chat.server_side_emit("x", "").await.err(),
        node.cluster.flush(PATIENCE).await.err(),
    ];
    check_eq!(failed.map(|error| error.map(|error| error.kind())), [Some(ErrorKind::Closed); 6]);
    Ok(())
}

async fn g07_flush_waits_for_the_brokers_word_and_health_is_young(scene: &Scene) -> Verdict {
    let [one, _two, _three] = scene.nodes::<3>().await?;
    one.chat.emit("x").await?;
    one.cluster.flush(PATIENCE).await?;
    check_eq!(one.cluster.stats().queued, 0);
    eventually("the health is young", || one.cluster.health() < Duration::from_millis(1500)).await
}
