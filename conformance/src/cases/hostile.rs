//! Bytes that nobody of the cluster sent.

use std::time::Duration;

use roomcast_core::backend::{Channel, Outgoing};
use roomcast_core::{ClusterName, NodeId};
use tokio::time::timeout;

use crate::failure::Verdict;
use crate::frame::{self, Head};
use crate::link::Link;
use crate::node::{Node, PATIENCE, eventually, next, sockets, soon, until};
use crate::random::Random;
use crate::scene::Scene;

cases! {"hostile":
    Nothing g14_garbage_on_every_channel_is_counted_and_hurts_nobody,
    Nothing g14_damaged_frames_hurt_nobody,
    Nothing g14_a_length_that_is_only_claimed_hurts_nobody,
    Nothing g16_an_unknown_kind_is_skipped_and_counted,
    Nothing g16_a_frame_of_a_later_version_is_skipped_and_counted,
    Nothing g16_an_unknown_request_is_answered_unsupported,
}

fn cluster_channel(scene: &Scene) -> Verdict<Channel> {
    Ok(Channel::cluster(&ClusterName::new(scene.cluster.as_str())?))
}

fn inbox(scene: &Scene, node: NodeId) -> Verdict<Channel> {
    Ok(Channel::inbox(&ClusterName::new(scene.cluster.as_str())?, node))
}

/// A link that none of the nodes knows, and that hears these channels. Where subscriptions spread late, it waits until what
/// it sends reaches all of the nodes; what they send reaches it then, too.
async fn stranger(scene: &Scene, nodes: &[Node; 2], channels: &[Channel]) -> Verdict<Link> {
    const TO_KNOCK: &[u8] = b"\x05/chat\x01\x01\x05knock\x00\x00\x00\x00";
    const AGAIN: Duration = Duration::from_millis(20);
    let stranger = scene.link().await?;
    stranger.subscribe(channels).await?;
    if scene.subject.spreads_late.is_none() {
        return Ok(stranger);
    }
    let (channel, sender) = (cluster_channel(scene)?, NodeId::random()?);
    for mut socket in sockets(nodes, ["knock"])? {
        let mut counter = 0;
        let heard = async {
            while let Err(_late) = {
                counter += 1;
                stranger.publish(&channel, Head::new(16, sender, counter).frame(TO_KNOCK, b"knock")).await?;
                timeout(AGAIN, socket.next()).await
            } {}
            Verdict::Ok(())
        };
        soon("a stranger's first frame", heard).await??;
    }
    Ok(stranger)
}

/// Publishes as a node does: several at once.
async fn in_batches(stranger: &Link, frames: &[Outgoing]) -> Verdict {
    for batch in frames.chunks(20) {
        stranger.publish_all(batch).await?;
    }
    Ok(())
}

/// All is as before: packets arrive in order, questions are answered, nobody is lost or new.
async fn all_is_well(nodes: &[Node; 2]) -> Verdict {
    let mut socket = nodes[0].socket(["well"])?;
    for n in 0..100 {
        nodes[1].chat.to("well").emit(n.to_string()).await?;
    }
    nodes[1].chat.to("well").emit("end").await?;
    let got = until("end", &mut socket).await?;
    check_eq!(got, (0..100).map(|n| n.to_string()).collect::<Vec<_>>());
    for node in nodes {
        let counted = node.chat.within("well").count_sockets().await?;
        check_eq!((counted.total(), counted.items.len(), counted.missing.len()), (1, 2, 0), "sockets, nodes, missing");
        check_eq!((node.cluster.nodes().len(), node.cluster.stats().lost), (2, 0), "nodes, lost");
    }
    Ok(())
}

