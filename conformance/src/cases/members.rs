//! Who is in the cluster.

use std::time::{Duration, Instant};

use roomcast_core::{Departure, Event};

use crate::failure::{Failure, Verdict};
use crate::node::{Node, event, events_so_far, eventually, eventually_within, fence, is_of_a_cut, next, sockets};
use crate::scene::{Scene, acquainted};
use crate::stalled::Stallable;

cases! {"members":
    Nothing g05_a_new_node_is_seen_and_a_leave_and_a_death_are_told,
    Nothing g05_every_node_sees_the_same_members,
    Nothing g05_a_stall_of_a_second_evicts_nobody,
    Nothing g05_an_evicted_node_that_wakes_comes_back_as_itself,
    Nothing g18_the_first_request_of_a_newcomer_asks_every_node,
    Nothing g18_nodes_that_start_together_know_each_other,
}

async fn g05_a_new_node_is_seen_and_a_leave_and_a_death_are_told(scene: &Scene) -> Verdict {
    let one = scene.node().await?;
    let mut events = one.cluster.events();

    let two = scene.watched(Node::connect(scene.builder().node_name("two"), scene.connector()?).await?);
    let returned = Instant::now();
    let (up, before) = event("the newcomer", &mut events, is_of_members).await?;
    check_eq!((up, before.iter().any(is_of_a_cut)), (Event::NodeUp(two.cluster.node()), false));
    scene.measure_time("seen_after_ms", returned.elapsed());
    check_eq!(two.cluster.node().name, "two");

    two.cluster.close().await?;
    let closed = Instant::now();
    let (down, before) = event("the goodbye", &mut events, is_of_members).await?;
    check_eq!((down, before.iter().any(is_of_a_cut)), (Event::NodeDown(two.cluster.node(), Departure::Left), false));
    scene.measure_time("left_after_ms", closed.elapsed());

    let three = scene.node().await?;
    let (up, _) = event("the third node", &mut events, is_of_members).await?;
    check_eq!(up, Event::NodeUp(three.cluster.node()));
    let node = three.cluster.node();
    three.crash();
    let crashed = Instant::now();
    let (down, before) = event("the death", &mut events, is_of_members).await?;
    check_eq!((down, before.iter().any(is_of_a_cut)), (Event::NodeDown(node, Departure::Died), false));
    scene.measure_time("died_after_ms", crashed.elapsed());
    Ok(())
}

fn is_of_members(event: &Event) -> bool {
    matches!(event, Event::NodeUp(_) | Event::NodeDown(..))
}

async fn g05_every_node_sees_the_same_members(scene: &Scene) -> Verdict {
    let nodes = scene.nodes::<5>().await?;
    let mut first: Vec<_> = nodes[0].cluster.nodes().into_iter().map(|node| node.id).collect();
    first.sort_unstable();
    for node in &nodes {
        check_eq!(node.cluster.nodes()[0].id, node.id(), "the first of a node's list is itself");
        let mut seen: Vec<_> = node.cluster.nodes().into_iter().map(|node| node.id).collect();
        seen.sort_unstable();
        check_eq!(seen, first);
    }
    Ok(())
}

/// A machine that stands still itself makes it longer: then it does not count, and is tried again.
async fn g05_a_stall_of_a_second_evicts_nobody(scene: &Scene) -> Verdict {
    const STALL: Duration = Duration::from_secs(1);
    const LONGEST: Duration = Duration::from_millis(1300);
    let [one, two] = scene.nodes::<2>().await?;
    let stalls = Stallable::connect(scene.builder(), scene.connector()?).await?;
    let all = [one, two, stalls.node.clone()];
    acquainted(&all).await?;
    let mut events: Vec<_> = all.iter().map(|node| node.cluster.events()).collect();
    let mut there = sockets(&all, [])?;
    for _ in 0..10 {
        let began = Instant::now();
        stalls.stall_until(tokio::time::sleep(STALL)).await?; // the fault has to last
        let longest = began.elapsed().max(all[1].cluster.health());
        fence(&all[0], &mut there).await?;
        fence(&all[2], &mut there).await?;
        let downs = events.iter_mut().flat_map(events_so_far).filter(|event| matches!(event, Event::NodeDown(..)));
        let downs: Vec<_> = downs.collect();
        if longest < LONGEST {
            check_eq!(downs, []);
            return Ok(());
        }
        acquainted(&all).await?;
    }
    Err(Failure::new("the machine stands still too often"))
}

async fn g05_an_evicted_node_that_wakes_comes_back_as_itself(scene: &Scene) -> Verdict {
    let [one, two] = scene.nodes::<2>().await?;
    let stalls = Stallable::connect(scene.builder(), scene.connector()?).await?;
    let all = [one, two, stalls.node.clone()];
    acquainted(&all).await?;
    let mut events = all[0].cluster.events();
    let mut own = all[2].cluster.events();
    let node = all[2].cluster.node();
    let died = Event::NodeDown(node.clone(), Departure::Died);
    let death = async { event("its death", &mut events, |event| *event == died).await.map(drop) };
    stalls.stall_until(death).await??;
    event("its return", &mut events, |event| *event == Event::NodeUp(node.clone())).await?;
    acquainted(&all).await?;
    let condemned: Vec<_> =
        events_so_far(&mut own).into_iter().filter(|event| matches!(event, Event::NodeDown(..))).collect();
    check_eq!(condemned, [], "whom the stalled node thought dead");
    let mut there = sockets(&all, [])?;
    for from in &all {
        fence(from, &mut there).await?;
    }
    let counted = all[1].chat.count_sockets().await?;
    check_eq!((counted.total(), counted.missing.len()), (3, 0));
    Ok(())
}

/// 50 starts, or as many as fit into ten seconds if those are 10.
async fn g18_the_first_request_of_a_newcomer_asks_every_node(scene: &Scene) -> Verdict {
    const TIME: Duration = Duration::from_secs(10);
    let old = scene.nodes::<2>().await?;
    let _there = sockets(&old, ["room"])?;
    let began = Instant::now();
    let mut starts = 0_u64;
    while starts < 10 || starts < 50 && began.elapsed() < TIME {
        let new = scene.node().await?;
        let count = new.chat.count_sockets().await?;
        check_eq!((count.total(), count.items.len(), count.missing.len()), (2, 3, 0), "sockets, nodes, missing");
        let mut here = new.socket([])?;
        old[0].chat.emit("you are in").await?;
        check_eq!(next(&mut here).await?, "you are in");
        new.cluster.close().await?;
        acquainted(&old).await?;
        starts += 1;
    }
    scene.measure("starts", starts);
    Ok(())
}

async fn g18_nodes_that_start_together_know_each_other(scene: &Scene) -> Verdict {
    const NODES: usize = 8;
    let started = futures_util::future::try_join_all((0..NODES).map(|_| scene.node())).await?;
    for node in &started {
        eventually("it knows all that started with it", || node.cluster.nodes().len() == NODES).await?;
    }
    let mut there = sockets(&started, [])?;
    for from in &started {
        check_eq!(fence(from, &mut there).await?, vec![Vec::<String>::new(); NODES]);
    }
    for node in &started {
        let patience = Duration::from_secs(5);
        eventually_within(patience, "its health is young", || node.cluster.health() < Duration::from_millis(1500))
            .await?;
    }
    Ok(())
}
