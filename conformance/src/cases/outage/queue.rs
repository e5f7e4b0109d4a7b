//! What is sent while the broker is away.

use std::time::{Duration, Instant};

use roomcast_core::{ErrorKind, Event};

use super::{Load, PACE, all_degraded, all_healthy, check_none_reported, check_reported, tally};
use crate::failure::{Failure, Verdict};
use crate::node::{Node, event, next, sockets, soon};
use crate::scene::{Scene, acquainted};

cases! {"outage":
    Faults g09_what_is_sent_during_an_outage_arrives_in_order_and_in_full,
    Faults g09_what_nobody_keeps_is_reported_exactly,
    Faults g08_a_small_bound_is_unavailable_at_once_and_serves_local_sockets,
    Faults g08_what_has_waited_too_long_is_unavailable_at_once,
    Faults g08_a_call_that_waits_for_room_ends_with_the_outage,
    Faults g08_a_volatile_packet_is_not_kept,
}

/// Emits so many packets on each node, while the broker is killed and started again, then an `end`. Returns how many each sent.
async fn emit_during_an_outage(scene: &Scene, nodes: &[Node; 3], packets: usize) -> Verdict<[usize; 3]> {
    let load = Load::new(nodes, packets);
    let outage = async {
        load.reaches(10).await;
        scene.broker()?.kill().await?;
        load.reaches(70).await;
        scene.broker()?.start_again().await?;
        Ok(())
    };
    tokio::try_join!(load.run(), outage)?;
    // The ends are sent when all links are there again, so that everybody gets them.
    all_healthy(nodes).await?;
    for (name, node) in nodes.iter().enumerate() {
        node.cluster.flush(super::BACK).await?;
        node.chat.emit(format!("end {name}")).await?;
    }
    Ok([packets; 3])
}

/// Before, during and after: each sender's packets arrive once, in order, and all of them. What the broker took with it is asked
/// for and sent again.
async fn g09_what_is_sent_during_an_outage_arrives_in_order_and_in_full(scene: &Scene) -> Verdict {
    let nodes = scene.nodes::<3>().await?;
    let mut there = sockets(&nodes, [])?;
    let mut events: Vec<_> = nodes.iter().map(|node| node.cluster.events()).collect();
    let sent = emit_during_an_outage(scene, &nodes, PACE * 9 / 2).await?;
    for (at, (socket, events)) in there.iter_mut().zip(&mut events).enumerate() {
        check_eq!(tally(socket, nodes.len()).await?, sent, "what the socket of node {at} got");
        check_none_reported(events)?;
    }
    scene.measure("sent", sent.iter().sum::<usize>() as u64);
    scene.measure("repaired", nodes.iter().map(|node| node.cluster.stats().repaired).sum());
    Ok(())
}

/// With senders that keep nothing of what they have sent: what a receiver missed is reported to it, to the number.
async fn g09_what_nobody_keeps_is_reported_exactly(scene: &Scene) -> Verdict {
    let nodes = scene.nodes_with::<3>(|builder| builder.history_bytes(0)).await?;
    let mut there = sockets(&nodes, [])?;
    let mut events: Vec<_> = nodes.iter().map(|node| node.cluster.events()).collect();
    let sent = emit_during_an_outage(scene, &nodes, PACE * 2).await?;
    let mut lost = 0;
    for (at, (socket, events)) in there.iter_mut().zip(&mut events).enumerate() {
        let got = tally(socket, nodes.len()).await?;
        check_eq!(got[at], sent[at], "what node {at} delivered to its own socket");
        lost += check_reported(events, &nodes, &sent, &got).await?;
    }
    scene.measure("lost_and_reported", lost);
    Ok(())
}

