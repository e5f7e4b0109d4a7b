//! The broker, or the link, is there again.

use std::time::{Duration, Instant};

use roomcast_core::Event;

use super::{all_degraded, all_healthy, all_receive};
use crate::failure::Verdict;
use crate::node::{Node, event, events_so_far, eventually_within, fence, is_of_a_cut, next, next_bytes, sockets};
use crate::proxy::Proxy;
use crate::random::Random;
use crate::scene::{Scene, acquainted};

cases! {"outage":
    Faults g07_every_node_receives_again_after_kill_and_restart,
    Faults g07_every_node_receives_again_after_kills_in_a_row,
    Faults g07_every_node_receives_again_after_a_gentle_restart,
    Faults g07_every_node_receives_again_after_a_pause,
    Proxy g07_a_link_that_was_cut_receives_again,
    Proxy g07_a_link_that_is_refused_for_a_while_receives_again,
    Proxy g07_a_half_open_link_is_noticed_and_replaced,
    Proxy g07_new_links_that_are_dead_at_once_are_replaced,
    Proxy g07_a_busy_link_is_not_a_dead_one,
    Proxy g13_a_large_message_passes_a_thin_link,
}

async fn g07_every_node_receives_again_after_kill_and_restart(scene: &Scene) -> Verdict {
    let nodes = scene.nodes::<3>().await?;
    let mut there = sockets(&nodes, [])?;
    let mut events: Vec<_> = nodes.iter().map(|node| node.cluster.events()).collect();
    let killed = Instant::now();
    scene.broker()?.kill().await?;
    all_degraded(&mut events).await?;
    scene.measure_time("noticed_ms", killed.elapsed());
    scene.broker()?.start_again().await?;
    let took = all_receive(&nodes, &mut there).await?;
    scene.measure_time("receives_again_ms", took);
    for events in &mut events {
        event("word of the recovery", events, |event| *event == Event::Recovered).await?;
    }
    all_healthy(&nodes).await?;
    for from in &nodes {
        fence(from, &mut there).await?;
    }
    let counted = nodes[0].chat.count_sockets().await?;
    check_eq!((counted.total(), counted.missing.len()), (3, 0), "sockets, and missing nodes");
    Ok(())
}

async fn g07_every_node_receives_again_after_kills_in_a_row(scene: &Scene) -> Verdict {
    const KILLS: usize = 3;
    let nodes = scene.nodes::<3>().await?;
    let mut there = sockets(&nodes, [])?;
    let mut longest = Duration::ZERO;
    for _ in 0..KILLS {
        scene.broker()?.kill().await?;
        scene.broker()?.start_again().await?;
        // Before anybody may have noticed; links that are only half made meet the next kill.
        let took = all_receive(&nodes, &mut there).await?;
        longest = longest.max(took);
    }
    scene.measure_time("receives_again_ms", longest);
    all_healthy(&nodes).await
}

async fn g07_every_node_receives_again_after_a_gentle_restart(scene: &Scene) -> Verdict {
    let nodes = scene.nodes::<3>().await?;
    let mut there = sockets(&nodes, [])?;
    scene.broker()?.restart_gently().await?;
    let took = all_receive(&nodes, &mut there).await?;
    scene.measure_time("receives_again_ms", took);
    all_healthy(&nodes).await
}

/// Every link stays open, and nothing answers.
async fn g07_every_node_receives_again_after_a_pause(scene: &Scene) -> Verdict {
    let nodes = scene.nodes::<3>().await?;
    let mut there = sockets(&nodes, [])?;
    let mut events: Vec<_> = nodes.iter().map(|node| node.cluster.events()).collect();
    let paused = Instant::now();
    scene.broker()?.pause().await?;
    all_degraded(&mut events).await?;
    scene.measure_time("noticed_ms", paused.elapsed());
    scene.broker()?.resume().await?;
    let took = all_receive(&nodes, &mut there).await?;
    scene.measure_time("receives_again_ms", took);
    all_healthy(&nodes).await
}

