//! A cluster whose servers lose each other: each goes on with its own nodes.
#![allow(clippy::unwrap_used, reason = "how a test fails")]

mod support;

use std::collections::{HashMap, HashSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use futures_util::FutureExt;
use roomcast_conformance::bare::{eventually, is_late};
use roomcast_conformance::proxy::Proxy;
use roomcast_core::{Cluster, ClusterBuilder, Event, Events, Hub, NamespaceHandle, NodeId, Socket};
use roomcast_nats::Nats;
use support::Server;

type Tested = Result<(), Box<dyn std::error::Error>>;

/// How many packets each side emits that the other does not hear.
const PACKETS: usize = 50;
const SIDES: [&str; 2] = ["left", "right"];
const PATIENCE: Duration = Duration::from_secs(60);

struct Node {
    cluster: Cluster,
    chat: NamespaceHandle,
    socket: Socket,
    events: Events,
    /// What it was told is lost of each node; none where not even the number is known.
    lost: HashMap<NodeId, Option<u64>>,
}

impl Node {
    /// Stays with this server.
    async fn at(server: &Server, builder: ClusterBuilder) -> Self {
        let nats = Nats::from_url(&format!("{}?discover=false", server.url())).unwrap();
        let cluster = builder.connect(nats).await.unwrap();
        let hub = Hub::builder().queue(10_000).build();
        let chat = cluster.namespace("/", hub.clone()).await.unwrap();
        Self { chat, socket: hub.connect().unwrap(), events: cluster.events(), lost: HashMap::new(), cluster }
    }

    fn id(&self) -> NodeId {
        self.cluster.node().id
    }

    /// What has been told since the last look.
    fn told(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.events.next().now_or_never().flatten()).collect()
    }

    /// Waits until it says that these are gone. It is told of nothing else, unless the machine is busy: its own link works.
    async fn loses(&mut self, others: &[NodeId]) {
        let mut gone = HashSet::new();
        eventually("it says that the others are gone", async || {
            for event in self.told() {
                match &event {
                    Event::NodeDown(node, _) => _ = gone.insert(node.id),
                    event => assert!(is_late(event) || *event == Event::Recovered, "{event}"),
                }
            }
            gone.len() == others.len()
        })
        .await;
        assert_eq!(gone, others.iter().copied().collect());
    }

    /// How many of each side's packets its socket gets, up to both ends: in order, each once.
    async fn gets(&mut self) -> [usize; 2] {
        let (mut got, mut next, mut ended) = ([0; 2], [0; 2], [false; 2]);
        while ended != [true; 2] {
            let delivery = tokio::time::timeout(PATIENCE, self.socket.next()).await.unwrap().unwrap();
            let text = std::str::from_utf8(&delivery.packet.data).unwrap();
            let (side, number) = text.split_once(' ').unwrap();
            let side = SIDES.iter().position(|name| *name == side).unwrap();
            if number == "end" {
                ended[side] = true;
                continue;
            }
            let number: usize = number.parse().unwrap();
            assert!(number >= next[side], "{text} instead of {}", next[side]);
            (got[side], next[side]) = (got[side] + 1, number + 1);
        }
        got
    }

    /// Checks that it is told of as many packets of this node as it misses; where no number is told, of some.
    async fn is_told(&mut self, of: NodeId, missing: usize) {
        eventually("what is missing is told", async || {
            for event in self.told() {
                if let Event::Gap { node, count, .. } = event {
                    let lost = self.lost.entry(node).or_insert(Some(0));
                    *lost = lost.zip(count).map(|(lost, count)| lost + count);
                }
            }
            self.lost(of).is_none_or(|lost| lost >= missing as u64)
        })
        .await;
        let lost = self.lost(of);
        assert!(lost.is_none_or(|lost| lost == missing as u64), "{lost:?} told of {missing}");
    }

    fn lost(&self, of: NodeId) -> Option<u64> {
        self.lost.get(&of).copied().unwrap_or(Some(0))
    }
}

async fn acquainted(nodes: &[Node]) {
    eventually("all know all", async || nodes.iter().all(|node| node.cluster.nodes().len() == nodes.len())).await;
}

/// The servers notice it when their way is cut, and for minutes not when it is silent. To the nodes it is the same.
#[tokio::test(flavor = "multi_thread")]
async fn g05_the_sides_of_a_split_cluster_say_so_and_find_each_other_again() -> Tested {
    // An address of this process alone, since the others' way to it has to be known before it listens.
    let [.., high, low] = std::process::id().to_be_bytes();
    let routes = SocketAddr::from((Ipv4Addr::new(127, 3, high, low.max(1)), 6222));
    let left = Server::start(&format!("cluster {{ name: roomcast, listen: \"{routes}\" }}")).await;
    let way = Proxy::to(routes).await?;
    let at = way.address();
    let right =
        Server::start(&format!("cluster {{ name: roomcast, listen: \"127.0.0.1:-1\", routes: [\"nats://{at}\"] }}"))
            .await;
    // With and without what senders keep: then all of it is sent again, or told as lost.
    for (silent, keeps) in [(false, true), (true, false)] {
        let builder = Cluster::builder().cluster(format!("keeps-{keeps}"));
        let builder = if keeps { builder } else { builder.history_bytes(0) };
        let node = |server| Node::at(server, builder.clone());
        let mut nodes = [node(&left).await, node(&left).await, node(&right).await];
        let ids = [nodes[0].id(), nodes[1].id(), nodes[2].id()];
        acquainted(&nodes).await;
        nodes.iter_mut().for_each(|node| drop(node.told()));
        if silent {
            way.black_hole_all();
        } else {
            way.refuse();
            way.cut();
        }
        let [one, two, three] = &mut nodes;
        tokio::join!(one.loses(&ids[2..]), two.loses(&ids[2..]), three.loses(&ids[..2]));
        for n in 0..PACKETS {
            nodes[0].chat.emit(format!("left {n}")).await?;
            nodes[2].chat.emit(format!("right {n}")).await?;
        }
        way.black_hole_no_more();
        way.accept();
        way.cut();
        acquainted(&nodes).await;
        nodes[0].chat.emit("left end").await?;
        nodes[2].chat.emit("right end").await?;
        for (at, node) in nodes.iter_mut().enumerate() {
            let got = node.gets().await;
            println!("silent {silent}, keeps {keeps}: node {at} got {got:?} of {PACKETS}");
            assert_eq!(got[usize::from(at == 2)], PACKETS, "of its own side");
            assert!(!keeps || got == [PACKETS; 2], "of what is kept");
            for (sender, got) in [ids[0], ids[2]].into_iter().zip(got) {
                node.is_told(sender, PACKETS - got).await;
            }
        }
    }
    Ok(())
}