/// The bound is reached while the broker is away.
async fn g08_a_small_bound_is_unavailable_at_once_and_serves_local_sockets(scene: &Scene) -> Verdict {
    let small = scene.watched(Node::connect(scene.builder().queue_bytes(64 << 10), scene.connector()?).await?);
    let nodes = [small, scene.node().await?];
    acquainted(&nodes).await?;
    let (mut here, mut there) = (nodes[0].socket([])?, nodes[1].socket([])?);
    let mut events: Vec<_> = nodes.iter().map(|node| node.cluster.events()).collect();
    scene.broker()?.kill().await?;
    all_degraded(&mut events).await?;
    let mut accepted = 0;
    let refused = loop {
        let began = Instant::now();
        let packet = format!("{accepted} {}", "x".repeat(1000));
        match soon("the end of an emit", nodes[0].chat.timeout(Duration::from_secs(60)).emit(packet)).await? {
            Ok(()) => accepted += 1,
            Err(error) => {
                scene.measure_time("refused_after_ms", began.elapsed());
                break error;
            }
        }
        check!(accepted < 1_000, "a megabyte was accepted where 64 KiB may wait");
    };
    check_eq!((refused.kind(), refused.served_locally()), (ErrorKind::Unavailable, true));
    for n in 0..=accepted {
        check!(next(&mut here).await?.starts_with(&format!("{n} ")), "a local socket was not served with {n}");
    }
    scene.broker()?.start_again().await?;
    nodes[0].cluster.flush(super::BACK).await?;
    // What is sent while the receiver's link is still down is lost to it, the end too.
    event("its recovery", &mut events[1], |event| matches!(event, Event::Recovered)).await?;
    nodes[0].chat.emit("end").await?;
    // The receiver's own link may have come back later than some of it; the order holds.
    let mut newest = None;
    loop {
        let text = next(&mut there).await?;
        if text == "end" {
            break;
        }
        let n: usize = text.split(' ').next().unwrap_or_default().parse()?;
        check!(newest.is_none_or(|newest| n > newest), "{n} came after {newest:?}");
        check!(n < accepted, "{n} was refused, and came");
        newest = Some(n);
    }
    Ok(())
}

async fn g08_what_has_waited_too_long_is_unavailable_at_once(scene: &Scene) -> Verdict {
    let node =
        scene.watched(Node::connect(scene.builder().queue_age(Duration::from_millis(200)), scene.connector()?).await?);
    let mut here = node.socket([])?;
    let mut events = [node.cluster.events()];
    scene.broker()?.kill().await?;
    all_degraded(&mut events).await?;
    node.chat.emit("first").await?;
    check_eq!(next(&mut here).await?, "first");
    let refused = soon("the refusal", async {
        let mut again = tokio::time::interval(Duration::from_millis(20));
        loop {
            again.tick().await;
            if let Err(error) = node.chat.emit("more").await {
                return error;
            }
        }
    });
    let refused = refused.await?;
    check_eq!((refused.kind(), refused.served_locally()), (ErrorKind::Unavailable, true));
    Ok(())
}

async fn g08_a_call_that_waits_for_room_ends_with_the_outage(scene: &Scene) -> Verdict {
    let node = scene.watched(Node::connect(scene.builder().queue_bytes(16 << 10), scene.connector()?).await?);
    scene.broker()?.kill().await?;
    // Whether the node knows of the outage yet or not, none of these may wait for its whole hour.
    let mut refused = 0;
    for n in 0..100 {
        let emit = node.chat.timeout(Duration::from_secs(3600)).emit(format!("{n} {}", "x".repeat(1000)));
        if let Err(error) = soon("the end of an emit", emit).await? {
            check_eq!(error.kind(), ErrorKind::Unavailable);
            refused += 1;
        }
    }
    check!(refused > 50, "only {refused} of 100 KiB were refused where 16 may wait");
    Ok(())
}

async fn g08_a_volatile_packet_is_not_kept(scene: &Scene) -> Verdict {
    let nodes = scene.nodes::<2>().await?;
    let mut there = nodes[1].socket([])?;
    let mut events: Vec<_> = nodes.iter().map(|node| node.cluster.events()).collect();
    scene.broker()?.kill().await?;
    all_degraded(&mut events).await?;
    // A link that was only slow when the broker died is found to be dead a little later.
    let drops = async {
        while nodes[0].cluster.stats().volatile_dropped == 0 {
            nodes[0].chat.volatile().emit("stale").await?;
            tokio::task::yield_now().await;
        }
        Verdict::Ok(())
    };
    soon("one that is dropped, and counted", drops).await??;
    scene.broker()?.start_again().await?;
    let mut all = sockets(&nodes, [])?;
    super::all_receive(&nodes, &mut all).await?;
    nodes[0].chat.emit("end").await?;
    loop {
        let text = next(&mut there).await.map_err(|_| Failure::new("the end never came"))?;
        check!(text != "stale", "what was volatile was kept");
        if text == "end" {
            return Ok(());
        }
    }
}
