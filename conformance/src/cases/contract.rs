//! What the core relies on in every backend: subscriptions, order, and the end.

use std::time::{Duration, Instant};

use adapter_core::backend::{Channel, Outgoing};
use adapter_core::probe::{Tap, Tapped};

use crate::failure::{Failure, Verdict, short};
use crate::link::channel;
use crate::node::soon;
use crate::scene::Scene;

cases! {"contract":
    Nothing g18_what_is_published_after_subscribe_has_returned_is_received,
    Nothing g18_many_channels_are_confirmed_together,
    Ordered g02_one_publishers_frames_keep_their_order_across_channels,
    Nothing g10_every_frame_arrives_once_at_every_subscriber,
    Nothing g07_a_publisher_receives_its_own_frames,
    Nothing g15_a_channel_carries_what_was_published_on_it_alone,
    Nothing g19_unsubscribe_ends_what_is_received,
    Nothing g09_a_reader_that_is_too_slow_loses_nothing_silently,
    Nothing g14_a_channel_that_nobody_reads_takes_messages,
    Nothing g19_close_ends_twice_and_hurts_no_other,
    Nothing g19_what_is_called_after_close_ends,
}

/// 10,000 rounds, or as many as fit into five seconds if those are 100.
async fn g18_what_is_published_after_subscribe_has_returned_is_received(scene: &Scene) -> Verdict {
    const TIME: Duration = Duration::from_secs(5);
    let (mut reader, publisher) = (scene.link().await?, scene.link().await?);
    let began = Instant::now();
    let mut rounds = 0_u64;
    while rounds < 100 || rounds < 10_000 && began.elapsed() < TIME {
        let channel = channel(&scene.cluster, rounds)?;
        let payload = rounds.to_string();
        reader.subscribe(std::slice::from_ref(&channel)).await?;
        publisher.publish(&channel, payload.clone()).await?;
        reader.expect(&channel, payload.as_bytes()).await?;
        reader.unsubscribe(std::slice::from_ref(&channel)).await?;
        reader.tap.wants().remove(&[channel]);
        rounds += 1;
    }
    scene.measure("rounds", rounds);
    Ok(())
}

async fn g18_many_channels_are_confirmed_together(scene: &Scene) -> Verdict {
    const CHANNELS: usize = 500;
    let (mut reader, publisher) = (scene.link().await?, scene.link().await?);
    let channels = (0..CHANNELS).map(|n| channel(&scene.cluster, n)).collect::<Verdict<Vec<_>>>()?;
    reader.subscribe_to(&publisher, &channels).await?;
    // The last first: a backend that confirmed the first alone would be seen.
    let frames: Vec<_> =
        channels.iter().rev().map(|to| Outgoing::new(to.clone(), to.as_str().to_owned().into())).collect();
    publisher.publish_all(&frames).await?;
    let mut missing: std::collections::BTreeSet<_> = channels.into_iter().collect();
    while !missing.is_empty() {
        let (on, payload) = reader
            .next()
            .await
            .map_err(|_| Failure::new(format!("nothing came on {} of them: {}", missing.len(), short(&missing))))?;
        check!(payload == on.as_str(), "{payload:?} came on {on}");
        check!(missing.remove(&on), "{on} carried two");
    }
    Ok(())
}

async fn g02_one_publishers_frames_keep_their_order_across_channels(scene: &Scene) -> Verdict {
    const BATCHES: usize = 200;
    const EACH: usize = 25;
    let (mut reader, publisher) = (scene.link().await?, scene.link().await?);
    let channels = (0..3).map(|n| channel(&scene.cluster, n)).collect::<Verdict<Vec<_>>>()?;
    reader.subscribe_to(&publisher, &channels).await?;
    for batch in 0..BATCHES {
        let frame = |at: usize| {
            let n = batch * EACH + at;
            Outgoing::new(channels[n * 7 % 3].clone(), format!("{n} {}", "x".repeat(n * 13 % 300)).into())
        };
        publisher.publish_all(&(0..EACH).map(frame).collect::<Vec<_>>()).await?;
    }
    for n in 0..BATCHES * EACH {
        let (on, payload) = reader.next().await?;
        let first = payload.split(|byte| *byte == b' ').next().unwrap_or_default();
        check_eq!(String::from_utf8_lossy(first), n.to_string(), "the frame in place {n}");
        check_eq!(on, channels[n * 7 % 3]);
    }
    Ok(())
}

