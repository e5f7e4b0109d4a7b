//! The broker is there, and has no room for what is published.

use std::time::Duration;

use roomcast_core::Event;

use super::all_healthy;
use crate::failure::Verdict;
use crate::node::{event, events_so_far, eventually, next};
use crate::scene::{Scene, acquainted};

cases! {"outage":
    Faults g08_a_full_broker_is_named_once_and_what_is_sent_meanwhile_arrives,
}

/// Another link would meet the same, and each costs a broker that is short of something.
async fn g08_a_full_broker_is_named_once_and_what_is_sent_meanwhile_arrives(scene: &Scene) -> Verdict {
    const PACKETS: usize = 100;
    let broker = scene.broker()?;
    broker.prepare_to_fill().await?;
    let proxy = scene.proxy().await?;
    let nodes = [scene.node_through(&proxy).await?, scene.node_through(&proxy).await?];
    acquainted(&nodes).await?;
    all_healthy(&nodes).await?;
    let (mut there, mut events) = (nodes[1].socket([])?, nodes[0].cluster.events());
    let says = broker.fill().await?;
    let connections = proxy.counts().accepted;
    for n in 0..PACKETS {
        nodes[0].chat.emit(n.to_string()).await?;
    }
    // Longer than a link lasts on which nothing comes back.
    let old = || nodes[0].cluster.health() > Duration::from_secs(5);
    eventually("the last echo is old", old).await?;
    check_eq!(proxy.counts().accepted, connections, "connections while the broker is full");
    let meanwhile = events_so_far(&mut events);
    let named = |event: &&Event| matches!(event, Event::Degraded(_) | Event::Refused { .. });
    let told: Vec<_> = meanwhile.iter().filter(named).map(ToString::to_string).collect();
    check!(matches!(&told[..], [once] if once.contains(says)), "it is told once that {says}: {told:?}");
    broker.relieve().await?;
    for n in 0..PACKETS {
        check_eq!(next(&mut there).await?, n.to_string());
    }
    let mut again = Vec::new();
    let recovery = |event: &Event| {
        again.extend(Some(event).filter(named).map(ToString::to_string));
        matches!(event, Event::Recovered)
    };
    event("its recovery", &mut events, recovery).await?;
    check!(again.is_empty(), "it is told once more: {again:?}");
    check_eq!((nodes[0].cluster.stats().refused, nodes[1].cluster.stats().lost), (0, 0), "refused and lost");
    Ok(())
}
