//! The way to the broker is bad: slow, frozen, open in one direction.

use std::time::Duration;

use roomcast_core::Event;

use super::back::{one_behind_a_proxy, undisturbed};
use super::{BACK, all_healthy, all_receive, tally};
use crate::failure::Verdict;
use crate::node::{event, events_so_far, eventually_within, sockets};
use crate::random::Random;
use crate::scene::{Scene, acquainted};

cases! {"outage":
    Proxy g07_a_new_link_that_freezes_at_any_byte_is_given_up,
    Proxy g07_a_link_that_hears_and_does_not_speak_is_replaced,
    Proxy g05_round_trips_of_300_ms_disturb_nobody,
}

/// Whatever the server was about to say: its greeting, the answer to the login, a confirmation.
async fn g07_a_new_link_that_freezes_at_any_byte_is_given_up(scene: &Scene) -> Verdict {
    const FREEZES: usize = 3;
    /// So many connections make a link, at the most.
    const CONNECTIONS: u64 = 2;
    let (nodes, proxy) = one_behind_a_proxy(scene).await?;
    let mut there = sockets(&nodes, [])?;
    let mut others = [nodes[0].cluster.events(), nodes[1].cluster.events()];
    let mut random = Random(scene.seed);
    let mut longest = Duration::ZERO;
    for _ in 0..FREEZES {
        // Short answers as often as long ones.
        let most = 1 << random.below(11);
        proxy.freeze_after(Some(random.below(most) as u64));
        proxy.cut();
        let tried = proxy.counts().accepted;
        let again = || proxy.counts().accepted > tried + CONNECTIONS;
        eventually_within(2 * BACK, "a link that froze is given up", again).await?;
        proxy.freeze_after(None);
        longest = longest.max(all_receive(&nodes, &mut there).await?);
    }
    scene.measure_time("receives_again_ms", longest);
    all_healthy(&nodes).await?;
    undisturbed(&nodes, &mut others)
}

/// As behind a firewall that has forgotten one direction: the client's own pings vanish, and what others send still comes.
async fn g07_a_link_that_hears_and_does_not_speak_is_replaced(scene: &Scene) -> Verdict {
    let (nodes, proxy) = one_behind_a_proxy(scene).await?;
    let mut there = sockets(&nodes, [])?;
    let mut others = [nodes[0].cluster.events(), nodes[1].cluster.events()];
    let mut own = nodes[2].cluster.events();
    let tried = proxy.counts().accepted;
    proxy.drop_requests();
    event("word of the dead link", &mut own, |event| matches!(event, Event::Degraded(_))).await?;
    eventually_within(2 * BACK, "the link is given up", || proxy.counts().accepted > tried).await?;
    proxy.cut(); // of what was begun meanwhile, a part has vanished
    proxy.pass_requests();
    let took = all_receive(&nodes, &mut there).await?;
    scene.measure_time("receives_again_ms", took);
    all_healthy(&nodes).await?;
    undisturbed(&nodes, &mut others)
}

/// Servers in two regions: it is slow, and nothing is wrong with it.
async fn g05_round_trips_of_300_ms_disturb_nobody(scene: &Scene) -> Verdict {
    const PACKETS: usize = 40;
    let proxy = scene.proxy().await?;
    proxy.delay(Duration::from_millis(150));
    let far = [scene.node_through(&proxy).await?, scene.node_through(&proxy).await?];
    let met = far[1].chat.count_sockets().await?;
    check_eq!((met.items.len(), met.missing.len()), (2, 0), "nodes that a newcomer asks, and missing ones");
    let [one, two] = far;
    let nodes = [one, two, scene.node().await?];
    acquainted(&nodes).await?;
    let made = proxy.counts().accepted;
    let mut there = sockets(&nodes, [])?;
    let mut events: Vec<_> = nodes.iter().map(|node| node.cluster.events()).collect();
    // For longer than a node may be silent.
    let mut tick = tokio::time::interval(Duration::from_millis(100));
    for n in 0..PACKETS {
        tick.tick().await;
        for (from, node) in nodes.iter().enumerate() {
            node.chat.emit(format!("load {from} {n}")).await?;
        }
    }
    let counted = nodes[2].chat.count_sockets().await?;
    check_eq!((counted.total(), counted.missing.len()), (3, 0), "sockets, and missing nodes");
    for (from, node) in nodes.iter().enumerate() {
        node.chat.emit(format!("end {from}")).await?;
    }
    for socket in &mut there {
        check_eq!(tally(socket, 3).await?, [PACKETS; 3], "what a node got of each");
    }
    check_eq!(proxy.counts().accepted, made, "connections made");
    for events in &mut events {
        let told = events_so_far(events);
        check!(!told.iter().any(|event| matches!(event, Event::NodeDown(..))), "somebody was taken for dead: {told:?}");
    }
    Ok(())
}