/// Two nodes on links of their own, and one, the last, behind a proxy.
pub(super) async fn one_behind_a_proxy(scene: &Scene) -> Verdict<([Node; 3], Proxy)> {
    let proxy = scene.proxy().await?;
    let nodes = [scene.node().await?, scene.node().await?, scene.node_through(&proxy).await?];
    acquainted(&nodes).await?;
    Ok((nodes, proxy))
}

/// The first two of the nodes have kept their links. On a busy machine echoes may be late: that is told, and over.
pub(super) fn undisturbed(nodes: &[Node; 3], events: &mut [roomcast_core::Events; 2]) -> Verdict {
    for (node, events) in nodes.iter().zip(events) {
        let seen = events_so_far(events);
        check!(!seen.iter().any(is_of_a_cut), "a link that held was taken for cut: {seen:?}");
        check_eq!(node.cluster.status().connect_attempts, 0, "a link that held was replaced: {seen:?}");
        let told = seen.iter().rfind(|event| matches!(event, Event::Degraded(_) | Event::Recovered));
        check!(!matches!(told, Some(Event::Degraded(_))), "it has not recovered: {seen:?}");
    }
    Ok(())
}

async fn g07_a_link_that_was_cut_receives_again(scene: &Scene) -> Verdict {
    let (nodes, proxy) = one_behind_a_proxy(scene).await?;
    let mut there = sockets(&nodes, [])?;
    let mut others = [nodes[0].cluster.events(), nodes[1].cluster.events()];
    let mut own = nodes[2].cluster.events();
    let mut longest = Duration::ZERO;
    for _ in 0..3 {
        proxy.cut();
        event("word of the cut", &mut own, |event| matches!(event, Event::Degraded(_))).await?;
        longest = longest.max(all_receive(&nodes, &mut there).await?);
        // A link may be there before its echo is: a cut in between is no news.
        event("its recovery", &mut own, |event| matches!(event, Event::Recovered)).await?;
    }
    scene.measure_time("receives_again_ms", longest);
    all_healthy(&nodes).await?;
    undisturbed(&nodes, &mut others)
}

/// Longer than the silence that is taken for death: the others think so, and it thinks so of nobody. It tries again and again, and not as
/// fast as it can.
async fn g07_a_link_that_is_refused_for_a_while_receives_again(scene: &Scene) -> Verdict {
    /// More often no node dials in a second, whatever number of servers it knows.
    const OFTEN: u64 = 50;
    let (nodes, proxy) = one_behind_a_proxy(scene).await?;
    let mut there = sockets(&nodes, [])?;
    let mut others = [nodes[0].cluster.events(), nodes[1].cluster.events()];
    let mut own = nodes[2].cluster.events();
    let (refused, before) = (Instant::now(), proxy.counts().accepted);
    proxy.refuse();
    proxy.cut();
    let gone = nodes[2].cluster.node();
    for events in &mut others {
        event("its death", events, |event| matches!(event, Event::NodeDown(node, _) if *node == gone)).await?;
    }
    let (tries, seconds) = (proxy.counts().accepted - before, 1 + refused.elapsed().as_secs());
    check!(tries <= OFTEN * seconds, "it tried {tries} times in {seconds} s");
    scene.measure("tries_a_second", tries / seconds);
    proxy.accept();
    let took = all_receive(&nodes, &mut there).await?;
    scene.measure_time("receives_again_ms", took);
    acquainted(&nodes).await?;
    for events in &mut others {
        let up = Event::NodeUp(gone.clone());
        event("its return as itself", events, |event| *event == up).await?;
    }
    let seen = events_so_far(&mut own);
    check!(!seen.iter().any(|event| matches!(event, Event::NodeDown(..))), "it condemned others: {seen:?}");
    all_healthy(&nodes).await
}

