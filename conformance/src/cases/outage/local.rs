//! What goes on while the broker is down.

use std::time::{Duration, Instant};

use roomcast_core::{AckError, Emitter, ErrorKind, Event, MissingReason, WhenUnreachable};

use super::{Load, PACE, all_degraded, all_receive};
use crate::broker::MissingBroker;
use crate::failure::{Failure, Verdict};
use crate::node::{Node, event, events_so_far, next, sockets, soon};
use crate::scene::Scene;

cases! {"outage":
    Faults g06_local_sockets_are_served_while_the_broker_is_down,
    Faults g04_questions_end_at_their_deadline_and_name_everyone,
    Faults g05_an_outage_condemns_nobody,
    Faults g05_a_broker_that_stands_still_condemns_nobody,
    Faults g18_connecting_to_an_absent_broker_is_an_error,
    Faults g19_close_ends_while_the_broker_is_away,
}

async fn g06_local_sockets_are_served_while_the_broker_is_down(scene: &Scene) -> Verdict {
    let nodes = scene.nodes::<2>().await?;
    let mut here = nodes[0].socket(["room"])?;
    let mut events = [nodes[0].cluster.events()];
    scene.broker()?.kill().await?;
    // Before the node knows, and after.
    for round in 0..2 {
        let began = Instant::now();
        nodes[0].chat.to("room").emit("to all").await?;
        check_eq!(next(&mut here).await?, "to all");
        nodes[0].chat.to("room").local().emit("to mine").await?;
        check_eq!(next(&mut here).await?, "to mine");
        let _ = nodes[0].chat.within("room").no_wait().join_sockets("other").await?;
        nodes[0].chat.to("other").emit("joined").await?;
        check_eq!(next(&mut here).await?, "joined");
        check_eq!(nodes[0].chat.within("room").local().count_sockets().await?.total(), 1);
        if round == 0 {
            scene.measure_time("served_before_known_ms", began.elapsed());
            all_degraded(&mut events).await?;
        } else {
            scene.measure_time("served_ms", began.elapsed());
        }
    }
    Ok(())
}

async fn g04_questions_end_at_their_deadline_and_name_everyone(scene: &Scene) -> Verdict {
    const DEADLINE: Duration = Duration::from_millis(700);
    let nodes = scene.nodes::<3>().await?;
    let here = nodes[0].socket(["room"])?;
    let _there = nodes[1].socket(["room"])?;
    let mut events = [nodes[0].cluster.events()];
    let mut others = [nodes[1].id(), nodes[2].id()];
    others.sort_unstable();
    scene.broker()?.kill().await?;
    for known in [false, true] {
        if known {
            all_degraded(&mut events).await?;
        }
        // Once the node knows of the outage nobody is waited for; until then each question may be the one before.
        let who = |missing: &[roomcast_core::MissingNode]| -> Result<Vec<_>, Failure> {
            let expected = |why| why == MissingReason::Unreachable || !known && why == MissingReason::Timeout;
            check!(missing.iter().all(|missing| expected(missing.reason)), "why they are missing: {missing:?}");
            Ok(missing.iter().map(|missing| missing.node).collect())
        };
        let room = || nodes[0].chat.within("room").timeout(DEADLINE);
        let began = Instant::now();
        let fetched = soon("the end of a fetch", room().fetch_sockets()).await??;
        let took = began.elapsed();
        check_eq!(who(&fetched.missing)?, others, "who is missing from a fetch");
        check_eq!(fetched.items.len(), 1, "sockets of this node");
        let joined = soon("the end of a join", room().join_sockets("other")).await??;
        check_eq!(who(&joined.missing)?, others, "who is missing from a join");
        let counted = soon("the end of a count", room().count_sockets()).await??;
        check_eq!((who(&counted.missing)?, counted.total()), (others.to_vec(), 1));
        let emitted = soon("a stream of answers", room().emit_with_ack("?")).await??;
        let mut acked = soon("the end of the answers", emitted.gather()).await?;
        acked.missing.sort_unstable_by_key(|missing| missing.node);
        check_eq!(who(&acked.missing)?, others, "who is missing from the answers");
        let answers: Vec<_> = acked.acks.iter().map(|ack| (&ack.socket, &ack.answer)).collect();
        check_eq!(answers, [(here.id(), &Err(AckError::Timeout))], "the socket of this node");
        scene.measure_time(if known { "ended_after_ms" } else { "ended_before_known_after_ms" }, took);
    }
    check_eq!(nodes[0].cluster.stats().open_requests, 0);
    Ok(())
}

