use std::time::Duration;

use futures_util::StreamExt;

use roomcast_core::{Cluster, Departure, Event, Memory};

use crate::support::{Node, SOON, event, eventually, next, three};

#[tokio::test]
async fn g05_nodes_come_leave_and_die_and_the_others_are_told() {
    let memory = Memory::new();
    let one = Node::on(&memory).await;
    let mut events = one.cluster.events();
    let two = Node::with(Cluster::builder().node_name("two"), &memory).await;
    let up = event(&mut events).await;
    assert_eq!(up, Event::NodeUp(two.cluster.node()));
    assert_eq!(two.cluster.node().name, "two");

    two.cluster.close().await.unwrap();
    assert_eq!(event(&mut events).await, Event::NodeDown(two.cluster.node(), Departure::Left));

    let three = Node::on(&memory).await;
    assert_eq!(event(&mut events).await, Event::NodeUp(three.cluster.node()));
    let node = three.cluster.node();
    drop((three.chat, three.cluster));
    assert_eq!(event(&mut events).await, Event::NodeDown(node, Departure::Died));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g18_the_first_request_of_a_newcomer_asks_every_node() {
    let memory = Memory::new();
    let old = [Node::on(&memory).await, Node::on(&memory).await];
    let _sockets = old.each_ref().map(|node| node.socket(["room"]));
    for _ in 0..50 {
        let new = Node::on(&memory).await;
        let count = new.chat.count_sockets().await.unwrap();
        assert_eq!((count.total(), count.items.len()), (2, 3));
        let mut here = new.socket([]);
        old[0].chat.emit("you are in").await.unwrap();
        assert_eq!(next(&mut here).await, "you are in");
        new.cluster.close().await.unwrap();
        eventually(|| old[0].cluster.nodes().len() == 2 && old[1].cluster.nodes().len() == 2).await;
    }
}

#[tokio::test]
async fn g19_close_hands_over_what_was_accepted() {
    let [one, two, three] = three().await;
    let mut there = two.socket([]);
    for n in 0..1_000 {
        one.chat.emit(format!("{n}")).await.unwrap();
    }
    one.cluster.close().await.unwrap();
    for n in 0..1_000 {
        assert_eq!(next(&mut there).await, n.to_string());
    }
    eventually(|| two.cluster.nodes().len() == 2).await;
    assert_eq!(two.cluster.stats().lost, 0);
    drop(three);
}

#[tokio::test]
async fn g19_a_close_that_was_dropped_is_carried_on_by_the_next() {
    let memory = Memory::new();
    let stays = Node::on(&memory).await;
    let mut events = stays.cluster.events();
    let mut there = stays.socket([]);
    let mut dropped = 0;
    for polls in 0..12 {
        let leaves = Node::on(&memory).await;
        let node = leaves.cluster.node();
        assert_eq!(event(&mut events).await, Event::NodeUp(node.clone()));
        leaves.chat.emit("last words").await.unwrap();
        let mut close = Box::pin(leaves.cluster.close());
        let mut over = false;
        for _ in 0..polls {
            let poll = std::future::poll_fn(|cx| std::task::Poll::Ready(close.as_mut().poll(cx).is_ready()));
            over = poll.await;
            if over {
                break;
            }
            tokio::task::yield_now().await;
        }
        drop(close);
        dropped += u32::from(!over);
        leaves.cluster.close().await.unwrap();
        eventually(|| stays.cluster.nodes().len() == 1).await;
        assert_eq!(event(&mut events).await, Event::NodeDown(node, Departure::Left), "after {polls} polls");
        assert_eq!(next(&mut there).await, "last words");
    }
    assert!((2..12).contains(&dropped), "{dropped} were dropped half-way");
}

#[tokio::test]
async fn g19_a_future_dropped_anywhere_breaks_nothing() {
    let [one, two, _three] = three().await;
    let mut there = two.socket(["room"]);
    for polls in 0..200 {
        let mut calls: [std::pin::Pin<Box<dyn Future<Output = ()> + '_>>; 4] = [
            Box::pin(async { drop(one.chat.to("room").emit("x").await) }),
            Box::pin(async { drop(one.chat.within("room").join_sockets("other").await) }),
            Box::pin(async { drop(one.chat.fetch_sockets().await) }),
            Box::pin(async { drop(one.chat.to("room").emit_with_ack("?").await.unwrap().gather().await) }),
        ];
        for call in &mut calls {
            for _ in 0..polls % 5 {
                let poll = std::future::poll_fn(|cx| std::task::Poll::Ready(call.as_mut().poll(cx).is_ready()));
                if poll.await {
                    break;
                }
                tokio::task::yield_now().await;
            }
        }
    }
    assert_eq!(one.cluster.stats().open_requests, 0);
    one.chat.emit("end").await.unwrap();
    while next(&mut there).await != "end" {}
}

#[tokio::test]
async fn flush_waits_for_the_brokers_word_and_health_is_young() {
    let [one, _two, _three] = three().await;
    one.chat.emit("x").await.unwrap();
    one.cluster.flush(Duration::from_secs(10)).await.unwrap();
    assert_eq!(one.cluster.stats().queued, 0);
    eventually(|| one.cluster.health() < Duration::from_millis(1500)).await;
}

#[tokio::test]
async fn local_sockets_are_let_go_with_their_handle() {
    let [one, two, _three] = three().await;
    let socket = two.socket([]);
    drop(two.chat);
    assert_eq!(one.chat.count_sockets().await.unwrap().total(), 0);
    drop(socket);
}

#[tokio::test]
async fn events_are_a_stream() {
    let memory = Memory::new();
    let one = Node::on(&memory).await;
    let ups = one.cluster.events().filter_map(|event| {
        std::future::ready(match event {
            Event::NodeUp(node) => Some(node),
            _ => None,
        })
    });
    let (two, three) = (Node::on(&memory).await, Node::on(&memory).await);
    let seen: Vec<_> = ups.take(2).collect().await;
    assert_eq!(seen, [two.cluster.node(), three.cluster.node()]);
    let mut events = one.cluster.events();
    drop(one);
    let ended = async { while events.next().await.is_some() {} };
    tokio::time::timeout(SOON, ended).await.expect("the events go on");
}
