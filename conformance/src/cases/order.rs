//! In the order of the calls.

use crate::failure::{Failure, Verdict};
use crate::node::{is_disconnected, next, sockets, until};
use crate::random::Random;
use crate::scene::Scene;

cases! {"order":
    Nothing g02_what_one_node_does_happens_everywhere_in_the_order_of_its_calls,
    Nothing g02_bye_then_disconnect_delivers_the_bye,
    Nothing g02_four_senders_and_64_rooms_at_full_speed,
    Nothing g02_small_packets_do_not_overtake_large_ones,
}

async fn g02_what_one_node_does_happens_everywhere_in_the_order_of_its_calls(scene: &Scene) -> Verdict {
    let nodes = scene.nodes::<3>().await?;
    let mut there = nodes[1].socket(["start"])?;
    let mut here = nodes[0].socket(["start"])?;
    let chat = &nodes[0].chat;
    let large = |round: usize| format!("large {round} {}", "x".repeat(round * 50));
    for round in 0..100 {
        let _ = chat.within("start").no_wait().join_sockets("room").await?;
        chat.to("room").emit(format!("in {round}")).await?;
        chat.to("room").emit(large(round)).await?;
        chat.to("room").emit(format!("small {round}")).await?;
        let _ = chat.within("start").no_wait().leave_sockets("room").await?;
        chat.to("room").emit("never").await?;
    }
    chat.emit("end").await?;
    for socket in [&mut there, &mut here] {
        let got = until("end", socket).await?;
        let want = (0..100).flat_map(|round| [format!("in {round}"), large(round), format!("small {round}")]);
        for (place, want) in want.enumerate() {
            check_eq!(got.get(place), Some(&want), "place {place} of {}", got.len());
        }
        check_eq!(got.len(), 300);
    }
    Ok(())
}

async fn g02_bye_then_disconnect_delivers_the_bye(scene: &Scene) -> Verdict {
    let nodes = scene.nodes::<3>().await?;
    let mut all = sockets(&nodes, ["room"])?;
    nodes[0].chat.to("room").emit("bye").await?;
    let done = nodes[0].chat.within("room").disconnect_sockets().await?;
    check_eq!((done.items.len(), done.missing.len()), (3, 0), "who has done so, and who has not");
    for socket in &mut all {
        check_eq!(next(socket).await?, "bye");
        is_disconnected(socket).await?;
    }
    Ok(())
}

async fn g02_four_senders_and_64_rooms_at_full_speed(scene: &Scene) -> Verdict {
    const EACH: usize = 2_000;
    const ROOMS: usize = 64;
    let nodes = scene.nodes::<4>().await?;
    let names: Vec<_> = (0..ROOMS).map(|room| format!("r{room}")).collect();
    let mut sockets = Vec::new();
    for node in &nodes {
        let socket = node.socket([])?;
        socket.join(names.as_slice())?;
        sockets.push(socket);
    }
    let send = |sender: usize| {
        let (chat, names, mut random) = (&nodes[sender].chat, &names, Random(scene.seed ^ sender as u64));
        async move {
            for n in 0..EACH {
                chat.to(names[random.below(ROOMS)].as_str()).emit(format!("{sender} {n}")).await?;
            }
            Verdict::Ok(())
        }
    };
    futures_util::future::try_join_all((0..4).map(send)).await?;
    for (at, socket) in sockets.iter_mut().enumerate() {
        let mut expected = [0; 4];
        for _ in 0..4 * EACH {
            let got = next(socket).await.map_err(|_| Failure::new(format!("node {at} has got only {expected:?}")))?;
            let (sender, n) = got.split_once(' ').ok_or_else(|| Failure::new("what was never sent"))?;
            let sender: usize = sender.parse()?;
            check_eq!(n.parse::<usize>()?, expected[sender], "the next of sender {sender} at node {at}");
            expected[sender] += 1;
        }
        check_eq!(nodes[at].cluster.stats().lost, 0);
    }
    Ok(())
}

async fn g02_small_packets_do_not_overtake_large_ones(scene: &Scene) -> Verdict {
    let nodes = scene.nodes::<2>().await?;
    let mut there = nodes[1].socket([])?;
    let sizes = [3 << 20, 1, 100_000, 0, 1 << 20, 65_536, 2];
    for size in sizes {
        nodes[0].chat.emit(vec![b'x'; size]).await?;
    }
    for size in sizes {
        check_eq!(next(&mut there).await?.len(), size);
    }
    Ok(())
}
