//! A broker that is there and takes nothing.

use std::time::Duration;

use roomcast_core::{Cluster, Event};

use crate::faulty::Mode;
use crate::outage::pair;
use crate::support::{event, next, told};

/// Another link would meet the same, and each costs a broker that is short of something.
#[tokio::test(start_paused = true)]
async fn g08_a_broker_that_takes_nothing_is_named_once_and_its_link_is_kept() {
    let (one, link, two) = pair(Cluster::builder()).await;
    let (mut there, mut events) = (two.socket([]), one.cluster.events());
    link.set(Mode::Full).await;
    for n in 0..100 {
        one.chat.emit(n.to_string()).await.unwrap();
    }
    let reason = told(&mut events, |event| match event {
        Event::Degraded(reason) => Some(reason.clone()),
        _ => None,
    });
    assert_eq!(reason.await, "the disk is full: make room");
    // Longer than it takes for any silent link to be given up.
    let more = tokio::time::timeout(
        Duration::from_secs(30),
        told(&mut events, |event| matches!(event, Event::Degraded(_)).then_some(())),
    );
    assert!(more.await.is_err(), "it was told again");
    assert_eq!(link.resets(), 0);
    link.set(Mode::Up).await;
    for n in 0..100 {
        assert_eq!(next(&mut there).await, n.to_string());
    }
    while event(&mut events).await != Event::Recovered {}
    assert_eq!((one.cluster.stats().refused, two.cluster.stats().lost), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn g07_a_broker_that_took_nothing_and_falls_silent_is_left() {
    let (one, link, two) = pair(Cluster::builder()).await;
    let (mut there, mut events) = (two.socket([]), one.cluster.events());
    link.set(Mode::Full).await;
    one.chat.emit("kept").await.unwrap();
    told(&mut events, |event| matches!(event, Event::Degraded(_)).then_some(())).await;
    link.set(Mode::Dead).await; // until the link is given up
    assert_eq!(next(&mut there).await, "kept");
    assert_eq!(link.resets(), 1);
}
