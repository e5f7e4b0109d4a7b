//! Payloads of every size, and what is too large, as a backend carries them.

use std::collections::BTreeSet;

use roomcast_core::ErrorKind;
use roomcast_core::backend::{Outgoing, PublishError};

use crate::failure::{Failure, Verdict};
use crate::link::channel;
use crate::node::soon;
use crate::random::Random;
use crate::scene::Scene;

cases! {"contract":
    Nothing g13_every_payload_up_to_max_frame_arrives_as_it_was,
    Nothing g13_a_payload_over_max_frame_is_refused_and_nothing_after_it_is_sent,
    Nothing g13_limits_leave_room_for_a_header,
    Nothing g01_every_byte_is_carried_as_it_is,
}

/// The largest payload that is worth the time.
const LARGE: usize = 16 << 20;

/// Zero, one, and around every power of two; and the largest.
fn sizes(max_frame: usize) -> BTreeSet<usize> {
    let most = max_frame.min(LARGE);
    let powers = (0..=24).flat_map(|power| [(1_usize << power) - 1, 1 << power, (1 << power) + 1]);
    powers.chain([0, most.saturating_sub(1), most]).filter(|size| *size <= most).collect()
}

async fn g13_every_payload_up_to_max_frame_arrives_as_it_was(scene: &Scene) -> Verdict {
    let (mut reader, publisher) = (scene.link().await?, scene.link().await?);
    let channel = channel(&scene.cluster, "sizes")?;
    reader.subscribe_to(&publisher, std::slice::from_ref(&channel)).await?;
    let mut random = Random(scene.seed);
    for size in sizes(publisher.backend.limits().max_frame) {
        let payload = random.bytes(size);
        publisher.publish(&channel, payload.clone()).await?;
        reader.expect(&channel, &payload).await?;
    }
    Ok(())
}

async fn g13_a_payload_over_max_frame_is_refused_and_nothing_after_it_is_sent(scene: &Scene) -> Verdict {
    let (mut reader, publisher) = (scene.link().await?, scene.link().await?);
    let max = publisher.backend.limits().max_frame;
    if max > 1 << 30 {
        return Err(Failure::unsuited("the link has no bound on a message's size that could be reached"));
    }
    let channel = channel(&scene.cluster, "sizes")?;
    reader.subscribe_to(&publisher, std::slice::from_ref(&channel)).await?;
    for place in [0, 1, 3] {
        let frame = |at: usize| {
            let payload = if at == place { vec![b'x'; max + 1] } else { at.to_string().into_bytes() };
            Outgoing::new(channel.clone(), payload.into())
        };
        let frames: Vec<_> = (0..5).map(frame).collect();
        match soon("the refusal", publisher.backend.publish(&frames)).await? {
            Err(PublishError::Refused { index, kind }) => {
                check_eq!((index, kind), (place, ErrorKind::TooLarge), "what was refused, and why");
            }
            other => return Err(Failure::new(format!("{} bytes over max_frame {max}: {other:?}", max + 1))),
        }
        // The link lives on, and what follows comes next.
        publisher.publish(&channel, "fence").await?;
        for before in 0..place {
            reader.expect(&channel, before.to_string().as_bytes()).await?;
        }
        reader.expect(&channel, b"fence").await?;
    }
    Ok(())
}

async fn g13_limits_leave_room_for_a_header(scene: &Scene) -> Verdict {
    let link = scene.link().await?;
    let max = link.backend.limits().max_frame;
    check!(max >= roomcast_core::backend::Limits::MIN_FRAME, "max_frame is {max}");
    Ok(())
}

async fn g01_every_byte_is_carried_as_it_is(scene: &Scene) -> Verdict {
    let (mut reader, publisher) = (scene.link().await?, scene.link().await?);
    let channel = channel(&scene.cluster, "bytes")?;
    reader.subscribe_to(&publisher, std::slice::from_ref(&channel)).await?;
    let all: Vec<u8> = (0..=u8::MAX).collect();
    let mut payloads: Vec<Vec<u8>> = all.iter().map(|byte| vec![*byte]).collect();
    payloads.push(all);
    // What text protocols end, quote or escape with.
    payloads
        .extend(["\r\n", "\r\n.\r\n", "\0", "'", "\\", "$1", "MSG a 1 1\r\nx\r\n", "+OK\r\n"].map(|text| text.into()));
    for payload in payloads {
        publisher.publish(&channel, payload.clone()).await?;
        reader.expect(&channel, &payload).await?;
    }
    Ok(())
}
