//! Events between servers.

use std::future::ready;
use std::time::Duration;

use roomcast_core::MissingReason;
use tokio::sync::mpsc;

use super::requests::who;
use crate::failure::{Failure, Verdict};
use crate::node::soon;
use crate::scene::Scene;

cases! {"requests":
    Nothing g02_server_side_events_reach_the_others_in_order_and_not_their_sender,
    Nothing g04_one_answer_for_each_server_and_who_has_no_handler_is_named,
}

async fn g02_server_side_events_reach_the_others_in_order_and_not_their_sender(scene: &Scene) -> Verdict {
    const EVENTS: usize = 100;
    let nodes = scene.nodes::<3>().await?;
    let (heard, mut hears) = mpsc::unbounded_channel();
    for (at, node) in nodes.iter().enumerate() {
        let heard = heard.clone();
        node.chat.on_server_event(move |event| {
            let _ = heard.send((at, event.from, event.event, event.data)); // the case has ended
            ready(())
        })?;
    }
    for n in 0..EVENTS {
        nodes[0].chat.server_side_emit("recompute", n.to_string()).await?;
    }
    let mut next = [0, 0, 0];
    for _ in 0..2 * EVENTS {
        let heard = soon("an event", hears.recv()).await?;
        let (at, from, event, data) = heard.ok_or_else(|| Failure::new("the handlers have ended"))?;
        check_eq!((from, event.as_str()), (nodes[0].id(), "recompute"));
        check_eq!(data, next[at].to_string(), "at node {at}");
        next[at] += 1;
    }
    check_eq!(next, [0, EVENTS, EVENTS]);
    Ok(())
}

async fn g04_one_answer_for_each_server_and_who_has_no_handler_is_named(scene: &Scene) -> Verdict {
    let nodes = scene.nodes::<3>().await?;
    nodes[1].chat.on_server_event(|event| {
        if let Some(reply) = event.reply {
            reply.send([&event.data[..], b" done"].concat());
        }
        ready(())
    })?;
    let answers = nodes[0].chat.server_side_emit_with_ack("do", "it", Duration::from_secs(10)).await?;
    check_eq!(answers.items, [(nodes[1].id(), "it done".into())]);
    check_eq!(who(&answers.missing), [(nodes[2].id(), MissingReason::NoHandler)]);
    Ok(())
}