async fn g14_garbage_on_every_channel_is_counted_and_hurts_nobody(scene: &Scene) -> Verdict {
    const ROUNDS: usize = 2_000;
    let nodes = scene.nodes::<2>().await?;
    let stranger = stranger(scene, &nodes, &[]).await?;
    let mut channels = vec![cluster_channel(scene)?];
    for node in &nodes {
        channels.push(inbox(scene, node.id())?);
    }
    let most = stranger.backend.limits().max_frame.min(100_000);
    let mut random = Random(scene.seed);
    let mut frames = Vec::new();
    for round in 0..ROUNDS {
        let len = if round % 500 == 0 { most } else { random.below(97) };
        let mut bytes = random.bytes(len);
        if round % 2 == 0 {
            let magic = bytes.len().min(4);
            bytes[..magic].copy_from_slice(&b"RC\x01\x01"[..magic]);
        }
        frames.extend(channels.iter().map(|channel| Outgoing::new(channel.clone(), bytes.clone().into())));
    }
    in_batches(&stranger, &frames).await?;
    all_is_well(&nodes).await?;
    for node in &nodes {
        // One drop for each message, the empty ones too: those to everyone, and those to its own inbox.
        let counted = || {
            let stats = node.cluster.stats();
            stats.malformed + stats.unknown_kind + stats.too_new
        };
        eventually("what came is counted", || counted() >= 2 * ROUNDS as u64).await?;
        check_eq!(counted(), 2 * ROUNDS as u64);
        check_eq!(node.cluster.stats().panics, 0);
    }
    Ok(())
}

/// Real frames, cut short, made longer, with bytes changed; from strangers, since a node's own name is proof until
/// frames are sealed.
async fn g14_damaged_frames_hurt_nobody(scene: &Scene) -> Verdict {
    let nodes = scene.nodes::<2>().await?;
    let channel = cluster_channel(scene)?;
    let mut stranger = stranger(scene, &nodes, std::slice::from_ref(&channel)).await?;
    let samples = samples(&nodes, &mut stranger).await?;
    let mut random = Random(scene.seed);
    let mut frames = Vec::new();
    for round in 0..3_000 {
        let mut bytes = samples[round % samples.len()].clone();
        bytes[8..24].copy_from_slice(&random.bytes(16));
        match round % 3 {
            0 => bytes.truncate(random.below(bytes.len())),
            1 => bytes.extend(random.bytes(1 + round % 50)),
            _ => {
                // Not the kind: what is no longer this operation but another one, say, is not damaged but forged.
                let at = 24 + random.below(bytes.len() - 24);
                let at = if at == frame::kind_at(&bytes) { at + 1 } else { at };
                bytes[at] ^= 1 << random.below(8);
            }
        }
        frames.push(Outgoing::new(channel.clone(), bytes.into()));
    }
    in_batches(&stranger, &frames).await?;
    all_is_well(&nodes).await?;
    for node in &nodes {
        eventually("what came is counted", || node.cluster.stats().malformed > 1_000).await?;
        check_eq!(node.cluster.stats().panics, 0);
    }
    Ok(())
}

/// Operations as they are on the wire.
async fn samples(nodes: &[Node; 2], stranger: &mut Link) -> Verdict<Vec<Vec<u8>>> {
    let (chat, cluster) = (&nodes[0].chat, &nodes[0].cluster);
    chat.to("nobody is here").except("muted").emit("sample").await?;
    cluster.flush(PATIENCE).await?; // each in a message of its own
    let _ = chat.within("nobody is here").no_wait().join_sockets(["a", "b"]).await?;
    cluster.flush(PATIENCE).await?;
    let _ = chat.within("nobody is here").count_sockets().await?;
    chat.server_side_emit("sample", "data").await?;
    let mut samples = Vec::new();
    while samples.len() < 4 {
        let (_, payload) = stranger.next().await?;
        if frame::kind(&payload) >= 16 {
            samples.push(payload.to_vec());
        }
    }
    Ok(samples)
}

async fn g14_a_length_that_is_only_claimed_hurts_nobody(scene: &Scene) -> Verdict {
    let nodes = scene.nodes::<2>().await?;
    let stranger = stranger(scene, &nodes, &[]).await?;
    let channel = cluster_channel(scene)?;
    let sender = NodeId::random()?;
    let mut frames = Vec::new();
    for n in 1..=1_000_u64 {
        // The first of very many parts of a packet of 4 GiB, of which no second one ever comes.
        let part = Head { part: Some((0, 100_000_000, 10, u32::MAX - 10)), ..Head::new(16, sender, n) };
        frames.push(Outgoing::new(channel.clone(), part.frame(b"", b"piece").into()));
        // A room list of 2^32 rooms.
        let body = [b"\x01/\x01\xfc\xff\xff\xff\xff".as_slice(), &[0; 8]].concat();
        frames.push(Outgoing::new(channel.clone(), Head::new(16, sender, 1_000 + n).frame(&body, b"").into()));
    }
    in_batches(&stranger, &frames).await?;
    all_is_well(&nodes).await
}

