//! Who gets what is emitted.

use roomcast_core::{Hub, Packet, Room, SlowPolicy};

use crate::failure::Verdict;
use crate::node::{fence, next, next_bytes, sockets, until};
use crate::scene::Scene;

cases! {"broadcast":
    Nothing g01_union_of_rooms_reaches_each_socket_once,
    Nothing g01_except_beats_rooms,
    Nothing g01_the_private_room_works_from_anywhere,
    Nothing g01_no_rooms_is_everyone_and_an_empty_list_is_nobody,
    Nothing g01_namespaces_do_not_mix,
    Nothing g01_local_reaches_this_node_alone,
    Nothing g01_one_node_can_be_addressed,
    Nothing g01_a_volatile_packet_reaches_sockets_that_are_ready,
    Nothing g01_binary_and_empty_packets_arrive_byte_for_byte,
    Nothing g01_one_socket_id_on_two_nodes_is_two_sockets_in_one_room,
    Nothing g11_a_socket_that_does_not_read_slows_nobody,
}

const NOTHING: [&str; 0] = [];

async fn g01_union_of_rooms_reaches_each_socket_once(scene: &Scene) -> Verdict {
    let nodes = scene.nodes::<3>().await?;
    let mut both = sockets(&nodes, ["a", "b"])?;
    let mut one = sockets(&nodes, ["b"])?;
    let mut out = sockets(&nodes, ["c"])?;
    for from in &nodes {
        from.chat.to("a").to(["b"]).emit("x").await?;
        check_eq!(fence(from, &mut both).await?, [["x"], ["x"], ["x"]], "those in both rooms");
        for (sockets, want) in [(&mut one, vec!["x"]), (&mut out, vec![])] {
            for socket in sockets {
                check_eq!(until("fence", socket).await?, want);
            }
        }
    }
    Ok(())
}

async fn g01_except_beats_rooms(scene: &Scene) -> Verdict {
    let nodes = scene.nodes::<3>().await?;
    let mut heard = sockets(&nodes, ["a"])?;
    let mut muted = sockets(&nodes, ["a", "b", "muted"])?;
    for from in &nodes {
        from.chat.to(["a", "b"]).except("muted").emit("x").await?;
        check_eq!(fence(from, &mut heard).await?, [["x"], ["x"], ["x"]]);
        for socket in &mut muted {
            check_eq!(until("fence", socket).await?, NOTHING);
        }
    }
    Ok(())
}

async fn g01_the_private_room_works_from_anywhere(scene: &Scene) -> Verdict {
    let nodes = scene.nodes::<3>().await?;
    let mut there = sockets(&nodes, [])?;
    let id = there[2].id().clone();
    for from in &nodes {
        from.chat.to(&id).emit("only you").await?;
        from.chat.except(&id).emit("all but you").await?;
        check_eq!(fence(from, &mut there).await?, [["all but you"], ["all but you"], ["only you"]]);
    }
    Ok(())
}

async fn g01_no_rooms_is_everyone_and_an_empty_list_is_nobody(scene: &Scene) -> Verdict {
    let nodes = scene.nodes::<3>().await?;
    let mut all = sockets(&nodes, ["a"])?;
    for from in &nodes {
        from.chat.to(Vec::<Room>::new()).emit("nobody").await?;
        from.chat.emit("everyone").await?;
        check_eq!(fence(from, &mut all).await?, [["everyone"], ["everyone"], ["everyone"]]);
    }
    Ok(())
}

async fn g01_namespaces_do_not_mix(scene: &Scene) -> Verdict {
    let nodes = scene.nodes::<3>().await?;
    let mut chat = sockets(&nodes, ["a"])?;
    let hub = Hub::new();
    let other = nodes[2].cluster.namespace("/other", hub.clone()).await?;
    let mut elsewhere = hub.connect()?;
    elsewhere.join("a")?;
    nodes[0].cluster.of("/other")?.to("a").emit("other").await?;
    check_eq!(fence(&nodes[0], &mut chat).await?, [NOTHING; 3]);
    check_eq!(next(&mut elsewhere).await?, "other");
    nodes[0].chat.to("a").emit("chat").await?;
    other.emit("end").await?;
    check_eq!(until("end", &mut elsewhere).await?, NOTHING);
    Ok(())
}