async fn g07_a_half_open_link_is_noticed_and_replaced(scene: &Scene) -> Verdict {
    let (nodes, proxy) = one_behind_a_proxy(scene).await?;
    let mut there = sockets(&nodes, [])?;
    let mut others = [nodes[0].cluster.events(), nodes[1].cluster.events()];
    let mut own = nodes[2].cluster.events();
    let began = Instant::now();
    proxy.black_hole();
    let is_old = || nodes[2].cluster.health() > Duration::from_millis(500);
    eventually_within(super::BACK, "the health of a dead link grows old", is_old).await?;
    event("word of the dead link", &mut own, |event| matches!(event, Event::Degraded(_))).await?;
    scene.measure_time("noticed_ms", began.elapsed());
    let took = all_receive(&nodes, &mut there).await?;
    scene.measure_time("receives_again_after_noticed_ms", took);
    scene.measure_time("deaf_ms", began.elapsed());
    event("word of the recovery", &mut own, |event| *event == Event::Recovered).await?;
    all_healthy(&nodes).await?;
    undisturbed(&nodes, &mut others)
}

/// What is accepted and then dead has to be given up as well.
async fn g07_new_links_that_are_dead_at_once_are_replaced(scene: &Scene) -> Verdict {
    let (nodes, proxy) = one_behind_a_proxy(scene).await?;
    let mut there = sockets(&nodes, [])?;
    let mut others = [nodes[0].cluster.events()];
    let gone = nodes[2].cluster.node();
    proxy.black_hole_all();
    event("its death", &mut others[0], |event| matches!(event, Event::NodeDown(node, _) if *node == gone)).await?;
    let tried = proxy.counts().accepted;
    eventually_within(super::BACK, "the node gives up a dead link that is new", || proxy.counts().accepted > tried)
        .await?;
    proxy.black_hole_no_more();
    let took = all_receive(&nodes, &mut there).await?;
    scene.measure_time("receives_again_ms", took);
    all_healthy(&nodes).await
}

/// Its echoes are late since much is under way; the link is none the worse.
async fn g07_a_busy_link_is_not_a_dead_one(scene: &Scene) -> Verdict {
    const PACKETS: usize = 45;
    let (nodes, proxy) = one_behind_a_proxy(scene).await?;
    let mut there = sockets(&nodes, [])?;
    proxy.throttle(Some(500_000));
    for n in 0..PACKETS {
        nodes[0].chat.emit(format!("{n} {}", "x".repeat(50_000))).await?; // 4.5 seconds' worth
    }
    for socket in &mut there {
        for n in 0..PACKETS {
            let text = next(socket).await?;
            let got: usize = text.split(' ').next().unwrap_or_default().parse()?;
            check_eq!(got, n, "what came next");
        }
    }
    proxy.throttle(None);
    check_eq!(nodes[2].cluster.stats().lost, 0, "lost on a slow link");
    all_healthy(&nodes).await
}

/// It takes longer than any answer of a broker that is there; nobody takes that for death, and nothing is held up for ever.
async fn g13_a_large_message_passes_a_thin_link(scene: &Scene) -> Verdict {
    const LARGE: usize = 12 << 20;
    let (nodes, proxy) = one_behind_a_proxy(scene).await?;
    let mut there = nodes[0].socket([])?;
    let mut events = nodes[0].cluster.events();
    let bytes = Random(scene.seed).bytes(LARGE);
    proxy.throttle(Some(2 << 20)); // six seconds there, and six for its echo
    nodes[2].chat.emit(bytes.clone()).await?;
    nodes[2].chat.emit("small").await?;
    check!(next_bytes(&mut there).await? == bytes, "{LARGE} bytes did not arrive as they were");
    check_eq!(next(&mut there).await?, "small");
    let dead = |event: &Event| matches!(event, Event::NodeDown(..));
    check!(!events_so_far(&mut events).iter().any(dead), "its sender was taken for dead");
    proxy.throttle(None);
    check_eq!(nodes[0].cluster.stats().lost, 0, "lost on a thin link");
    all_healthy(&nodes).await
}
