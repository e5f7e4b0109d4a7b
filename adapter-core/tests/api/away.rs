//! Serving local sockets from the start, while the broker is away.

use std::time::Duration;

use roomcast_core::{Cluster, ClusterBuilder, ErrorKind, Event, Events, Memory, MissingNode, MissingReason, NodeId};
use roomcast_core::{Hub, WhenUnreachable};
use tokio::time::Instant;

use crate::starting::{AWAY, Attempt, Late};
use crate::support::{Node, SOON, event, eventually, narrow, next};

const EVERYBODY: [MissingNode; 1] = [MissingNode::new(NodeId::UNKNOWN, MissingReason::Unreachable)];

fn local_first() -> ClusterBuilder {
    Cluster::builder().when_unreachable(WhenUnreachable::ServeLocally)
}

/// A node whose broker is away until it is told to come.
async fn away(memory: &Memory) -> (Node, Late) {
    let broker = Late::new(memory, [AWAY; 10_000]);
    (serving(&broker).await, broker)
}

async fn serving(broker: &Late) -> Node {
    let cluster = local_first().connect(broker.clone()).await.unwrap();
    let hub = Hub::new();
    let chat = cluster.namespace("/chat", hub.clone()).await.unwrap();
    Node { cluster, chat, hub }
}

/// By the paused clock a minute is soon: attempts are rare once an outage is long, or the broker refuses.
async fn recovered(events: &mut Events) {
    while event(events).await != Event::Recovered {}
}

