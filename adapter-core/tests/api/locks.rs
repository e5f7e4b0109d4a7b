//! Emitting waits for nobody else's work: whatever a node is busy with, its locks are free.

use std::collections::BTreeSet;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use futures_util::FutureExt as _;
use roomcast_core::adapter::{Acks, LocalDropped, LocalSocket, LocalSockets, Projection, Target};
use roomcast_core::backend::{
    Backend, Capabilities, Channel, Connect, Inbox, Limits, Outgoing, PublishError, async_trait,
};
use roomcast_core::{
    Bytes, Cluster, Hub, Memory, NamespaceHandle, Packet, Result, Room, TraceContext, TracePropagator,
};
use tokio::task::unconstrained;

use crate::support::{SOON, eventually};

/// Emits from another thread while the code that it is called from is at work.
#[derive(Clone, Default)]
struct Pry(Arc<Pried>);

#[derive(Default)]
struct Pried {
    /// Where it emits, once the node is connected.
    to: OnceLock<Vec<NamespaceHandle>>,
    free: Mutex<BTreeSet<&'static str>>,
    stuck: Mutex<BTreeSet<&'static str>>,
}

impl std::fmt::Debug for Pry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pry")
    }
}

impl TracePropagator for Pry {
    fn context(&self, _: &tracing::Span) -> Option<TraceContext> {
        self.at("context");
        TraceContext::new([1; 16], [1; 8], 1)
    }
    fn set_parent(&self, _: &tracing::Span, _: TraceContext) {}
}

impl Pry {
    /// Foreign code is at work: `what`. What it causes is not looked at again.
    fn at(&self, what: &'static str) {
        self.at_but_for(what, "");
    }

    /// The same, but nothing is emitted to this namespace.
    fn at_but_for(&self, what: &'static str, busy: &str) {
        let Some(namespaces) = self.0.to.get() else { return };
        if !self.0.free.lock().unwrap().insert(what) {
            return;
        }
        for namespace in namespaces.iter().filter(|namespace| namespace.name().as_str() != busy) {
            let namespace = namespace.clone();
            let (done, is_done) = channel();
            std::thread::spawn(move || {
                // There is room in the queue: the first poll is all there is, unless it waits for a lock.
                let sent = unconstrained(namespace.to("elsewhere").emit("x")).now_or_never();
                let _ = done.send(sent.is_some_and(|sent| sent.is_ok()));
            });
            // Long enough for a slow machine: a lock that is held here would never become free.
            if is_done.recv_timeout(SOON) != Ok(true) {
                self.0.stuck.lock().unwrap().insert(what);
            }
        }
    }

    fn has_seen(&self, what: &str) -> bool {
        self.0.free.lock().unwrap().contains(what)
    }
}

/// A hub from within which is pried. What arrives from other nodes leaves the whole node free; what this node's application
/// calls keeps the order of its own namespace meanwhile, and leaves the others free.
struct Sockets(Hub, Pry);

impl LocalSockets for Sockets {
    fn check(&self, _: &Packet) -> Result<()> {
        self.1.at("check");
        Ok(())
    }
    fn broadcast(&self, target: &Target, packet: &Packet) {
        if target.rooms.as_ref().is_some_and(|rooms| rooms.iter().any(|room| room.as_str() == "elsewhere")) {
            return;
        }
        self.1.at("broadcast");
        self.0.broadcast(target, packet);
    }
    fn broadcast_with_ack(&self, target: &Target, packet: &Packet, timeout: Duration, acks: Acks) {
        self.1.at("broadcast_with_ack");
        self.0.broadcast_with_ack(target, packet, timeout, acks);
    }
    fn join(&self, target: &Target, rooms: &[Room]) {
        self.1.at("join");
        self.0.join(target, rooms);
    }
    fn leave(&self, target: &Target, rooms: &[Room]) {
        self.1.at("leave");
        self.0.leave(target, rooms);
    }
    fn disconnect(&self, target: &Target) {
        self.1.at("disconnect");
        self.0.disconnect(target);
    }
    fn sockets(&self, target: &Target, projection: Projection) -> Vec<LocalSocket> {
        self.1.at("sockets");
        self.0.sockets(target, projection)
    }
    fn count(&self, target: &Target) -> u64 {
        self.1.at("count");
        self.0.count(target)
    }
    fn rooms(&self, target: &Target) -> Vec<Room> {
        self.1.at("rooms");
        self.0.rooms(target)
    }
    fn dropped(&self) -> LocalDropped {
        self.1.at("dropped");
        self.0.dropped()
    }
}

/// The embedded broker, from within which is pried. An emit may publish by itself, and keeps the order of its namespace
/// meanwhile.
struct Broker(Memory, Pry);

struct Link(Arc<dyn Backend>, Pry);

#[async_trait]
impl Connect for Broker {
    async fn connect(&self, inbox: Inbox) -> Result<Arc<dyn Backend>> {
        Ok(Arc::new(Link(self.0.connect(inbox).await?, self.1.clone())))
    }
}