async fn g05_an_outage_condemns_nobody(scene: &Scene) -> Verdict {
    let broker = scene.broker()?;
    nobody_is_condemned(scene, broker.kill(), || async { Ok(broker.start_again().await?) }).await
}

async fn g05_a_broker_that_stands_still_condemns_nobody(scene: &Scene) -> Verdict {
    let broker = scene.broker()?;
    nobody_is_condemned(scene, broker.pause(), || async { Ok(broker.resume().await?) }).await
}

/// An outage longer than the silence that is taken for death.
async fn nobody_is_condemned<B: Future<Output = Verdict> + Send>(
    scene: &Scene,
    begin: impl Future<Output = Result<(), MissingBroker>> + Send,
    end: impl FnOnce() -> B + Send,
) -> Verdict {
    let nodes = scene.nodes::<3>().await?;
    let mut there = sockets(&nodes, [])?;
    let mut events: Vec<_> = nodes.iter().map(|node| node.cluster.events()).collect();
    begin.await?;
    Load::new(&nodes[..1], PACE * 9 / 2).run().await?;
    end().await?;
    let took = all_receive(&nodes, &mut there).await?;
    scene.measure_time("receives_again_ms", took);
    for (node, events) in nodes.iter().zip(&mut events) {
        let seen = events_so_far(events);
        let downs: Vec<_> =
            seen.iter().filter(|event| matches!(event, Event::NodeDown(..) | Event::Missed(_))).collect();
        check_eq!(downs, Vec::<&Event>::new(), "whom a node thought dead");
        check!(seen.iter().any(|event| matches!(event, Event::Degraded(_))), "the outage was not noticed");
        check_eq!(node.cluster.nodes().len(), 3);
    }
    let counted = nodes[2].chat.count_sockets().await?;
    check_eq!((counted.total(), counted.missing.len()), (3, 0), "sockets, and missing nodes, after it");
    Ok(())
}

async fn g18_connecting_to_an_absent_broker_is_an_error(scene: &Scene) -> Verdict {
    scene.broker()?.kill().await?;
    let builder = scene.builder().when_unreachable(WhenUnreachable::Fail);
    let failed = soon("the end of connecting", builder.connect(scene.connector()?)).await?;
    let kind = failed.err().map(|error| error.kind());
    check_eq!(kind, Some(ErrorKind::Unavailable), "a node");
    let emitter = Emitter::builder().cluster(scene.cluster.as_str());
    let failed = soon("the end of connecting", emitter.connect(scene.connector()?)).await?;
    check!(failed.is_err(), "an emitter connected to an absent broker");
    scene.broker()?.start_again().await?;
    let node = scene.node().await?;
    let mut here = node.socket([])?;
    node.chat.emit("here").await?;
    check_eq!(next(&mut here).await?, "here");
    Ok(())
}

async fn g19_close_ends_while_the_broker_is_away(scene: &Scene) -> Verdict {
    const LIMIT: Duration = Duration::from_secs(1);
    let node = scene.watched(Node::connect(scene.builder().close_timeout(LIMIT), scene.connector()?).await?);
    let mut events = node.cluster.events();
    scene.broker()?.kill().await?;
    event("word of the outage", &mut events, |event| matches!(event, Event::Degraded(_))).await?;
    node.chat.emit("never sent").await?;
    let began = Instant::now();
    let closed = soon("the end of closing", node.cluster.close()).await?;
    scene.measure_time("closed_after_ms", began.elapsed());
    let kind = closed.err().ok_or_else(|| Failure::new("what was not sent was not told"))?.kind();
    check_eq!(kind, ErrorKind::Timeout);
    check_eq!(node.chat.emit("x").await.err().map(|error| error.kind()), Some(ErrorKind::Closed));
    Ok(())
}