async fn g16_an_unknown_kind_is_skipped_and_counted(scene: &Scene) -> Verdict {
    let nodes = scene.nodes::<2>().await?;
    let stranger = stranger(scene, &nodes, &[]).await?;
    let sender = NodeId::random()?;
    let mut sockets = sockets(&nodes, [])?;
    for n in 1..=10 {
        // In one message with it, behind it: a broadcast that is known, to everyone in `/chat`.
        let known = Head::new(16, sender, 100 + n).frame(b"\x05/chat\x00\x00\x00\x00\x00", n.to_string().as_bytes());
        let unknown = Head::new(1000, sender, n).frame(b"whatever", b"comes");
        stranger.publish(&cluster_channel(scene)?, [unknown, known].concat()).await?;
    }
    for (node, socket) in nodes.iter().zip(&mut sockets) {
        for n in 1..=10 {
            check_eq!(next(socket).await?, n.to_string(), "behind a frame of unknown kind");
        }
        check_eq!((node.cluster.stats().unknown_kind, node.cluster.stats().malformed), (10, 0), "unknown, malformed");
    }
    drop(sockets);
    all_is_well(&nodes).await
}

async fn g16_a_frame_of_a_later_version_is_skipped_and_counted(scene: &Scene) -> Verdict {
    let nodes = scene.nodes::<2>().await?;
    let stranger = stranger(scene, &nodes, &[]).await?;
    let sender = NodeId::random()?;
    let mut sockets = sockets(&nodes, [])?;
    let broadcast = |counter, packet: &[u8], version| {
        let head = Head { version, ..Head::new(16, sender, counter) };
        head.frame(b"\x05/chat\x00\x00\x00\x00\x00", packet)
    };
    let frames = [
        broadcast(1, b"not for version 1", (2, 2)),
        broadcast(2, b"for version 1, too", (2, 1)),
        broadcast(3, b"neither", (9, 3)),
        broadcast(4, b"of today", (1, 1)),
    ];
    stranger.publish(&cluster_channel(scene)?, frames.concat()).await?;
    for (node, socket) in nodes.iter().zip(&mut sockets) {
        check_eq!(next(socket).await?, "for version 1, too");
        check_eq!(next(socket).await?, "of today");
        check_eq!(node.cluster.stats().too_new, 2);
    }
    drop(sockets);
    all_is_well(&nodes).await
}

async fn g16_an_unknown_request_is_answered_unsupported(scene: &Scene) -> Verdict {
    const HELLO: u16 = 1;
    const WELCOME: u16 = 2;
    const BYE: u16 = 4;
    const UNSUPPORTED: u16 = 71;
    let nodes = scene.nodes::<2>().await?;
    let (sender, cluster) = (NodeId::random()?, cluster_channel(scene)?);
    let mut stranger = stranger(scene, &nodes, &[inbox(scene, sender)?]).await?;
    // Only a node is answered. Its name is `s`, and it has not counted yet.
    stranger.publish(&cluster, Head::new(HELLO, sender, 1).frame(b"\x01s\x01\x00", b"")).await?;
    from_each(&nodes, &mut stranger, WELCOME).await?;
    let question = Head { request: Some(42), ..Head::new(200, sender, 2) };
    stranger.publish(&cluster, question.frame(b"?", b"")).await?;
    from_each(&nodes, &mut stranger, UNSUPPORTED).await?;
    stranger.publish(&cluster, Head::new(BYE, sender, 3).frame(b"\x01\x00\x00", b"")).await?;
    for node in &nodes {
        eventually("the stranger has left", || node.cluster.nodes().len() == 2).await?;
    }
    all_is_well(&nodes).await
}

/// Waits for one message of this kind from each of the nodes.
async fn from_each(nodes: &[Node; 2], stranger: &mut Link, kind: u16) -> Verdict {
    let mut answered = Vec::new();
    while answered.len() < nodes.len() {
        let (_, payload) = stranger.next().await?;
        if frame::kind(&payload) == kind {
            answered.push(frame::sender(&payload));
        }
    }
    let mut want = nodes.each_ref().map(Node::id);
    answered.sort_unstable();
    want.sort_unstable();
    check_eq!(answered, want, "who sent kind {kind}");
    Ok(())
}
