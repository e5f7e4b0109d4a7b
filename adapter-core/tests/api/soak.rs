//! A long time of faults, under a clock that does not wait: nothing is lost, and nothing is left.

use std::time::Duration;

use roomcast_core::{Cluster, Hub, Memory, Socket};
use tokio::time::sleep;

use crate::faulty::{Faulty, Mode};
use crate::outage::pair;
use crate::support::{Node, next, until};

/// Every five seconds the first node's link breaks for half a second, while both emit. Each socket gets everything.
async fn outages(nodes: [&Node; 2], link: &Faulty, sockets: &mut [Socket; 2], count: usize) {
    for outage in 0..count {
        link.set(Mode::Down).await;
        for n in 0..10 {
            for node in nodes {
                node.chat.emit(format!("{outage} {n}")).await.unwrap();
            }
        }
        sleep(Duration::from_millis(500)).await; // by the paused clock, as all here: the outage lasts
        link.set(Mode::Up).await;
        let sender = nodes[outage % 2];
        sender.cluster.flush(Duration::from_secs(10)).await.unwrap();
        sleep(Duration::from_millis(4500)).await; // until the next outage
        sender.chat.emit("end").await.unwrap();
        for socket in sockets.iter_mut() {
            assert_eq!(until("end", socket).await.len(), 20, "outage {outage}");
        }
    }
    sleep(Duration::from_secs(70)).await; // nodes keep nothing for longer than a minute
}

#[test]
fn g09_g12_an_hour_of_outages_loses_nothing_and_leaves_no_memory_behind() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let (one, link, two) = runtime.block_on(pair(Cluster::builder()));
    let mut sockets = [one.socket([]), two.socket([])];
    runtime.block_on(outages([&one, &two], &link, &mut sockets, 20));
    let hour = allocation_counter::measure(|| {
        runtime.block_on(outages([&one, &two], &link, &mut sockets, 720));
    });
    assert_eq!((one.cluster.stats().lost, two.cluster.stats().lost), (0, 0));
    assert!(one.cluster.stats().repaired >= 7_200, "{:?}", one.cluster.stats());
    // 30 bytes for each outage would be more.
    assert!(hour.bytes_current < 20_000, "{} bytes are left", hour.bytes_current);
}

/// So many questions, of which one message in a hundred is lost.
async fn questions(one: &Node, count: usize) {
    for n in 0..count {
        let counted = one.chat.to([format!("room {n}").as_str()]).count_sockets().await.unwrap();
        assert!(counted.is_complete(), "question {n}: {:?}", counted.missing);
    }
    sleep(Duration::from_secs(70)).await;
}

#[test]
fn g04_g12_questions_are_answered_although_answers_are_lost_and_leave_no_memory_behind() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let (two, link, one) = runtime.block_on(pair(Cluster::builder()));
    runtime.block_on(async {
        link.set(Mode::Leaky).await;
        questions(&one, 2_000).await;
    });
    let many = allocation_counter::measure(|| runtime.block_on(questions(&one, 100_000)));
    let stats = one.cluster.stats();
    assert!(stats.repaired >= 900 && stats.lost == 0, "{stats:?}");
    assert!(many.bytes_current < 20_000, "{} bytes are left", many.bytes_current);
    drop(two);
}

/// Emits to two hundred sockets of another node, all of which read but one, until that one is disconnected.
async fn beside_one_that_stopped(sender: &Node, node: &Node) {
    let mut sockets: Vec<_> = (0..200).map(|_| node.socket([])).collect();
    let mut stopped = sockets.pop().unwrap();
    let mut sent = 0;
    while node.hub.stats().sockets == 200 {
        sender.chat.emit(format!("{sent}")).await.unwrap();
        sent += 1;
        for socket in &mut sockets {
            assert_eq!(next(socket).await, format!("{}", sent - 1));
        }
    }
    assert!(sent > QUEUE, "it was disconnected after {sent}");
    assert!(stopped.next().await.is_none(), "it is told, and what it did not read is gone");
    drop((sockets, stopped));
    sleep(Duration::from_secs(70)).await;
}

/// So many deliveries wait for one socket.
const QUEUE: usize = 1_000;

#[test]
fn g11_g12_one_that_stops_reading_among_200_leaves_no_memory_behind() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let (sender, node) = runtime.block_on(async {
        let memory = Memory::new();
        let mut node = Node::on(&memory).await;
        node.hub = Hub::builder().queue(QUEUE).build();
        node.chat = node.cluster.namespace("/few", node.hub.clone()).await.unwrap();
        let mut sender = Node::on(&memory).await;
        sender.chat = sender.cluster.namespace("/few", Hub::new()).await.unwrap();
        beside_one_that_stopped(&sender, &node).await;
        (sender, node)
    });
    let again = allocation_counter::measure(|| runtime.block_on(beside_one_that_stopped(&sender, &node)));
    // One delivery for each of its queue would be more.
    assert!(again.bytes_current < 20_000, "{} bytes are left", again.bytes_current);
}