async fn g10_every_frame_arrives_once_at_every_subscriber(scene: &Scene) -> Verdict {
    const FRAMES: usize = 2_000;
    let mut readers = [scene.link().await?, scene.link().await?, scene.link().await?];
    let publisher = scene.link().await?;
    let channel = channel(&scene.cluster, "all")?;
    for reader in &mut readers {
        reader.subscribe_to(&publisher, std::slice::from_ref(&channel)).await?;
    }
    for batch in (0..FRAMES).collect::<Vec<_>>().chunks(40) {
        let frame = |n: &usize| Outgoing::new(channel.clone(), n.to_string().into());
        publisher.publish_all(&batch.iter().map(frame).collect::<Vec<_>>()).await?;
    }
    publisher.publish(&channel, "end").await?;
    for reader in &mut readers {
        let mut seen = vec![0; FRAMES];
        let mut left = FRAMES + 1;
        while left > 0 {
            let (_, payload) = reader.next().await.map_err(|_| Failure::new(lost(&seen)))?;
            left -= 1;
            if payload != "end" {
                let n: usize = String::from_utf8_lossy(&payload).parse()?;
                check!(n < FRAMES, "frame {n} was never sent");
                seen[n] += 1;
                check!(seen[n] == 1, "frame {n} came twice");
            }
        }
    }
    Ok(())
}

fn lost(seen: &[u32]) -> String {
    let lost: Vec<_> = seen.iter().enumerate().filter(|(_, times)| **times == 0).map(|(n, _)| n).collect();
    format!("{} frames never came: {}", lost.len(), short(&lost))
}

/// A node's own heartbeats prove its link by coming back.
async fn g07_a_publisher_receives_its_own_frames(scene: &Scene) -> Verdict {
    let mut link = scene.link().await?;
    let channel = channel(&scene.cluster, "own")?;
    link.subscribe(std::slice::from_ref(&channel)).await?;
    for n in 0..100 {
        link.publish(&channel, n.to_string()).await?;
        link.expect(&channel, n.to_string().as_bytes()).await?;
    }
    Ok(())
}

async fn g15_a_channel_carries_what_was_published_on_it_alone(scene: &Scene) -> Verdict {
    // Names that patterns, wildcards, prefixes and the case of letters could mix up.
    let names = ["a", "A", "a.b", "a.b.c", "a.c", "ab", "a-b", "a_b", "a.B", "b.a"];
    let publisher = scene.link().await?;
    let mut readers = Vec::new();
    for name in names {
        let channel = channel(&scene.cluster, name)?;
        let mut link = scene.link().await?;
        // The inbox takes whatever comes; only one of the channels was subscribed to.
        let all = names.iter().map(|name| self::channel(&scene.cluster, name)).collect::<Verdict<Vec<_>>>()?;
        link.tap.wants().add(&all);
        link.subscribe_to(&publisher, std::slice::from_ref(&channel)).await?;
        readers.push((link, channel));
    }
    for (_, channel) in &readers {
        publisher.publish(channel, channel.as_str().to_owned()).await?;
    }
    for (_, channel) in &readers {
        publisher.publish(channel, "end").await?;
    }
    for (link, channel) in &mut readers {
        link.expect(channel, channel.as_str().as_bytes()).await?;
        link.expect(channel, b"end").await?;
    }
    Ok(())
}

