//! A node of Roomcast's, for the nemesis.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::FutureExt;
use roomcast_core::adapter::WaitFor;
use roomcast_core::{
    BroadcastOperator, Cluster, Event, Events, Hub, MissingReason, NamespaceHandle, Socket, SocketId, WhenUnreachable,
};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::listener::Listener;
use super::node::{Answered, Join, Node, NodeResult, Place, Repairs};
use crate::subject::ConnectTo;

/// An echo that is younger proves the link.
const FRESH: Duration = Duration::from_millis(1_500);
/// After the load, how long what was accepted may take to be sent.
const FLUSH: Duration = Duration::from_secs(40);

/// Makes nodes of Roomcast's over one backend.
pub(crate) struct JoinCluster {
    pub(crate) connect: ConnectTo,
}

struct ClusterNode {
    cluster: Cluster,
    all: NamespaceHandle,
    guests: NamespaceHandle,
    closing: watch::Sender<bool>,
    /// Tells what is lost; ends after `closing`.
    watcher: Mutex<JoinSet<()>>,
    /// Tell what the sockets get.
    readers: Mutex<JoinSet<()>>,
}

#[async_trait]
impl Join for JoinCluster {
    async fn join(&self, place: &Place, listener: Listener) -> NodeResult<Arc<dyn Node>> {
        let builder = Cluster::builder().cluster(place.cluster.as_str()).node_name(place.to_string());
        let builder = builder.when_unreachable(WhenUnreachable::Wait).connect_timeout(Place::CONNECTING);
        let builder = match place.history_bytes {
            Some(bytes) => builder.history_bytes(bytes),
            None => builder,
        };
        let cluster = builder.connect((self.connect)(&place.url)?).await?;
        let events = cluster.events();
        let hub = || Hub::builder().queue(500_000).queue_bytes(1 << 30).build();
        let (everyone, visitors) = (hub(), hub());
        let all = cluster.namespace("/all", everyone.clone()).await?;
        let guests = cluster.namespace("/rooms", visitors.clone()).await?;
        all.on_server_event(|event| async move {
            if let Some(reply) = event.reply {
                reply.send("here");
            }
        })?;
        let closing = watch::Sender::new(false);
        let (mut readers, mut watcher) = (JoinSet::new(), JoinSet::new());
        readers.spawn(read(everyone.connect()?, listener.clone()));
        readers.spawn(read(visitors.connect_as(guest(place.node)?)?, listener.clone()));
        watcher.spawn(watch(events, listener, closing.subscribe()));
        Ok(Arc::new(ClusterNode { cluster, all, guests, closing, watcher: watcher.into(), readers: readers.into() }))
    }
}

impl ClusterNode {
    /// The guest of a node, for an operation that is waited for or not.
    fn guest(&self, node: u32, wait: WaitFor) -> NodeResult<BroadcastOperator> {
        let guest = self.guests.within(guest(node)?.as_str());
        Ok(match wait {
            WaitFor::Applied(timeout) => guest.timeout(timeout),
            WaitFor::Sent(timeout) => guest.timeout(timeout).no_wait(),
            other => return Err(format!("the cluster cannot wait for {other:?}").into()),
        })
    }
}

#[async_trait]
impl Node for ClusterNode {
    fn id(&self) -> String {
        self.cluster.node().id.to_string()
    }

    async fn emit(&self, packet: &[u8]) -> NodeResult {
        Ok(self.all.emit(packet.to_vec()).await?)
    }

    async fn emit_to_guests(&self, packet: &[u8]) -> NodeResult {
        Ok(self.guests.emit(packet.to_vec()).await?)
    }

    async fn emit_to_room(&self, room: &str, packet: &[u8]) -> NodeResult {
        Ok(self.guests.to(room).emit(packet.to_vec()).await?)
    }

    async fn join(&self, guest_of: u32, room: &str, wait: WaitFor) -> NodeResult {
        // Who is missing shows in what the guests get.
        drop(self.guest(guest_of, wait)?.join_sockets(room).await?);
        Ok(())
    }

    async fn leave(&self, guest_of: u32, room: &str, wait: WaitFor) -> NodeResult {
        // Who is missing shows in what the guests get.
        drop(self.guest(guest_of, wait)?.leave_sockets(room).await?);
        Ok(())
    }

    async fn ask(&self, n: u64) -> NodeResult<Answered> {
        let (answered, missing) = if n.is_multiple_of(2) {
            let counted = self.all.timeout(Place::QUESTION).count_sockets().await?;
            (counted.items.len(), counted.missing)
        } else {
            let asked = self.all.server_side_emit_with_ack("who", "", Place::QUESTION).await?;
            (asked.items.len(), asked.missing)
        };
        let late = missing.iter().filter(|node| node.reason == MissingReason::Timeout).count() as u64;
        Ok(Answered { answered: answered as u64, missing: missing.len() as u64, late })
    }

    async fn settle(&self) -> NodeResult {
        let mut look = tokio::time::interval(Duration::from_millis(20));
        while self.cluster.health() >= FRESH {
            look.tick().await; // it can only be looked at
        }
        Ok(self.cluster.flush(FLUSH).await?)
    }

    async fn close(&self) -> NodeResult {
        self.cluster.close().await?;
        self.closing.send_replace(true);
        let take = |tasks: &Mutex<_>| std::mem::take(&mut *tasks.lock().unwrap_or_else(PoisonError::into_inner));
        let (mut watcher, mut readers): (JoinSet<()>, JoinSet<()>) = (take(&self.watcher), take(&self.readers));
        readers.shutdown().await;
        Ok(watcher.join_next().await.transpose().map(drop)?)
    }

    fn repairs(&self) -> Repairs {
        let stats = self.cluster.stats();
        Repairs { repaired: stats.repaired, resent: stats.resent }
    }
}

/// Tells what a socket gets, for as long as it is connected.
async fn read(mut socket: Socket, listener: Listener) {
    while let Some(delivery) = socket.next().await {
        listener.packet(&delivery.packet.data);
    }
    listener.disconnected();
}

/// Tells what is lost, up to the last event before closing.
async fn watch(mut events: Events, listener: Listener, mut closing: watch::Receiver<bool>) {
    loop {
        tokio::select! {
            event = events.next() => match event {
                Some(event) => tell(&listener, event),
                None => return,
            },
            _ = closing.wait_for(|closing| *closing) => break,
        }
    }
    while let Some(Some(event)) = events.next().now_or_never() {
        tell(&listener, event);
    }
}

fn tell(listener: &Listener, event: Event) {
    match event {
        Event::Gap { node, channel, count, .. } => listener.gap(&node.to_string(), channel, count),
        Event::Missed(n) => listener.missed_events(n),
        _ => {}
    }
}

/// The guest of a node: the socket that others let into their rooms.
fn guest(node: u32) -> NodeResult<SocketId> {
    Ok(SocketId::new(format!("guest-{node}"))?)
}