#[tokio::test(start_paused = true)]
async fn g06_local_sockets_are_served_before_the_broker_is_there_and_the_rest_follows() {
    let memory = Memory::new();
    let other = Node::on(&memory).await;
    let began = Instant::now();
    let (node, broker) = away(&memory).await;
    assert!(began.elapsed() < Duration::from_millis(10), "{:?}", began.elapsed());
    let (mut here, mut there) = (node.socket(["room"]), other.socket(["room"]));
    for n in 0..100 {
        node.chat.to("room").emit(n.to_string()).await.unwrap();
        assert_eq!(next(&mut here).await, n.to_string(), "at once");
    }
    assert!(broker.attempts() < 3, "and not after {} attempts", broker.attempts());
    let mut events = node.cluster.events();
    broker.comes();
    recovered(&mut events).await;
    for n in 0..100 {
        assert_eq!(next(&mut there).await, n.to_string());
    }
    other.chat.to("room").emit("back").await.unwrap();
    assert_eq!(next(&mut here).await, "back");
    assert_eq!((node.cluster.nodes().len(), other.cluster.stats().lost), (2, 0));
    assert!(node.chat.count_sockets().await.unwrap().missing.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_node_without_its_broker_says_so() {
    let memory = Memory::new();
    let (node, broker) = away(&memory).await;
    for _ in 0..2 {
        assert!(matches!(event(&mut node.cluster.events()).await, Event::Degraded(_)), "each reader is told");
    }
    assert_eq!(node.cluster.health(), Duration::MAX);
    let mut events = node.cluster.events();
    broker.comes();
    assert!(matches!(event(&mut events).await, Event::Degraded(_)));
    recovered(&mut events).await;
    assert!(node.cluster.health() < Duration::from_millis(1500));
    let mut later = node.cluster.events();
    Node::on(&memory).await;
    assert!(matches!(event(&mut later).await, Event::NodeUp(_)), "it is not degraded any more");
}

#[tokio::test(start_paused = true)]
async fn g04_questions_end_at_once_and_do_not_look_complete() {
    let (node, _broker) = away(&Memory::new()).await;
    let _here = node.socket(["room"]);
    let began = Instant::now();
    let found = node.chat.within("room").fetch_sockets().await.unwrap();
    assert_eq!((found.items.len(), &found.missing[..]), (1, &EVERYBODY[..]));
    let counted = node.chat.count_sockets().await.unwrap();
    assert_eq!((counted.total(), &counted.missing[..]), (1, &EVERYBODY[..]));
    assert_eq!(node.chat.rooms().await.unwrap().missing, EVERYBODY);
    assert_eq!(node.chat.server_side_emit_with_ack("do", "it", SOON).await.unwrap().missing, EVERYBODY);
    let joined = node.chat.within("room").join_sockets("other").await.unwrap();
    assert_eq!((joined.items.len(), &joined.missing[..]), (1, &EVERYBODY[..]));
    let acks = node.chat.to("nobody").emit_with_ack("?").await.unwrap().gather().await;
    assert_eq!(acks.missing, EVERYBODY);
    assert!(began.elapsed() < Duration::from_millis(10), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn g08_what_waits_for_the_broker_is_bounded() {
    let broker = Late::new(&Memory::new(), [AWAY; 10_000]);
    let cluster = local_first().queue_bytes(2048).connect(broker).await.unwrap();
    let hub = Hub::new();
    let chat = cluster.namespace("/chat", hub.clone()).await.unwrap();
    let mut here = hub.connect().unwrap();
    let refused = loop {
        let sent = chat.emit("x".repeat(300)).await;
        next(&mut here).await;
        if let Err(refused) = sent {
            break refused;
        }
    };
    assert_eq!((refused.kind(), refused.served_locally()), (ErrorKind::Unavailable, true));
    chat.volatile().emit("now or never").await.unwrap();
    assert_eq!(cluster.stats().volatile_dropped, 1);
}

#[tokio::test(start_paused = true)]
async fn what_waiting_cannot_mend_is_an_error_when_it_is_known_at_once() {
    for kind in [ErrorKind::Denied, ErrorKind::Config, ErrorKind::Unexpected] {
        let broker = Late::new(&Memory::new(), [Attempt::Refuses(kind); 100]);
        let error = local_first().connect(broker.clone()).await.unwrap_err();
        assert_eq!((error.kind(), broker.attempts()), (kind, 1));
        tokio::time::sleep(Duration::from_secs(60)).await; // by the paused clock
        assert_eq!(broker.attempts(), 1, "and nothing goes on");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_later_is_told_once_for_each_cause_and_tried_again() {
    use Attempt::Refuses;
    let denied = Refuses(ErrorKind::Denied);
    let failures = [AWAY, denied, denied, Refuses(ErrorKind::Config), AWAY, Attempt::BreaksAtOnce];
    let broker = Late::new(&Memory::new(), failures);
    let node = serving(&broker).await;
    let mut events = node.cluster.events();
    let mut refusals = Vec::new();
    loop {
        match event(&mut events).await {
            Event::Refused { kind, .. } => refusals.push(kind),
            Event::Recovered => break,
            _ => {}
        }
    }
    assert_eq!(refusals, [ErrorKind::Denied, ErrorKind::Config]);
    assert_eq!(broker.attempts(), 7);
}

#[tokio::test(start_paused = true)]
async fn g23_an_attempt_that_panics_or_never_ends_is_not_the_last() {
    let memory = Memory::new();
    let other = Node::on(&memory).await;
    let broker = Late::new(&memory, [Attempt::NeverEnds, Attempt::Panics, AWAY]);
    let began = Instant::now();
    let node = serving(&broker).await;
    assert!(began.elapsed() <= Duration::from_millis(1100), "{:?}", began.elapsed());
    assert!(node.chat.emit("hello").await.is_ok());
    let mut events = node.cluster.events();
    recovered(&mut events).await;
    eventually(|| other.cluster.nodes().len() == 2).await;
    assert_eq!(broker.attempts(), 4);
}

#[tokio::test(start_paused = true)]
async fn g18_a_broker_that_is_there_is_joined_before_connecting_returns() {
    let memory = Memory::new();
    let other = Node::on(&memory).await;
    let node = serving(&Late::new(&memory, [])).await;
    assert_eq!(node.cluster.nodes().len(), 2);
    assert!(node.cluster.health() < Duration::from_millis(1500));
    let mut there = other.socket([]);
    node.chat.emit("here").await.unwrap();
    assert_eq!(next(&mut there).await, "here");
    let mut events = node.cluster.events();
    other.cluster.close().await.unwrap();
    assert!(matches!(event(&mut events).await, Event::NodeDown(..)), "it never was degraded");
}

/// As after a power cut: the servers are there before their broker is, and hear of each other with it.
#[tokio::test(start_paused = true)]
async fn g09_nodes_that_all_wait_lose_nothing_of_each_other() {
    let memory = narrow(600);
    let nodes = [away(&memory).await, away(&memory).await, away(&memory).await];
    let large = "x".repeat(5000);
    let mut sockets = Vec::new();
    for (node, _) in &nodes {
        sockets.push(node.socket(["room"]));
        node.chat.to("room").emit("small").await.unwrap();
        node.chat.to("room").emit(large.clone()).await.unwrap();
    }
    tokio::time::sleep(Duration::from_secs(20)).await; // by the paused clock: the attempts are rare by now
    nodes.iter().for_each(|(_, broker)| broker.comes());
    for socket in &mut sockets {
        let mut came = Vec::new();
        for _ in 0..2 * nodes.len() {
            came.push(next(socket).await.len());
        }
        came.sort_unstable();
        assert_eq!(came, [5, 5, 5, 5000, 5000, 5000]);
    }
    for (node, _) in &nodes {
        assert_eq!((node.cluster.nodes().len(), node.cluster.stats().lost), (3, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn g19_a_node_that_never_joined_closes_at_once_and_tries_no_more() {
    let (node, broker) = away(&Memory::new()).await;
    let began = Instant::now();
    node.cluster.close().await.unwrap();
    assert!(began.elapsed() < Duration::from_millis(10), "{:?}", began.elapsed());
    assert_eq!(node.chat.emit("late").await.unwrap_err().kind(), ErrorKind::Closed);
    let (dropped, another) = away(&Memory::new()).await;
    drop(dropped);
    let attempts = (broker.attempts(), another.attempts());
    tokio::time::sleep(Duration::from_secs(60)).await; // by the paused clock
    assert_eq!((broker.attempts(), another.attempts()), attempts);
}

#[tokio::test(start_paused = true)]
async fn g08_closing_says_that_what_waited_has_not_been_sent() {
    let (node, _broker) = away(&Memory::new()).await;
    node.chat.emit("waits").await.unwrap();
    assert_eq!(node.cluster.close().await.unwrap_err().kind(), ErrorKind::Timeout);
}
