//! Emitting without being a node.

use std::future::ready;

use roomcast_core::{Emitter, ErrorKind, Packet};
use tokio::sync::mpsc;

use crate::failure::{Failure, Verdict};
use crate::node::{is_disconnected, next, sockets, soon, until};
use crate::scene::Scene;

cases! {"emitter":
    Nothing g20_an_emitter_does_what_a_node_does_and_is_none,
    Nothing g20_an_emitter_emits_to_servers,
    Nothing g20_a_large_packet_arrives_whole_and_one_too_large_is_refused,
    Nothing g20_what_was_emitted_arrives_although_the_emitter_is_gone_at_once,
    Nothing g20_an_emitter_that_is_closed_says_so,
}

async fn g20_an_emitter_does_what_a_node_does_and_is_none(scene: &Scene) -> Verdict {
    let nodes = scene.nodes::<3>().await?;
    let mut all = sockets(&nodes, ["start"])?;
    let emitter = scene.emitter().await?;
    let chat = || emitter.of("/chat");
    // Order between an emitter's calls is promised by none but the broker; each step is waited for.
    chat()?.within("start").join_sockets(["room", "left"]).await?;
    let rooms_of = |socket: &roomcast_core::Socket| socket.rooms().len();
    crate::node::eventually("all have joined", || all.iter().all(|socket| rooms_of(socket) == 3)).await?;
    chat()?.within("start").leave_sockets("left").await?;
    crate::node::eventually("all have left", || all.iter().all(|socket| rooms_of(socket) == 2)).await?;
    chat()?.to("left").emit("nobody").await?;
    chat()?.to("room").except(all[0].id()).emit(Packet::event("news", 7)?).await?;
    for socket in &mut all[1..] {
        check_eq!(next(socket).await?, "[\"news\",7]");
    }
    chat()?.emit("end").await?;
    for socket in &mut all {
        check_eq!(until("end", socket).await?, [""; 0]);
    }
    chat()?.to(all[2].id()).disconnect_sockets().await?;
    is_disconnected(&mut all[2]).await?;
    for node in &nodes {
        check_eq!(node.cluster.nodes().len(), 3, "an emitter is no node");
    }
    Ok(())
}

async fn g20_an_emitter_emits_to_servers(scene: &Scene) -> Verdict {
    let nodes = scene.nodes::<3>().await?;
    let (heard, mut hears) = mpsc::unbounded_channel();
    for node in &nodes {
        let heard = heard.clone();
        node.chat.on_server_event(move |event| {
            let _ = heard.send((event.event, event.data)); // the case has ended
            ready(())
        })?;
    }
    scene.emitter().await?.of("/chat")?.server_side_emit("go", "now").await?;
    for _ in 0..3 {
        check_eq!(soon("an event", hears.recv()).await?, Some(("go".to_owned(), "now".into())));
    }
    Ok(())
}

async fn g20_a_large_packet_arrives_whole_and_one_too_large_is_refused(scene: &Scene) -> Verdict {
    const MOST: usize = 3_000_000;
    let nodes = scene.nodes::<3>().await?;
    let mut all = sockets(&nodes, [])?;
    let builder = Emitter::builder().cluster(scene.cluster.as_str()).max_message(MOST);
    let emitter = builder.connect(scene.connector()?).await?;
    let refused = emitter.of("/chat")?.emit(vec![b'x'; MOST + 1]).await.err();
    check_eq!(refused.map(|error| error.kind()), Some(ErrorKind::TooLarge));
    emitter.of("/chat")?.emit(vec![b'x'; MOST]).await?;
    for socket in &mut all {
        check_eq!(next(socket).await?.len(), MOST);
    }
    Ok(())
}

async fn g20_what_was_emitted_arrives_although_the_emitter_is_gone_at_once(scene: &Scene) -> Verdict {
    const EMITTERS: usize = 50;
    let nodes = scene.nodes::<2>().await?;
    let mut all = sockets(&nodes, [])?;
    for n in 0..EMITTERS {
        let emitter = scene.emitter().await?;
        emitter.of("/chat")?.emit(n.to_string()).await?;
        if n % 2 == 0 {
            emitter.close().await?;
        }
        drop(emitter);
    }
    for socket in &mut all {
        let mut seen = vec![false; EMITTERS];
        for _ in 0..EMITTERS {
            let lost = |seen: &[bool]| seen.iter().filter(|seen| !**seen).count();
            let got = next(socket).await.map_err(|_| Failure::new(format!("{} packets never came", lost(&seen))))?;
            let n: usize = got.parse()?;
            check!(!std::mem::replace(&mut seen[n], true), "packet {n} came twice");
        }
    }
    Ok(())
}

async fn g20_an_emitter_that_is_closed_says_so(scene: &Scene) -> Verdict {
    let emitter = scene.emitter().await?;
    emitter.close().await?;
    check_eq!(emitter.of("/")?.emit("x").await.err().map(|error| error.kind()), Some(ErrorKind::Closed));
    Ok(())
}
