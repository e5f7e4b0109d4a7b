//! Questions to every node.

use std::time::{Duration, Instant};

use roomcast_core::{Gathered, MissingNode, MissingReason, NodeId, Projection};

use crate::failure::{Failure, Verdict};
use crate::node::{eventually, sockets, soon};
use crate::scene::Scene;

cases! {"requests":
    Nothing g04_fetch_count_and_rooms_ask_every_node,
    Nothing g04_local_and_addressed_questions_ask_nobody_else,
    Nothing g04_a_node_that_left_is_not_asked,
    Nothing g04_a_node_that_dies_is_named,
    Nothing g04_the_deadline_bounds_a_question_and_names_who_is_silent,
    Nothing g04_a_question_that_is_dropped_leaves_nothing,
    Nothing g04_a_late_joiner_is_neither_awaited_nor_counted,
    Nothing g04_many_questions_at_once_get_their_own_answers,
}

pub(super) fn who(missing: &[MissingNode]) -> Vec<(NodeId, MissingReason)> {
    missing.iter().map(|missing| (missing.node, missing.reason)).collect()
}

async fn g04_fetch_count_and_rooms_ask_every_node(scene: &Scene) -> Verdict {
    let nodes = scene.nodes::<3>().await?;
    let all = sockets(&nodes, ["room", "a"])?;
    all[1].set_data("about me")?;
    for from in &nodes {
        let found = from.chat.within("room").fetch_sockets().await?;
        check_eq!((found.missing.len(), found.items.len()), (0, 3), "missing nodes and sockets");
        let second =
            found.items.iter().find(|info| info.id == *all[1].id()).ok_or_else(|| Failure::new("one is not there"))?;
        check_eq!((second.node, &second.data[..], second.rooms.len()), (nodes[1].id(), &b"about me"[..], 2));

        let ids = from.chat.within(all[2].id()).fetch(Projection::Ids).await?;
        check_eq!(ids.items.len(), 1);
        check!(ids.items[0].rooms.is_empty(), "rooms came that were not asked for");

        let counts = from.chat.except(all[2].id()).count_sockets().await?;
        check_eq!((counts.items.len(), counts.total()), (3, 2), "nodes and sockets");

        let mut rooms = from.chat.within("room").rooms().await?.items;
        rooms.sort();
        check_eq!(rooms.iter().map(|room| room.as_str()).collect::<Vec<_>>(), ["a", "room"]);
        check_eq!(from.cluster.stats().open_requests, 0);
    }
    Ok(())
}

async fn g04_local_and_addressed_questions_ask_nobody_else(scene: &Scene) -> Verdict {
    let nodes = scene.nodes::<3>().await?;
    let _all = sockets(&nodes, ["room"])?;
    check_eq!(nodes[0].chat.within("room").local().fetch_sockets().await?.items.len(), 1);
    let there = nodes[2].id();
    check_eq!(nodes[0].chat.within("room").on_node(there).count_sockets().await?.items, [(there, 1)]);
    Ok(())
}

async fn g04_a_node_that_left_is_not_asked(scene: &Scene) -> Verdict {
    let [one, two, three] = scene.nodes::<3>().await?;
    two.cluster.close().await?;
    eventually("two nodes are left", || one.cluster.nodes().len() == 2).await?;
    let asked = soon("the answers", one.chat.timeout(Duration::from_secs(60)).count_sockets()).await??;
    check_eq!((asked.items.len(), asked.missing.len()), (2, 0), "answers and missing");
    drop(three);
    Ok(())
}

async fn g04_a_node_that_dies_is_named(scene: &Scene) -> Verdict {
    let [one, two, three] = scene.nodes::<3>().await?;
    let dead = three.id();
    three.crash();
    let asked = soon("the end of the question", one.chat.timeout(Duration::from_secs(60)).count_sockets()).await??;
    check_eq!(who(&asked.missing), [(dead, MissingReason::Died)]);
    check_eq!((asked.items.len(), one.cluster.nodes().len()), (2, 2), "answers, nodes");
    drop(two);
    Ok(())
}

async fn g04_the_deadline_bounds_a_question_and_names_who_is_silent(scene: &Scene) -> Verdict {
    let [one, two, three] = scene.nodes::<3>().await?;
    let silent = three.id();
    three.crash();
    let began = Instant::now();
    // Long enough for a healthy node on a busy machine, and over before the silence of the other is its death.
    let asked = one.chat.timeout(Duration::from_secs(1)).count_sockets().await?;
    scene.measure_time("ended_after_ms", began.elapsed());
    check_eq!(who(&asked.missing), [(silent, MissingReason::Timeout)]);
    check_eq!(asked.items.len(), 2, "answers");
    drop(two);
    Ok(())
}

async fn g04_a_question_that_is_dropped_leaves_nothing(scene: &Scene) -> Verdict {
    let [one, _two, three] = scene.nodes::<3>().await?;
    three.crash();
    let asked = tokio::time::timeout(Duration::from_millis(50), one.chat.count_sockets()).await;
    check!(asked.is_err(), "the dead node was not waited for");
    check_eq!(one.cluster.stats().open_requests, 0);
    Ok(())
}

async fn g04_a_late_joiner_is_neither_awaited_nor_counted(scene: &Scene) -> Verdict {
    let [one, two, three] = scene.nodes::<3>().await?;
    let dead = three.id();
    three.crash(); // it holds the question open while another node comes
    let question = one.chat.timeout(Duration::from_secs(60)).count_sockets();
    let (asked, late) = tokio::join!(soon("the end of the question", question), scene.node());
    let (asked, late) = (asked??, late?);
    check_eq!(who(&asked.missing), [(dead, MissingReason::Died)]);
    let answered: Vec<_> = asked.items.iter().map(|(node, _)| *node).collect();
    check!(!answered.contains(&late.id()), "the late joiner was counted");
    check!(answered.contains(&two.id()) && answered.contains(&one.id()), "only {answered:?} were counted");
    Ok(())
}

async fn g04_many_questions_at_once_get_their_own_answers(scene: &Scene) -> Verdict {
    let nodes = scene.nodes::<3>().await?;
    let mut all = Vec::new();
    for n in 0..20 {
        all.push(nodes[n % 3].socket([format!("r{n}").as_str()])?);
    }
    let ask = |n: usize| {
        let chat = &nodes[(n + 1) % 3].chat;
        let room = format!("r{}", n % 20);
        async move { chat.within(room).fetch(Projection::Ids).await }
    };
    let answers = futures_util::future::join_all((0..300).map(ask)).await;
    for (n, answer) in answers.into_iter().enumerate() {
        let Gathered { items, missing, .. } = answer?;
        check_eq!(missing.len(), 0);
        check_eq!(items.iter().map(|info| &info.id).collect::<Vec<_>>(), [all[n % 20].id()]);
    }
    for node in &nodes {
        check_eq!(node.cluster.stats().open_requests, 0);
    }
    Ok(())
}
