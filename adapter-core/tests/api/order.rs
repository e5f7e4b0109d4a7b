use crate::support::{narrow, next, three, three_on, until};

#[tokio::test]
async fn g02_what_one_node_does_happens_everywhere_in_the_order_of_its_calls() {
    let nodes = three_on(&narrow(600)).await;
    let mut there = nodes[1].socket(["start"]);
    let mut here = nodes[0].socket(["start"]);
    let chat = &nodes[0].chat;
    for round in 0..100 {
        let _ = chat.within("start").no_wait().join_sockets("room").await.unwrap();
        chat.to("room").emit(format!("in {round}")).await.unwrap();
        chat.to("room").emit(format!("large {round} {}", "x".repeat(round * 50))).await.unwrap();
        chat.to("room").emit(format!("small {round}")).await.unwrap();
        let _ = chat.within("start").no_wait().leave_sockets("room").await.unwrap();
        chat.to("room").emit("never").await.unwrap();
    }
    chat.emit("end").await.unwrap();
    for socket in [&mut there, &mut here] {
        let got = until("end", socket).await;
        let large = |round: usize| format!("large {round} {}", "x".repeat(round * 50));
        let want = (0..100).flat_map(|round| [format!("in {round}"), large(round), format!("small {round}")]);
        assert!(got.iter().eq(want.collect::<Vec<_>>().iter()), "{got:?}");
    }
}

#[tokio::test]
async fn g02_bye_then_disconnect_delivers_the_bye() {
    let nodes = three().await;
    let mut sockets: Vec<_> = nodes.iter().map(|node| node.socket(["room"])).collect();
    nodes[0].chat.to("room").emit("bye").await.unwrap();
    let done = nodes[0].chat.within("room").disconnect_sockets().await.unwrap();
    assert!(done.is_complete() && done.items.len() == 3);
    for socket in &mut sockets {
        assert_eq!(next(socket).await, "bye");
        assert!(socket.next().await.is_none());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g03_a_join_that_has_returned_is_seen_by_later_broadcasts_of_any_node() {
    let nodes = three().await;
    let mut there = nodes[1].socket(["start"]);
    for round in 0..2_000 {
        let room = format!("r{round}");
        let joined = nodes[0].chat.within("start").join_sockets(room.as_str()).await.unwrap();
        assert!(joined.is_complete());
        nodes[2].chat.to(room.as_str()).emit(room.clone()).await.unwrap();
        assert_eq!(next(&mut there).await, room);
        let left = nodes[2].chat.within("start").leave_sockets(room.as_str()).await.unwrap();
        assert!(left.is_complete());
        nodes[0].chat.to(room.as_str()).emit("never").await.unwrap();
    }
    nodes[0].chat.emit("end").await.unwrap();
    assert_eq!(until("end", &mut there).await, [""; 0]);
    assert_eq!(nodes[1].hub.stats().rooms, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g02_four_senders_at_full_speed_and_nothing_is_lost() {
    const EACH: usize = 5_000;
    let nodes = three().await;
    let mut there = nodes[2].socket(["room"]);
    let sends = (0..4).map(|sender: usize| {
        let chat = nodes[sender % 2].chat.clone();
        tokio::spawn(async move {
            for n in 0..EACH {
                chat.to("room").emit(format!("{sender} {n}")).await.unwrap();
            }
        })
    });
    for send in sends.collect::<Vec<_>>() {
        send.await.unwrap();
    }
    let mut expected = [0; 4];
    for _ in 0..4 * EACH {
        let got = next(&mut there).await;
        let (sender, n) = got.split_once(' ').unwrap();
        let sender: usize = sender.parse().unwrap();
        assert_eq!(n.parse::<usize>().unwrap(), expected[sender]);
        expected[sender] += 1;
    }
    assert_eq!(expected, [EACH; 4]);
    assert_eq!(nodes[2].cluster.stats().lost, 0);
}
