//! Nodes with a Hub each, on a broker of their own.

use std::time::Duration;

use roomcast_core::adapter::{Acks, LocalSocket, LocalSockets, Target};
use roomcast_core::backend::Limits;
use roomcast_core::{
    Cluster, ClusterBuilder, Event, Events, Hub, Memory, NamespaceHandle, Packet, Projection, Room, Socket,
};

pub(crate) const SOON: Duration = Duration::from_secs(30);

/// One node with one namespace.
pub(crate) struct Node {
    pub(crate) cluster: Cluster,
    pub(crate) chat: NamespaceHandle,
    pub(crate) hub: Hub,
}

impl Node {
    pub(crate) async fn on(memory: &Memory) -> Self {
        Self::with(Cluster::builder(), memory).await
    }

    pub(crate) async fn with(builder: ClusterBuilder, memory: &Memory) -> Self {
        let cluster = builder.connect(memory.clone()).await.unwrap();
        let hub = Hub::builder().queue(100_000).build();
        let chat = cluster.namespace("/chat", hub.clone()).await.unwrap();
        Self { cluster, chat, hub }
    }

    pub(crate) fn socket<const N: usize>(&self, rooms: [&str; N]) -> Socket {
        let socket = self.hub.connect().unwrap();
        socket.join(rooms).unwrap();
        socket
    }
}

/// Local sockets of which only broadcasts matter: each packet goes to the function.
pub(crate) struct OnBroadcast<F>(pub(crate) F);

impl<F: Fn(&Packet) + Send + Sync + 'static> LocalSockets for OnBroadcast<F> {
    fn broadcast(&self, _: &Target, packet: &Packet) {
        (self.0)(packet);
    }
    fn broadcast_with_ack(&self, _: &Target, _: &Packet, _: Duration, _: Acks) {}
    fn join(&self, _: &Target, _: &[Room]) {}
    fn leave(&self, _: &Target, _: &[Room]) {}
    fn disconnect(&self, _: &Target) {}
    fn sockets(&self, _: &Target, _: Projection) -> Vec<LocalSocket> {
        Vec::new()
    }
    fn rooms(&self, _: &Target) -> Vec<Room> {
        Vec::new()
    }
}

/// Three nodes that know each other.
pub(crate) async fn three() -> [Node; 3] {
    three_on(&Memory::new()).await
}

pub(crate) async fn three_on(memory: &Memory) -> [Node; 3] {
    let nodes = [Node::on(memory).await, Node::on(memory).await, Node::on(memory).await];
    for node in &nodes {
        eventually(|| node.cluster.nodes().len() == 3).await;
    }
    nodes
}

/// A broker that takes messages of so many bytes.
pub(crate) fn narrow(max_frame: usize) -> Memory {
    Memory::with_limits(Limits::max_frame(max_frame))
}

/// Waits until something is so: a count or a list, which change without an event and can but be looked at again.
pub(crate) async fn eventually(mut so: impl FnMut() -> bool) {
    let mut look = tokio::time::interval(Duration::from_millis(2));
    let wait = async {
        while !so() {
            look.tick().await;
        }
    };
    tokio::time::timeout(SOON, wait).await.expect("it never came true");
}

/// What is told next.
pub(crate) async fn event(events: &mut Events) -> Event {
    tokio::time::timeout(Duration::from_secs(60), events.next())
        .await
        .expect("nothing was told")
        .expect("the events have ended")
}

/// The first that is told of which the function makes something.
pub(crate) async fn told<T>(events: &mut Events, what: impl Fn(&Event) -> Option<T>) -> T {
    loop {
        if let Some(found) = what(&event(events).await) {
            return found;
        }
    }
}

/// What the socket gets next, as text.
pub(crate) async fn next(socket: &mut Socket) -> String {
    let delivery = tokio::time::timeout(SOON, socket.next()).await.expect("nothing came").expect("disconnected");
    String::from_utf8(delivery.packet.data.to_vec()).unwrap()
}

/// What the socket gets before the marker, which was emitted after everything else.
pub(crate) async fn until(marker: &str, socket: &mut Socket) -> Vec<String> {
    let mut got = Vec::new();
    loop {
        match next(socket).await {
            text if text == marker => return got,
            text => got.push(text),
        }
    }
}
