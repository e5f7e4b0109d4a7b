//! Joining and leaving from anywhere.

use std::time::{Duration, Instant};

use adapter_core::MissingReason;

use crate::failure::Verdict;
use crate::node::{eventually, fence, next, sockets, until};
use crate::scene::Scene;

cases! {"rooms":
    Nothing g03_a_join_that_has_returned_is_seen_by_later_broadcasts_of_any_node,
    Nothing g03_a_leave_that_has_returned_is_seen_by_any_node,
    Nothing g03_every_socket_of_a_target_joins_wherever_it_is,
    Nothing g03_a_node_that_did_not_confirm_is_named,
    Nothing g12_rooms_and_questions_leave_no_residue,
}

/// 10,000 rounds, or as many as fit into five seconds if those are 100.
async fn g03_a_join_that_has_returned_is_seen_by_later_broadcasts_of_any_node(scene: &Scene) -> Verdict {
    const TIME: Duration = Duration::from_secs(5);
    let nodes = scene.nodes::<3>().await?;
    let mut there = nodes[1].socket(["start"])?;
    let began = Instant::now();
    let mut rounds = 0_u64;
    while rounds < 100 || rounds < 10_000 && began.elapsed() < TIME {
        let room = format!("r{rounds}");
        let joined = nodes[0].chat.within("start").join_sockets(room.as_str()).await?;
        check!(joined.is_complete(), "{:?} did not confirm", joined.missing);
        nodes[2].chat.to(room.as_str()).emit(room.clone()).await?;
        check_eq!(next(&mut there).await?, room);
        let left = nodes[2].chat.within("start").leave_sockets(room.as_str()).await?;
        check!(left.is_complete(), "{:?} did not confirm", left.missing);
        nodes[0].chat.to(room.as_str()).emit("never").await?;
        rounds += 1;
    }
    for from in &nodes {
        from.chat.emit("end").await?;
        check_eq!(until("end", &mut there).await?, [""; 0], "after the last leave");
    }
    check_eq!(nodes[1].hub.stats().rooms, 1);
    scene.measure("rounds", rounds);
    Ok(())
}

async fn g03_a_leave_that_has_returned_is_seen_by_any_node(scene: &Scene) -> Verdict {
    let nodes = scene.nodes::<3>().await?;
    let mut all = sockets(&nodes, ["start", "room"])?;
    for (round, from) in nodes.iter().enumerate() {
        let other = &nodes[(round + 1) % 3];
        check!(from.chat.within("start").leave_sockets("room").await?.is_complete(), "somebody did not confirm");
        other.chat.to("room").emit("never").await?;
        check_eq!(fence(other, &mut all).await?, [[""; 0]; 3]);
        check!(other.chat.within("start").join_sockets("room").await?.is_complete(), "somebody did not confirm");
        from.chat.to("room").emit("again").await?;
        check_eq!(fence(from, &mut all).await?, [["again"]; 3]);
    }
    Ok(())
}

async fn g03_every_socket_of_a_target_joins_wherever_it_is(scene: &Scene) -> Verdict {
    let nodes = scene.nodes::<3>().await?;
    let mut all = sockets(&nodes, ["start"])?;
    let mut muted = sockets(&nodes, ["start", "muted"])?;
    let id = all[2].id().clone();
    let joined = nodes[0].chat.within("start").except("muted").join_sockets(["one", "two"]).await?;
    check_eq!(joined.items.len(), 3, "the nodes that confirmed");
    let _ = nodes[1].chat.within(&id).leave_sockets("two").await?;
    nodes[2].chat.to("two").emit("two").await?;
    check_eq!(fence(&nodes[2], &mut all).await?, [vec!["two"], vec!["two"], vec![]]);
    for socket in &mut muted {
        check_eq!(until("fence", socket).await?, [""; 0]);
    }
    Ok(())
}

async fn g03_a_node_that_did_not_confirm_is_named(scene: &Scene) -> Verdict {
    let [one, two, three] = scene.nodes::<3>().await?;
    let silent = three.id();
    let _there = two.socket(["start"])?;
    three.crash();
    // Over before the silence of the crashed node is its death.
    let joined = one.chat.within("start").timeout(Duration::from_secs(1)).join_sockets("room").await?;
    check_eq!(
        joined.missing.iter().map(|missing| (missing.node, missing.reason)).collect::<Vec<_>>(),
        [(silent, MissingReason::Timeout)]
    );
    check_eq!(joined.items.len(), 2, "the nodes that confirmed");
    Ok(())
}

async fn g12_rooms_and_questions_leave_no_residue(scene: &Scene) -> Verdict {
    let nodes = scene.nodes::<3>().await?;
    let all = sockets(&nodes, ["start"])?;
    for round in 0..100 {
        let from = &nodes[round % 3];
        let _ = from.chat.within("start").join_sockets([format!("a{round}"), format!("b{round}")]).await?;
        let _ = from.chat.count_sockets().await?;
        let _ = from.chat.within("start").leave_sockets([format!("a{round}"), format!("b{round}")]).await?;
    }
    for node in &nodes {
        eventually("no room but the first is left", || node.hub.stats().rooms == 1).await?;
        eventually("nothing waits", || node.cluster.stats().queued == 0 && node.cluster.stats().open_requests == 0)
            .await?;
    }
    drop(all);
    for node in &nodes {
        eventually("no room is left", || node.hub.stats().rooms == 0).await?;
    }
    Ok(())
}