async fn g01_local_reaches_this_node_alone(scene: &Scene) -> Verdict {
    let nodes = scene.nodes::<3>().await?;
    let mut all = sockets(&nodes, ["a"])?;
    nodes[1].chat.to("a").local().emit("here").await?;
    check_eq!(fence(&nodes[1], &mut all).await?, [vec![], vec!["here"], vec![]]);
    Ok(())
}

async fn g01_one_node_can_be_addressed(scene: &Scene) -> Verdict {
    let nodes = scene.nodes::<3>().await?;
    let mut all = sockets(&nodes, ["a"])?;
    nodes[0].chat.to("a").on_node(nodes[2].id()).emit("there").await?;
    check_eq!(fence(&nodes[0], &mut all).await?, [vec![], vec![], vec!["there"]]);
    Ok(())
}

async fn g01_a_volatile_packet_reaches_sockets_that_are_ready(scene: &Scene) -> Verdict {
    let nodes = scene.nodes::<3>().await?;
    let mut all = sockets(&nodes, ["a"])?;
    nodes[0].chat.to("a").volatile().emit("perhaps").await?;
    for socket in &mut all {
        check_eq!(next(socket).await?, "perhaps");
    }
    Ok(())
}

async fn g01_binary_and_empty_packets_arrive_byte_for_byte(scene: &Scene) -> Verdict {
    let nodes = scene.nodes::<3>().await?;
    let mut all = sockets(&nodes, [])?;
    let every: Vec<u8> = (0..=u8::MAX).collect();
    for from in &nodes {
        for data in [every.clone(), Vec::new(), vec![0; 100], b"\r\n\0\xff".to_vec()] {
            from.chat.emit(data.clone()).await?;
            for socket in &mut all {
                check!(next_bytes(socket).await? == data, "other bytes came than the {} that were sent", data.len());
            }
        }
        from.chat.emit(Packet::event("news", 7)?).await?;
        for socket in &mut all {
            check_eq!(next(socket).await?, "[\"news\",7]");
        }
    }
    Ok(())
}

async fn g01_one_socket_id_on_two_nodes_is_two_sockets_in_one_room(scene: &Scene) -> Verdict {
    let nodes = scene.nodes::<3>().await?;
    let id = roomcast_core::SocketId::new("same")?;
    let mut first = nodes[0].hub.connect_as(id.clone())?;
    let mut second = nodes[1].hub.connect_as(id.clone())?;
    nodes[2].chat.to(&id).emit("both").await?;
    check_eq!((next(&mut first).await?, next(&mut second).await?), ("both".to_owned(), "both".to_owned()));
    Ok(())
}

async fn g11_a_socket_that_does_not_read_slows_nobody(scene: &Scene) -> Verdict {
    const EACH: usize = 2_000;
    const QUEUE: usize = 64;
    let nodes = scene.nodes::<2>().await?;
    let hub = Hub::builder().queue(QUEUE).slow(SlowPolicy::DropNewest).build();
    let _there = nodes[1].cluster.namespace("/chat", hub.clone()).await?;
    let silent = hub.connect()?;
    let mut reads = nodes[1].socket([])?;
    for n in 0..EACH {
        nodes[0].chat.emit(n.to_string()).await?;
    }
    for n in 0..EACH {
        check_eq!(next(&mut reads).await?, n.to_string());
    }
    let lost = (EACH - QUEUE) as u64;
    crate::node::eventually("what the silent socket lost is counted", || hub.stats().dropped_slow == lost).await?;
    drop(silent);
    Ok(())
}
