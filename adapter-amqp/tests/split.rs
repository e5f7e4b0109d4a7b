//! A cluster whose servers lose each other.

mod support;

use std::ops::Range;
use std::time::Duration;

use roomcast_amqp::Amqp;
use roomcast_conformance::bare::with_arguments;
use roomcast_conformance::broker::{Broker, recipes};
use roomcast_core::{Cluster, Departure, Event, Events, Hub, NamespaceHandle, Socket};
use support::eventually;

type Tested = Result<(), Box<dyn std::error::Error>>;

const PATIENCE: Duration = Duration::from_secs(120);
const PACKETS: usize = 50;

/// A node at one of two servers, with a socket.
struct Side {
    cluster: Cluster,
    namespace: NamespaceHandle,
    socket: Socket,
    events: Events,
    _hub: Hub,
}

impl Side {
    async fn at(broker: &Broker, index: usize) -> Self {
        let url = broker.url_at(broker.addresses()[index]);
        let kept = Cluster::builder().history_age(PATIENCE); // a server may take long to start again
        let cluster = kept.connect(Amqp::from_url(&url).expect("valid")).await.expect("connected");
        let hub = Hub::new();
        let namespace = cluster.namespace("/", hub.clone()).await.expect("attached");
        Self { socket: hub.connect().expect("a socket"), events: cluster.events(), namespace, cluster, _hub: hub }
    }

    /// Sends packets of these numbers in the name of a side.
    async fn emit(&self, side: &str, numbers: Range<usize>) {
        for n in numbers {
            self.namespace.emit(format!("{side} {n}")).await.expect("it waits or is sent");
        }
    }

    /// The socket gets packets of these numbers, in order, each once. What its own side has sent comes as well.
    async fn gets(&mut self, side: &str, mut numbers: Range<usize>) {
        while !numbers.is_empty() {
            let delivery = tokio::time::timeout(PATIENCE, self.socket.next()).await;
            let delivery = delivery.unwrap_or_else(|_| panic!("{side} {numbers:?} never came")).expect("connected");
            if delivery.packet.data.starts_with(side.as_bytes()) {
                assert_eq!(delivery.packet.data, format!("{side} {}", numbers.start));
                numbers.start += 1;
            }
        }
    }

    /// Sends packets until the broker is away; returns how many.
    async fn emits_until_it_pauses(&mut self, side: &str) -> usize {
        let (mut sent, mut pace) = (0, tokio::time::interval(Duration::from_millis(5)));
        let emits = async {
            loop {
                pace.tick().await;
                self.namespace.emit(format!("{side} {sent}")).await.expect("it waits or is sent");
                sent += 1;
            }
        };
        tokio::select! {
            () = emits => {}
            () = told(&mut self.events, |event| matches!(event, Event::Degraded(_))) => {}
        }
        sent
    }

    async fn is_told(&mut self, what: impl Fn(&Event) -> bool) {
        told(&mut self.events, what).await;
    }
}

async fn told(events: &mut Events, what: impl Fn(&Event) -> bool) {
    let wait = async { while !what(&events.next().await.expect("the node lives")) {} };
    tokio::time::timeout(PATIENCE, wait).await.expect("it is told");
}

/// Two servers of one cluster that handle a partition so, and a node at each.
async fn sides(handling: &str) -> (Broker, Side, Side) {
    let recipe = with_arguments(recipes::rabbitmq_cluster(), &["-rabbit", "cluster_partition_handling", handling]);
    let broker = Broker::start_here(&recipe).await.expect("it starts");
    let (one, two) = (Side::at(&broker, 0).await, Side::at(&broker, 1).await);
    know_each_other(&one, &two).await;
    (broker, one, two)
}

async fn know_each_other(one: &Side, two: &Side) {
    eventually("both know both", async || [one, two].iter().all(|side| side.cluster.nodes().len() == 2)).await;
}

/// Has one server do this.
async fn eval(broker: &Broker, index: usize, erlang: &str) {
    broker.run(index, &["rabbitmqctl", "-q", "eval", erlang]).await.expect("it runs");
}

/// The servers lose each other: the first knows the second by a cookie that the second does not have.
async fn cut(broker: &Broker) {
    let second = "'rabbit1@127.0.0.11'";
    eval(broker, 0, &format!("erlang:set_cookie({second}, away), erlang:disconnect_node({second}).")).await;
}

/// The servers find each other again.
async fn heal(broker: &Broker) {
    let second = "'rabbit1@127.0.0.11'";
    eval(broker, 0, &format!("erlang:set_cookie({second}, roomcast), pong = net_adm:ping({second}).")).await;
}

/// Each side is no majority, and pauses: its nodes say that the broker is away, and what they send waits until it is whole again. What
/// a server has confirmed and told nobody, before it noticed, comes then, too.
#[tokio::test(flavor = "multi_thread")]
async fn g09_the_nodes_of_a_split_cluster_without_a_majority_wait_and_lose_nothing() -> Tested {
    let (broker, mut one, mut two) = sides("pause_minority").await;
    let ((), left, right) =
        tokio::join!(cut(&broker), one.emits_until_it_pauses("left"), two.emits_until_it_pauses("right"));
    tokio::join!(one.emit("left", left..left + PACKETS), two.emit("right", right..right + PACKETS));
    heal(&broker).await;
    for side in [&mut one, &mut two] {
        side.is_told(|event| *event == Event::Recovered).await;
    }
    one.gets("right", 0..right + PACKETS).await;
    two.gets("left", 0..left + PACKETS).await;
    know_each_other(&one, &two).await;
    assert_eq!((one.cluster.stats().lost, two.cluster.stats().lost), (0, 0));
    tokio::try_join!(one.cluster.close(), two.cluster.close())?;
    Ok(())
}

/// With RabbitMQ's default both sides go on, each for itself, and stay apart when the cut has healed, until one of them starts again.
#[tokio::test(flavor = "multi_thread")]
async fn g05_the_nodes_of_a_split_cluster_that_ignores_it_are_apart_until_one_side_starts_again() -> Tested {
    let (broker, mut one, mut two) = sides("ignore").await;
    cut(&broker).await;
    for side in [&mut one, &mut two] {
        side.is_told(|event| matches!(event, Event::NodeDown(_, Departure::Died))).await;
    }
    // Neither can know better: its own server takes and delivers everything.
    for (side, name) in [(&mut one, "left"), (&mut two, "right")] {
        side.emit(name, 0..1).await;
        side.gets(name, 0..1).await;
    }
    heal(&broker).await;
    eval(&broker, 0, "[_] = rabbit_node_monitor:partitions().").await;
    for command in ["stop_app", "start_app"] {
        broker.run(1, &["rabbitmqctl", "-q", command]).await?;
    }
    for side in [&mut one, &mut two] {
        side.is_told(|event| matches!(event, Event::NodeUp(_))).await;
    }
    // Neither had any reason to wait; what they still have is repaired.
    tokio::join!(one.emit("left", 1..2), two.emit("right", 1..2));
    tokio::join!(two.gets("left", 0..2), one.gets("right", 0..2));
    tokio::try_join!(one.cluster.close(), two.cluster.close())?;
    Ok(())
}
