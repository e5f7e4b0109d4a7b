//! Packets of every size.

use std::collections::BTreeSet;

use roomcast_core::{ErrorKind, Event};

use crate::failure::{Failure, Verdict};
use crate::node::{Node, events_so_far, is_of_a_cut, next, next_bytes};
use crate::random::Random;
use crate::scene::{Scene, acquainted};

cases! {"limits":
    Nothing g13_every_size_arrives_byte_for_byte_and_in_order,
    Nothing g13_the_largest_packet_cuts_nobody,
    Nothing g13_a_packet_over_max_message_is_refused_before_anything_is_sent,
}

/// What the core wraps around a packet is less than this.
const WRAPPING: usize = 200;

async fn g13_every_size_arrives_byte_for_byte_and_in_order(scene: &Scene) -> Verdict {
    let nodes = scene.nodes::<3>().await?;
    let mut there = nodes[2].socket([])?;
    let max_frame = scene.link().await?.backend.limits().max_frame;
    // Around powers of two, around where one message becomes two, and around where the writer's packing ends.
    let mut sizes: BTreeSet<usize> =
        (0..=20).flat_map(|power| [(1_usize << power) - 1, 1 << power, (1 << power) + 1]).collect();
    for whole in [max_frame, 64 << 10] {
        if whole <= 2 << 20 {
            sizes.extend((whole.saturating_sub(WRAPPING)..=whole + 2).step_by(7));
            sizes.extend((2 * whole).saturating_sub(WRAPPING)..(2 * whole).saturating_sub(WRAPPING) + 3);
        }
    }
    let mut random = Random(scene.seed);
    for size in sizes {
        let bytes = random.bytes(size);
        nodes[0].chat.emit(bytes.clone()).await?;
        nodes[0].chat.emit("small").await?;
        check!(next_bytes(&mut there).await? == bytes, "{size} bytes did not arrive as they were");
        check_eq!(next(&mut there).await?, "small");
    }
    check_eq!(nodes[2].cluster.stats().lost, 0);
    Ok(())
}

async fn g13_the_largest_packet_cuts_nobody(scene: &Scene) -> Verdict {
    const MOST: usize = 16 << 20;
    let nodes = scene.nodes::<2>().await?;
    let mut there = nodes[1].socket([])?;
    let mut events: Vec<_> = nodes.iter().map(|node| node.cluster.events()).collect();
    let bytes = Random(scene.seed).bytes(MOST);
    nodes[0].chat.emit(bytes.clone()).await?;
    nodes[0].chat.emit("small").await?;
    check!(next_bytes(&mut there).await? == bytes, "16 MiB did not arrive as they were");
    check_eq!(next(&mut there).await?, "small");
    for events in &mut events {
        let mut told = events_so_far(events);
        told.retain(|event| match event {
            Event::Degraded(_) => is_of_a_cut(event),
            event => *event != Event::Recovered,
        });
        check_eq!(told, [], "what happened meanwhile");
    }
    Ok(())
}

async fn g13_a_packet_over_max_message_is_refused_before_anything_is_sent(scene: &Scene) -> Verdict {
    const MOST: usize = 100_000;
    let builder = || scene.builder().max_message(MOST);
    let nodes = [
        scene.watched(Node::connect(builder(), scene.connector()?).await?),
        scene.watched(Node::connect(builder(), scene.connector()?).await?),
    ];
    acquainted(&nodes).await?;
    let (mut here, mut there) = (nodes[0].socket([])?, nodes[1].socket([])?);
    let refused =
        nodes[0].chat.emit(vec![0; MOST + 1]).await.err().ok_or_else(|| Failure::new("it was not refused"))?;
    check_eq!((refused.kind(), refused.served_locally()), (ErrorKind::TooLarge, false));
    let asked = nodes[0].chat.emit_with_ack(vec![0; MOST + 1]).await;
    check_eq!(asked.err().map(|error| error.kind()), Some(ErrorKind::TooLarge));
    nodes[0].chat.emit(vec![b'x'; MOST]).await?;
    for socket in [&mut here, &mut there] {
        check_eq!(next(socket).await?.len(), MOST, "the first that arrives");
    }
    Ok(())
}
