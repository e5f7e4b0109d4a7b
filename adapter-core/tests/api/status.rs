use std::time::Duration;

use adapter_core::{Cluster, Event, NodeState};

use crate::faulty::Mode;
use crate::outage::pair;
use crate::support::{event, eventually, next};

#[tokio::test]
async fn a_status_tells_what_was_sent_and_delivered_in_each_namespace() {
    let (one, _, two) = pair(Cluster::builder()).await;
    let mut there = two.socket(["room"]);
    one.chat.to("room").emit("hello").await.unwrap();
    one.chat.to("room").local().emit("only here").await.unwrap();
    assert_eq!(next(&mut there).await, "hello");
    let (here, other) = (one.cluster.status(), two.cluster.status());
    let counted = |status: &adapter_core::Status| {
        status.namespaces.iter().map(|row| (row.namespace.clone(), row.sent, row.delivered)).collect::<Vec<_>>()
    };
    assert_eq!(counted(&here), [("/chat".to_owned(), 1, 0)], "what stays here is not sent");
    assert_eq!(counted(&other), [("/chat".to_owned(), 0, 1)]);
    assert_eq!((here.state, here.outages, here.nodes.len()), (NodeState::Up, 0, 1));
    eventually(|| one.cluster.status().stats.sent == 1).await;
    assert!(one.cluster.stats().sent_bytes >= 5 && two.cluster.stats().received_bytes >= 5);
}

#[tokio::test]
async fn a_status_in_an_outage_says_why_for_how_long_and_what_waits() {
    let (one, link, _two) = pair(Cluster::builder()).await;
    let mut events = one.cluster.events();
    link.set(Mode::Down).await;
    assert!(matches!(event(&mut events).await, Event::Degraded(_)));
    one.chat.emit("x".repeat(1000)).await.unwrap();
    let status = one.cluster.status();
    assert_eq!((status.state, status.outages, status.queue.messages), (NodeState::Degraded, 1, 1));
    assert!(status.last_error.is_some() && status.queue.bytes >= 1000, "{status:?}");
    assert!(status.queue.max_bytes > status.queue.bytes);
    link.set(Mode::Up).await;
    assert_eq!(event(&mut events).await, Event::Recovered);
    let status = one.cluster.status();
    assert_eq!((status.state, status.outages), (NodeState::Up, 1));
    assert!(status.last_error.is_some(), "what the last outage was about stays");
}

#[tokio::test]
async fn a_status_says_how_long_the_way_through_the_broker_takes_and_when_others_were_heard() {
    let (one, _, _two) = pair(Cluster::builder()).await;
    eventually(|| one.cluster.status().round_trip.is_some()).await;
    let status = one.cluster.status();
    assert!(status.round_trip.unwrap() < Duration::from_secs(1), "{status:?}");
    assert!(status.nodes[0].heard < Duration::from_secs(3), "{status:?}");
    one.cluster.close().await.unwrap();
    assert_eq!(one.cluster.status().state, NodeState::Closed);
}

#[tokio::test]
async fn a_status_is_json_with_seconds_and_hexadecimal_ids() {
    let (one, _, two) = pair(Cluster::builder().node_name("web")).await;
    let json = serde_json::to_value(one.cluster.status()).unwrap();
    assert_eq!(json["node"]["id"], one.cluster.node().id.to_string());
    assert_eq!(json["nodes"][0]["id"], two.cluster.node().id.to_string());
    assert_eq!((&json["node"]["name"], &json["state"]), (&"web".into(), &"up".into()));
    assert!(json["state_seconds"].is_f64() && json["health_seconds"].is_f64());
    assert!(json["stats"]["received"].is_u64());
}