#[async_trait]
impl Backend for Link {
    fn capabilities(&self) -> Capabilities {
        self.0.capabilities()
    }
    fn limits(&self) -> Limits {
        self.1.at_but_for("limits", "/chat");
        self.0.limits()
    }
    async fn subscribe(&self, channels: &[Channel]) -> Result<()> {
        self.0.subscribe(channels).await
    }
    async fn unsubscribe(&self, channels: &[Channel]) -> Result<()> {
        self.0.unsubscribe(channels).await
    }
    async fn publish(&self, frames: &[Outgoing]) -> std::result::Result<(), PublishError> {
        self.1.at_but_for("publish", "/chat");
        self.0.publish(frames).await
    }
    async fn close(&self) -> Result<()> {
        self.0.close().await
    }
}

/// The application's own memory: that is foreign code, too, when it is let go of.
struct Owned(Vec<u8>, Pry);

impl AsRef<[u8]> for Owned {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        self.1.at("a packet is dropped");
    }
}

/// A node from within which is pried, and another one.
struct Cast {
    chat: NamespaceHandle,
    far: NamespaceHandle,
    hub: Hub,
    pry: Pry,
    clusters: [Cluster; 2],
}

impl Cast {
    /// Pried into is what is emitted to these namespaces.
    async fn new(to: &[&str]) -> Self {
        let (memory, pry, hub) = (Memory::with_limits(Limits::max_frame(1 << 20)), Pry::default(), Hub::new());
        // What it keeps of what was sent is let go of soon, to be seen.
        let near = Cluster::builder().history_bytes(20 << 10).trace_propagator(pry.clone());
        let near = near.connect(Broker(memory.clone(), pry.clone())).await.unwrap();
        let far = Cluster::connect(memory).await.unwrap();
        eventually(|| near.nodes().len() == 2 && far.nodes().len() == 2).await;
        let chat = near.namespace("/chat", Sockets(hub.clone(), pry.clone())).await.unwrap();
        pry.0.to.set(to.iter().map(|name| near.of(*name).unwrap()).collect()).ok().unwrap();
        Self { chat, far: far.of("/chat").unwrap(), hub, pry, clusters: [near, far] }
    }

    /// Everything that can be asked of a node's sockets, by one of both.
    async fn ask(&self, from: &NamespaceHandle) {
        let mut socket = self.hub.connect().unwrap();
        let room = || from.to("room");
        socket.join("room").unwrap();
        let reader = tokio::spawn(async move {
            while let Some(delivery) = socket.next().await {
                delivery.ack.into_iter().for_each(|ack| ack.send("yes"));
            }
        });
        for _ in 0..700 {
            room().emit("small").await.unwrap();
        }
        room().emit(vec![0; 3 << 20]).await.unwrap();
        let acked = room().timeout(SOON).emit_with_ack("question").await.unwrap().gather().await;
        assert!(acked.missing.is_empty());
        assert!(room().join_sockets(["other"]).await.unwrap().is_complete());
        assert!(room().leave_sockets(["other"]).await.unwrap().is_complete());
        assert!(room().fetch_sockets().await.unwrap().is_complete());
        assert!(room().count_sockets().await.unwrap().is_complete());
        assert!(from.rooms().await.unwrap().is_complete());
        assert!(room().disconnect_sockets().await.unwrap().is_complete());
        reader.await.unwrap();
    }

    fn assert(&self, seen: &[&str]) {
        let unseen: Vec<_> = seen.iter().filter(|what| !self.pry.has_seen(what)).collect();
        assert!(unseen.is_empty(), "nothing was pried into there: {unseen:?}");
        let stuck = self.pry.0.stuck.lock().unwrap();
        assert!(stuck.is_empty(), "nothing can be emitted while these are at work: {stuck:?}");
    }
}

const CALLS: [&str; 8] =
    ["broadcast", "broadcast_with_ack", "join", "leave", "disconnect", "sockets", "count", "rooms"];

#[tokio::test(flavor = "multi_thread")]
async fn what_arrives_is_carried_out_while_others_emit() {
    let cast = Cast::new(&["/chat", "/other"]).await;
    cast.ask(&cast.far).await;
    cast.assert(&CALLS);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_called_here_is_carried_out_while_others_emit_elsewhere() {
    let cast = Cast::new(&["/other"]).await;
    cast.ask(&cast.chat).await;
    for _ in 0..3 {
        cast.chat.emit(Bytes::from_owner(Owned(vec![0; 8 << 10], cast.pry.clone()))).await.unwrap();
    }
    cast.clusters[0].flush(SOON).await.unwrap();
    eventually(|| cast.pry.has_seen("a packet is dropped")).await;
    cast.clusters[0].stats();
    cast.assert(&CALLS);
    cast.assert(&["check", "context", "publish", "a packet is dropped", "dropped"]);
}
