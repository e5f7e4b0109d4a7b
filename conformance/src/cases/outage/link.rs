//! One node's link fails while the others' hold: what is sent meanwhile.

use std::time::Duration;

use super::back::one_behind_a_proxy;
use super::{Load, PACE, all_healthy, all_receive, check_none_reported, tally};
use crate::failure::Verdict;
use crate::node::{Node, next, sockets};
use crate::proxy::Proxy;
use crate::scene::Scene;

cases! {"outage":
    Proxy g09_what_a_cut_node_sends_and_what_it_misses_arrives_in_full,
    Proxy g10_unknown_outcomes_make_no_copies,
    Proxy g10_cuts_in_the_middle_of_a_message_make_no_copies,
    Proxy g02_order_holds_over_a_slow_link,
}

/// Every node sends while something is done to the link of the last one. All get everything of everybody: what the last one misses
/// it asks for.
async fn sends_while(scene: &Scene, nodes: &[Node; 3], fault: impl AsyncFnOnce(&Load<'_>)) -> Verdict {
    let mut there = sockets(nodes, [])?;
    let mut events: Vec<_> = nodes.iter().map(|node| node.cluster.events()).collect();
    let load = Load::new(nodes, PACE * 4);
    let fault = async {
        fault(&load).await;
        Ok(())
    };
    tokio::try_join!(load.run(), fault)?;
    let sent = [load.packets; 3];
    all_healthy(nodes).await?;
    for (name, node) in nodes.iter().enumerate() {
        node.cluster.flush(super::BACK).await?;
        node.chat.emit(format!("end {name}")).await?;
    }
    for (at, (socket, events)) in there.iter_mut().zip(&mut events).enumerate() {
        let got = tally(socket, nodes.len()).await?;
        check_eq!(got, sent, "what node {at} got");
        check_none_reported(events)?;
    }
    scene.measure("repaired", nodes[2].cluster.stats().repaired);
    scene.measure("sent", sent.iter().sum::<usize>() as u64);
    Ok(())
}

async fn g09_what_a_cut_node_sends_and_what_it_misses_arrives_in_full(scene: &Scene) -> Verdict {
    let (nodes, proxy) = one_behind_a_proxy(scene).await?;
    let fault = async |load: &Load<'_>| {
        load.reaches(25).await;
        proxy.refuse();
        proxy.cut();
        load.reaches(50).await;
        proxy.accept();
    };
    sends_while(scene, &nodes, fault).await
}

/// What the broker answers vanishes: what was published is published again, and nobody gets it twice.
async fn g10_unknown_outcomes_make_no_copies(scene: &Scene) -> Verdict {
    let (nodes, proxy) = one_behind_a_proxy(scene).await?;
    let fault = async |load: &Load<'_>| {
        for begin in [12, 37] {
            load.reaches(begin).await;
            proxy.drop_replies();
            load.reaches(begin + 12).await;
            proxy.cut();
            proxy.pass_replies();
        }
    };
    sends_while(scene, &nodes, fault).await
}

async fn g10_cuts_in_the_middle_of_a_message_make_no_copies(scene: &Scene) -> Verdict {
    let (nodes, proxy) = one_behind_a_proxy(scene).await?;
    let fault = async |load: &Load<'_>| {
        for (percent, bytes) in [(0, 1_000), (16, 10_001), (33, 33_333), (50, 5), (66, 70_707)] {
            load.reaches(percent).await;
            proxy.drop_after(bytes);
        }
    };
    sends_while(scene, &nodes, fault).await
}

async fn g02_order_holds_over_a_slow_link(scene: &Scene) -> Verdict {
    const PACKETS: usize = 300;
    let (nodes, proxy): (_, Proxy) = one_behind_a_proxy(scene).await?;
    proxy.delay(Duration::from_millis(60));
    let mut there = sockets(&nodes, [])?;
    for n in 0..PACKETS {
        for (from, node) in nodes.iter().enumerate() {
            node.chat.emit(format!("{from} {n} {}", "x".repeat(n * 37 % 3_000))).await?;
        }
    }
    for socket in &mut there {
        let mut expected = [0; 3];
        for _ in 0..3 * PACKETS {
            let text = next(socket).await?;
            let mut words = text.split(' ').map(str::parse::<usize>);
            let (Some(Ok(from)), Some(Ok(n))) = (words.next(), words.next()) else { continue };
            check_eq!(n, expected[from], "the next of sender {from}");
            expected[from] += 1;
        }
        check_eq!(expected, [PACKETS; 3]);
    }
    proxy.delay(Duration::ZERO);
    all_receive(&nodes, &mut there).await?;
    Ok(())
}
