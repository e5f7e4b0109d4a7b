//! What a backend says holds: that it is up, and that the broker has something.

use std::time::Duration;

use roomcast_core::backend::Outgoing;
use roomcast_core::probe::Tapped;
use tokio::time::timeout;

use crate::failure::{Failure, Verdict};
use crate::link::channel;
use crate::node::soon;
use crate::scene::Scene;

cases! {"outage":
    Proxy g07_up_is_said_once_every_channel_is_subscribed_to_again,
    Proxy g09_what_has_not_reached_the_broker_is_not_confirmed,
}

/// On a slow way the word for a subscription comes late; what others publish on a short one does not.
async fn g07_up_is_said_once_every_channel_is_subscribed_to_again(scene: &Scene) -> Verdict {
    const CHANNELS: usize = 50;
    if let Some(reason) = &scene.subject.spreads_late {
        return Err(Failure::unsuited(reason.to_string()));
    }
    let proxy = scene.proxy().await?;
    let (mut reader, publisher) = (scene.link_through(&proxy).await?, scene.link().await?);
    let mut channels = (0..CHANNELS).map(|n| channel(&scene.cluster, n)).collect::<Verdict<Vec<_>>>()?;
    reader.subscribe(&channels).await?;
    channels.sort();
    for round in 0..3 {
        proxy.delay(Duration::from_millis(100));
        proxy.cut();
        while !matches!(soon("word of the new link", reader.tap.next()).await?, Tapped::Up(_)) {}
        let payload = format!("round {round}");
        let all = channels.iter().map(|channel| Outgoing::new(channel.clone(), payload.clone().into()));
        publisher.publish_all(&all.collect::<Vec<_>>()).await?;
        let mut came = Vec::new();
        while came.len() < CHANNELS {
            came.push(reader.next().await?.0);
        }
        came.sort();
        check!(came == channels, "each channel receives once: {came:?}");
        proxy.delay(Duration::ZERO);
    }
    Ok(())
}

/// The client has written it, and it vanished on the way.
async fn g09_what_has_not_reached_the_broker_is_not_confirmed(scene: &Scene) -> Verdict {
    /// Longer than any broker takes that is there.
    const WORD: Duration = Duration::from_secs(3);
    let proxy = scene.proxy().await?;
    let link = scene.link_through(&proxy).await?;
    let channel = channel(&scene.cluster, "all")?;
    link.publish(&channel, "this one arrives").await?;
    proxy.drop_requests();
    let vanishes = [Outgoing::new(channel, "this one vanishes".into())];
    let word = timeout(WORD, link.backend.publish(&vanishes)).await;
    check!(!matches!(word, Ok(Ok(()))), "it was confirmed");
    Ok(())
}