async fn g19_unsubscribe_ends_what_is_received(scene: &Scene) -> Verdict {
    const TRIES: u32 = 1_000;
    let (mut reader, publisher) = (scene.link().await?, scene.link().await?);
    let (ended, kept) = (channel(&scene.cluster, "ended")?, channel(&scene.cluster, "kept")?);
    reader.subscribe_to(&publisher, &[ended.clone(), kept.clone()]).await?;
    publisher.publish(&ended, "before").await?;
    reader.expect(&ended, b"before").await?;
    reader.unsubscribe(std::slice::from_ref(&ended)).await?;
    // What is under way may still come; then nothing does. The inbox would take it.
    for _ in 0..TRIES {
        publisher.publish(&ended, "after").await?;
        publisher.publish(&kept, "fence").await?;
        let (on, _) = reader.next().await?;
        if on == kept {
            publisher.publish(&ended, "after").await?;
            publisher.publish(&kept, "last").await?;
            return reader.expect(&kept, b"last").await;
        }
        let (on, _) = reader.next().await?;
        check_eq!(on, kept);
    }
    Err(Failure::new(format!("messages still come after {TRIES} tries")))
}

/// Either its source waits, or it is told.
async fn g09_a_reader_that_is_too_slow_loses_nothing_silently(scene: &Scene) -> Verdict {
    const FRAMES: usize = 5_000;
    let mut reader = scene.link_with(Tap::new(16, 1 << 20)).await?;
    let publisher = scene.link().await?;
    let channel = channel(&scene.cluster, "much")?;
    reader.subscribe_to(&publisher, std::slice::from_ref(&channel)).await?;
    let publish = async {
        for batch in 0..FRAMES / 100 {
            let frame = |at: usize| Outgoing::new(channel.clone(), (batch * 100 + at).to_string().into());
            publisher.publish_all(&(0..100).map(frame).collect::<Vec<_>>()).await?;
        }
        loop {
            publisher.publish(&channel, "end").await?; // until the reader has seen enough of them
            tokio::task::yield_now().await; // a backend that never waits would leave the reader no turn
        }
    };
    let read = async {
        let (mut seen, mut left, mut told, mut ends) = (vec![0; FRAMES], FRAMES, false, 0);
        while left > 0 {
            match soon("a frame", reader.tap.next()).await? {
                Tapped::Frame(_, payload) if payload == "end" => {
                    ends += 1;
                    if told {
                        return Ok(());
                    }
                    check!(ends < 1_000, "nothing was said, but {}", lost(&seen));
                }
                Tapped::Frame(_, payload) => {
                    let n: usize = String::from_utf8_lossy(&payload).parse()?;
                    seen[n] += 1;
                    check!(seen[n] == 1, "frame {n} came twice");
                    left -= 1;
                }
                Tapped::Down(_) => told = true,
                Tapped::Up(_) | Tapped::Refused(..) => {}
            }
        }
        Ok(())
    };
    tokio::select! {
        failed = publish => failed,
        seen = read => seen,
    }
}

async fn g14_a_channel_that_nobody_reads_takes_messages(scene: &Scene) -> Verdict {
    let mut link = scene.link().await?;
    let heard = channel(&scene.cluster, "heard")?;
    link.subscribe(std::slice::from_ref(&heard)).await?;
    for n in 0..100 {
        link.publish(&channel(&scene.cluster, n)?, "unheard").await?;
    }
    link.publish(&heard, "heard").await?;
    link.expect(&heard, b"heard").await
}

async fn g19_close_ends_twice_and_hurts_no_other(scene: &Scene) -> Verdict {
    let (closed, mut other) = (scene.link().await?, scene.link().await?);
    let channel = channel(&scene.cluster, "all")?;
    for link in [&closed, &other] {
        link.subscribe(std::slice::from_ref(&channel)).await?;
    }
    closed.close().await?;
    // A second time there is nothing to do; saying so is fine, too.
    drop(soon("the end of the second close", closed.backend.close()).await?);
    other.publish(&channel, "still here").await?;
    other.expect(&channel, b"still here").await
}

async fn g19_what_is_called_after_close_ends(scene: &Scene) -> Verdict {
    let link = scene.link().await?;
    let channel: Channel = channel(&scene.cluster, "all")?;
    link.close().await?;
    // Whether they fail is the backend's affair; waiting for ever is not.
    drop(soon("the end of a subscribe after close", link.backend.subscribe(std::slice::from_ref(&channel))).await?);
    drop(
        soon("the end of a publish after close", link.backend.publish(&[Outgoing::new(channel.clone(), "x".into())]))
            .await?,
    );
    drop(soon("the end of an unsubscribe after close", link.backend.unsubscribe(&[channel])).await?);
    Ok(())
}
