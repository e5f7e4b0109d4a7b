//! The broker has kept what a node missed.

use std::time::Duration;

use roomcast_core::Event;

use super::{all_healthy, check_none_reported, check_reported, tally};
use crate::failure::Verdict;
use crate::node::{Node, event, events_so_far, next, sockets};
use crate::proxy::Proxy;
use crate::scene::{Scene, acquainted};

cases! {"outage":
    Replays g09_a_cut_of_13_s_is_read_afterwards_although_nobody_sends_again,
    Replays g05_what_the_dead_said_before_raises_nobody,
    Replays g09_what_the_broker_kept_no_longer_is_reported_exactly,
}

/// Two nodes on links of their own, and one, the last, behind a proxy. None of them sends anything again.
async fn without_repair(scene: &Scene) -> Verdict<([Node; 3], Proxy)> {
    let proxy = scene.proxy().await?;
    let builder = || scene.builder().history_bytes(0);
    let nodes = [
        scene.watched(Node::connect(builder(), scene.connector()?).await?),
        scene.watched(Node::connect(builder(), scene.connector()?).await?),
        scene.watched(Node::connect(builder(), scene.connector_through(&proxy)?).await?),
    ];
    acquainted(&nodes).await?;
    Ok((nodes, proxy))
}

async fn cut(node: &Node, proxy: &Proxy) -> Verdict {
    let mut events = node.cluster.events();
    proxy.refuse();
    proxy.cut();
    event("word of the cut", &mut events, |event| matches!(event, Event::Degraded(_))).await.map(drop)
}

/// Longer than a node that is silent is waited for, so that the others have forgotten what it has.
async fn g09_a_cut_of_13_s_is_read_afterwards_although_nobody_sends_again(scene: &Scene) -> Verdict {
    const EACH_SECOND: usize = 20;
    let (nodes, proxy) = without_repair(scene).await?;
    let mut there = sockets(&nodes, [])?;
    let mut events = nodes[2].cluster.events();
    cut(&nodes[2], &proxy).await?;
    let mut tick = tokio::time::interval(Duration::from_secs(1) / EACH_SECOND as u32);
    for n in 0..13 * EACH_SECOND {
        tick.tick().await;
        for (from, node) in nodes.iter().take(2).enumerate() {
            node.chat.emit(format!("load {from} {n}")).await?;
        }
    }
    proxy.accept();
    all_healthy(&nodes).await?;
    for (from, node) in nodes.iter().enumerate() {
        node.chat.emit(format!("end {from}")).await?;
    }
    check_eq!(tally(&mut there[2], 3).await?, [13 * EACH_SECOND, 13 * EACH_SECOND, 0], "what the cut node got");
    check_none_reported(&mut events)?;
    let stats = nodes[2].cluster.stats();
    check_eq!((stats.lost, stats.repaired), (0, 0), "lost, and sent again");
    Ok(())
}

async fn g05_what_the_dead_said_before_raises_nobody(scene: &Scene) -> Verdict {
    let (nodes, proxy) = without_repair(scene).await?;
    let mut there = nodes[2].socket([])?;
    let (mut seen, mut events) = (nodes[0].cluster.events(), nodes[2].cluster.events());
    cut(&nodes[2], &proxy).await?;
    let brief = scene.node().await?;
    let dead = brief.cluster.node();
    brief.chat.emit("what one says who comes and goes meanwhile").await?;
    brief.cluster.flush(Duration::from_secs(10)).await?;
    brief.crash();
    event("its death", &mut seen, |event| matches!(event, Event::NodeDown(node, _) if *node == dead)).await?;
    proxy.accept();
    check_eq!(next(&mut there).await?, "what one says who comes and goes meanwhile");
    event("the recovery", &mut events, |event| *event == Event::Recovered).await?;
    all_healthy(&nodes).await?;
    let told = events_so_far(&mut events);
    check!(!told.iter().any(|event| matches!(event, Event::NodeUp(node) if *node == dead)), "it was raised: {told:?}");
    let counted = nodes[2].chat.count_sockets().await?;
    check_eq!((counted.total(), counted.missing.len()), (1, 0), "sockets, and missing nodes");
    Ok(())
}

async fn g09_what_the_broker_kept_no_longer_is_reported_exactly(scene: &Scene) -> Verdict {
    const SENT: usize = 24_000;
    let scene = &scene.keeping_little()?;
    let (nodes, proxy) = without_repair(scene).await?;
    let mut there = sockets(&nodes, [])?;
    let mut events = nodes[2].cluster.events();
    cut(&nodes[2], &proxy).await?;
    let long = "x".repeat(1_000);
    for n in 0..SENT {
        nodes[0].chat.emit(format!("load 0 {n} {long}")).await?;
        if n % 8 == 0 {
            nodes[0].cluster.flush(Duration::from_secs(10)).await?; // a message of its own for the broker
        }
    }
    proxy.accept();
    all_healthy(&nodes).await?;
    for (from, node) in nodes.iter().enumerate() {
        node.cluster.flush(Duration::from_secs(10)).await?;
        node.chat.emit(format!("end {from}")).await?;
    }
    let got = tally(&mut there[2], 3).await?;
    let lost = check_reported(&mut events, &nodes, &[SENT, 0, 0], &got).await?;
    check!(lost > 0, "the broker has kept everything");
    Ok(())
}
