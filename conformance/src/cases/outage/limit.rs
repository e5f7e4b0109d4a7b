//! The broker comes back with smaller limits.

use adapter_core::ErrorKind;
use adapter_core::backend::{Outgoing, PublishError};
use adapter_core::probe::Tapped;

use super::{all_healthy, all_receive};
use crate::failure::{Failure, Verdict};
use crate::link::channel;
use crate::node::{next_bytes, sockets, soon};
use crate::random::Random;
use crate::scene::Scene;

cases! {"outage":
    Faults g13_a_broker_that_takes_less_after_a_restart_is_sent_no_more,
}

/// What was one message before the restart is several after it.
async fn g13_a_broker_that_takes_less_after_a_restart_is_sent_no_more(scene: &Scene) -> Verdict {
    let command = scene.subject.takes_less.as_ref();
    let command = command.ok_or_else(|| Failure::unsuited("the subject does not say how its broker takes less"))?;
    let broker = scene.broker()?;
    let mut link = scene.link().await?;
    let all = channel(&scene.cluster, "all")?;
    link.subscribe(std::slice::from_ref(&all)).await?;
    let nodes = scene.nodes::<2>().await?;
    let mut there = sockets(&nodes, [])?;
    let before = link.backend.limits().max_frame;
    broker.run(0, &command.iter().map(|word| &**word).collect::<Vec<_>>()).await?;
    broker.kill().await?;
    broker.start_again().await?;
    while !matches!(soon("word of the new link", link.tap.next()).await?, Tapped::Up(_)) {}
    let most = link.backend.limits().max_frame;
    check!(most < before, "the limit is {most} bytes, and was {before}");
    let frame = |size: usize| Outgoing::new(all.clone(), vec![b'x'; size].into());
    let refused = soon("the refusal", link.backend.publish(&[frame(most + 1)])).await?;
    let too_large = matches!(refused, Err(PublishError::Refused { index: 0, kind: ErrorKind::TooLarge }));
    check!(too_large, "a byte more than the limit: {refused:?}");
    link.publish_all(&[frame(most)]).await?;
    link.expect(&all, &vec![b'x'; most]).await?;
    all_receive(&nodes, &mut there).await?;
    let bytes = Random(scene.seed).bytes(before);
    nodes[0].chat.emit(bytes.clone()).await?;
    while next_bytes(&mut there[1]).await? != bytes {} // behind what is left of the knocking
    all_healthy(&nodes).await
}
