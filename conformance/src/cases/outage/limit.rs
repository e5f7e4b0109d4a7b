//! The broker comes back with smaller limits.

use std::time::Duration;

use roomcast_core::ErrorKind;
use roomcast_core::backend::{Outgoing, PublishError};
use roomcast_core::probe::Tapped;

use super::{all_healthy, all_receive};
use crate::failure::Verdict;
use crate::link::channel;
use crate::node::{next_bytes, sockets, soon};
use crate::random::Random;
use crate::scene::Scene;

cases! {"outage":
    Faults g13_a_broker_that_takes_less_after_a_restart_is_sent_no_more,
}

/// What was one message before the restart is several after it. A broker that announces no limit says by a refusal what it takes.
async fn g13_a_broker_that_takes_less_after_a_restart_is_sent_no_more(scene: &Scene) -> Verdict {
    let broker = scene.broker()?;
    let mut link = scene.link().await?;
    let all = channel(&scene.cluster, "all")?;
    link.subscribe(std::slice::from_ref(&all)).await?;
    let nodes = scene.nodes::<2>().await?;
    let mut there = sockets(&nodes, [])?;
    let before = link.backend.limits().max_frame;
    broker.take_less().await?;
    broker.kill().await?;
    broker.start_again().await?;
    let frame = |size: usize| Outgoing::new(all.clone(), vec![b'x'; size].into());
    let mut again = tokio::time::interval(Duration::from_millis(50));
    let learns = async {
        while link.backend.limits().max_frame >= before {
            again.tick().await;
            // While the link is down, and when it is refused, the outcome is unknown.
            drop(link.backend.publish(&[frame(before)]).await);
        }
    };
    soon("word of a smaller limit", learns).await?;
    let most = link.backend.limits().max_frame;
    let refused = soon("the refusal", link.backend.publish(&[frame(most + 1)])).await?;
    let too_large = matches!(refused, Err(PublishError::Refused { index: 0, kind: ErrorKind::TooLarge }));
    check!(too_large, "a byte more than the limit of {most}: {refused:?}");
    link.publish_all(&[frame(most)]).await?;
    let largest = frame(most).payload;
    while !matches!(soon("the largest frame", link.tap.next()).await?, Tapped::Frame(_, payload) if payload == largest)
    {
    }
    all_receive(&nodes, &mut there).await?;
    let bytes = Random(scene.seed).bytes(before);
    nodes[0].chat.emit(bytes.clone()).await?;
    while next_bytes(&mut there[1]).await? != bytes {} // behind what is left of the knocking
    all_healthy(&nodes).await
}
