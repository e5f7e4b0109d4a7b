//! A cluster whose servers lose each other.

mod support;

use std::time::Duration;

use roomcast_amqp::Amqp;
use roomcast_conformance::bare::with_arguments;
use roomcast_conformance::broker::{Broker, recipes};
use roomcast_core::{Cluster, Event, Events, Hub};
use support::eventually;

type Tested = Result<(), Box<dyn std::error::Error>>;

const PATIENCE: Duration = Duration::from_secs(120);
const PACKETS: usize = 50;

/// Has one server do this.
async fn eval(broker: &Broker, index: usize, erlang: &str) {
    broker.run(index, &["rabbitmqctl", "-q", "eval", erlang]).await.expect("it runs");
}

/// From now on the servers know each other by this cookie.
async fn cookie(broker: &Broker, cookie: &str) {
    eval(broker, 0, &format!("erlang:set_cookie('rabbit1@127.0.0.11', {cookie}).")).await;
    eval(broker, 1, &format!("erlang:set_cookie('rabbit0@127.0.0.10', {cookie}).")).await;
}

async fn told(events: &mut Events, what: impl Fn(&Event) -> bool) {
    let wait = async { while !what(&events.next().await.expect("the node lives")) {} };
    tokio::time::timeout(PATIENCE, wait).await.expect("it is told");
}

/// Each side is no majority, and pauses: its nodes say that the broker is away, and what they send waits until it is whole again.
#[tokio::test(flavor = "multi_thread")]
async fn g09_the_nodes_of_a_split_cluster_without_a_majority_wait_and_lose_nothing() -> Tested {
    let pause = ["-rabbit", "cluster_partition_handling", "pause_minority"];
    let broker = Broker::start_here(&with_arguments(recipes::rabbitmq_cluster(), &pause)).await?;
    let [first, second] = broker.addresses() else { panic!("two servers") };
    let (one, two) = (
        Cluster::connect(Amqp::from_url(&broker.url_at(*first))?).await?,
        Cluster::connect(Amqp::from_url(&broker.url_at(*second))?).await?,
    );
    let (here, there) = (Hub::new(), Hub::new());
    let (near, far) = (one.namespace("/", here.clone()).await?, two.namespace("/", there.clone()).await?);
    let (mut left, mut right) = (here.connect()?, there.connect()?);
    let mut events = [one.events(), two.events()];
    eventually("both know both", async || [&one, &two].iter().all(|node| node.nodes().len() == 2)).await;
    cookie(&broker, "away").await;
    eval(&broker, 0, "erlang:disconnect_node('rabbit1@127.0.0.11').").await;
    for events in &mut events {
        told(events, |event| matches!(event, Event::Degraded(_))).await;
    }
    for n in 0..PACKETS {
        near.emit(format!("left {n}")).await?;
        far.emit(format!("right {n}")).await?;
    }
    cookie(&broker, "roomcast").await;
    for events in &mut events {
        told(events, |event| *event == Event::Recovered).await;
    }
    for (socket, side) in [(&mut right, "left"), (&mut left, "right")] {
        let mut expected = 0;
        while expected < PACKETS {
            let delivery = tokio::time::timeout(PATIENCE, socket.next()).await?.expect("connected");
            // What its own side has sent comes as well.
            if delivery.packet.data.starts_with(side.as_bytes()) {
                assert_eq!(delivery.packet.data, format!("{side} {expected}"));
                expected += 1;
            }
        }
    }
    eventually("both know both", async || [&one, &two].iter().all(|node| node.nodes().len() == 2)).await;
    assert_eq!((one.stats().lost, two.stats().lost), (0, 0));
    tokio::try_join!(one.close(), two.close())?;
    Ok(())
}
