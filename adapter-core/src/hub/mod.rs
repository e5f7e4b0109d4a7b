//! The built-in local sockets, for any WebSocket server.

mod acks;
mod few;
mod index;
mod outbox;
mod slab;
mod socket;
mod stats;

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

pub use acks::AckHandle;
pub use outbox::SlowPolicy;
pub use socket::{Delivery, Socket, SocketHandle};
pub use stats::HubStats;

use acks::Question;
use index::Index;
use outbox::{After, Losses, Outbox, Parcel, Rule};
use stats::Counters;

use crate::model::{Error, LocalDropped, LocalSocket, Packet, Projection, Result, Room, SocketId, Target};
use crate::seams::{Acks, LocalSockets};

/// The sockets of this node in one namespace, for any WebSocket server. Clones are the same hub.
///
/// # Contract
/// - Each socket gets a packet as it is. An opaque packet has the bytes that were emitted. An event comes from
///   [`Packet::event`], SQL or a server of socketioxide in the same namespace. Without binary data its `data` is the JSON array
///   `["name", argument, ..]`; [`Packet::event_data`] reads events with and without binary data. The server decides what its clients see.
/// - Nothing here waits. Each socket has its own queue, bounded in deliveries and in bytes. A full queue concerns only
///   its socket, and [`SlowPolicy`] says what becomes of it. The defaults are wide, so that a burst does not disconnect a socket that reads.
/// - A packet from another node is a slice of a larger message. Where it has to wait in queues, the hub makes one copy for all
///   of them, so that no queue keeps the whole message in memory.
/// - A volatile packet is dropped for each socket that is not ready, which means that its queue is not empty.
/// - A socket that was asked for a reply and gives none counts as [`Gone`](crate::AckError::Gone) when it or
///   its [`AckHandle`] is dropped, and as [`Timeout`](crate::AckError::Timeout) otherwise. The timeout needs a tokio
///   runtime with a timer at the time of the question; without one nothing ends the question.
/// - The hub lives as long as a clone of it, or a socket of it.
///
/// # Examples
/// ```
/// use roomcast_core::Hub;
/// use roomcast_core::adapter::{LocalSockets, Target};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> roomcast_core::Result<()> {
/// let hub = Hub::new();
/// let mut socket = hub.connect()?; // for each client; then read `next()` and write to the client
/// socket.join("news")?;
///
/// hub.broadcast(&Target::rooms(["news".try_into()?]), &"hello".into()); // what the cluster does
/// let delivery = socket.next().await.expect("connected");
/// assert_eq!(delivery.packet.data, "hello");
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Hub(Arc<Inner>);

/// The options of a [`Hub`].
#[derive(Clone, Debug)]
pub struct HubBuilder {
    rule: Rule,
}

struct Inner {
    index: RwLock<Index<Arc<Outbox>>>,
    rule: Rule,
    counters: Arc<Counters>,
    questions: AtomicU64,
}

impl Hub {
    /// A hub with the default options.
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// Configures a hub: the bounds of each socket's queue, and what happens when one is full.
    pub fn builder() -> HubBuilder {
        HubBuilder { rule: Rule { queue: 65_536, bytes: 128 << 20, slow: SlowPolicy::default() } }
    }

    /// Connects a socket with a new id: 16 characters of `[A-Za-z0-9_-]`, 96 random bits, as
    /// socketioxide has them.
    ///
    /// # Errors
    /// `Unexpected` when the operating system has no random numbers to give.
    pub fn connect(&self) -> Result<Socket> {
        loop {
            if let Some(socket) = self.try_connect(random_id()?) {
                return Ok(socket);
            }
        }
    }

    /// Connects a socket with an id of yours. The id must be unique in the cluster; only this node is checked.
    ///
    /// # Errors
    /// `Config` when a socket with this id is connected to this hub.
    pub fn connect_as(&self, id: SocketId) -> Result<Socket> {
        self.try_connect(id).ok_or_else(|| Error::config("a socket with this id is already connected"))
    }

    /// What the hub holds now, and what it has counted. Costs a look at each socket.
    pub fn stats(&self) -> HubStats {
        let index = self.0.read();
        let mut stats = self.0.counters.read();
        (stats.sockets, stats.rooms) = (index.sockets() as u64, index.rooms() as u64);
        index.select(&Target::everyone(), |_, entry| {
            let (deliveries, bytes) = entry.value.queued();
            stats.queued += deliveries as u64;
            stats.queued_bytes += bytes as u64;
        });
        stats
    }

    fn try_connect(&self, id: SocketId) -> Option<Socket> {
        let outbox = Arc::new(Outbox::new(id.clone()));
        let key = self.0.write().insert(id, Arc::clone(&outbox))?;
        Some(Socket::new(Arc::clone(&self.0), key, outbox))
    }
}

impl Default for Hub {
    fn default() -> Self {
        Self::new()
    }
}

impl HubBuilder {
    /// How many deliveries may wait for one socket. Default 65,536; 0 counts as 1. [`queue_bytes`](Self::queue_bytes)
    /// bounds the same queue; the queue is full when either bound is reached.
    ///
    /// A larger queue survives longer bursts and longer pauses of a client. It costs up to 128 bytes for each
    /// delivery that waits. Memory is used only while deliveries wait, and is given back as they are taken.
    #[must_use]
    pub fn queue(mut self, deliveries: usize) -> Self {
        self.rule.queue = deliveries.max(1);
        self
    }

    /// How many bytes may wait for one socket. Each delivery counts its packet's bytes and 128 more, and another 512 if it
    /// wants a reply. Default 128 MiB; 0 counts as 1. The default is twice the outgoing queue's, so that a loop of emits has to wait for the broker
    /// before it fills the queue of a socket on its own node.
    ///
    /// The queue takes the next delivery while less than this waits. So an empty queue takes a packet of any size, and the queue holds
    /// at most this and one packet. A packet is in memory once, for however many sockets it waits,
    /// so raising the bound costs memory only for sockets that are behind by different packets.
    #[must_use]
    pub fn queue_bytes(mut self, bytes: usize) -> Self {
        self.rule.bytes = bytes.max(1);
        self
    }

    /// What happens to a socket whose queue is full. Default [`SlowPolicy::Disconnect`].
    #[must_use]
    pub fn slow(mut self, policy: SlowPolicy) -> Self {
        self.rule.slow = policy;
        self
    }

    /// Makes the hub.
    pub fn build(self) -> Hub {
        Hub(Arc::new(Inner {
            index: RwLock::new(Index::new()),
            rule: self.rule,
            counters: Arc::default(),
            questions: AtomicU64::new(0),
        }))
    }
}

impl LocalSockets for Hub {
    fn key(&self) -> Option<usize> {
        Some(Arc::as_ptr(&self.0).addr())
    }

    fn broadcast(&self, target: &Target, packet: &Packet) {
        let rule = self.0.rule;
        let volatile = target.flags.is_volatile();
        let (parcel, mut after) = (Parcel::new(packet), None);
        self.0.read().select(target, |key, entry| {
            entry.value.push(key, &parcel, None, volatile, rule, after.get_or_insert_default());
        });
        if let Some(after) = after {
            self.0.finish(after);
        }
    }

    fn broadcast_with_ack(&self, target: &Target, packet: &Packet, timeout: Duration, acks: Acks) {
        let mut asked = Vec::new();
        self.0.read().select(target, |key, entry| asked.push((key, Arc::clone(&entry.value))));
        let ids: Vec<_> = asked.iter().map(|(_, outbox)| outbox.id().clone()).collect();
        acks.expect(ids.clone());
        if ids.is_empty() {
            return;
        }
        let number = self.0.questions.fetch_add(1, Ordering::Relaxed);
        let question = Question::new(number, ids, acks, timeout, Arc::clone(&self.0.counters));
        let volatile = target.flags.is_volatile();
        let (parcel, mut after) = (Parcel::new(packet), After::default());
        for (place, (key, outbox)) in asked.iter().enumerate() {
            let ack = Some(question.handle(place, outbox));
            outbox.push(*key, &parcel, ack, volatile, self.0.rule, &mut after);
        }
        self.0.finish(after);
    }

    fn join(&self, target: &Target, rooms: &[Room]) {
        let mut index = self.0.write();
        let keys = index.keys(target);
        index.join(&keys, rooms);
    }

    fn leave(&self, target: &Target, rooms: &[Room]) {
        let mut index = self.0.write();
        let keys = index.keys(target);
        index.leave(&keys, rooms);
    }

    fn disconnect(&self, target: &Target) {
        let mut after = After::default();
        let gone: Vec<_> = {
            let mut index = self.0.write();
            index.keys(target).into_iter().filter_map(|key| index.remove(key)).collect()
        };
        gone.iter().for_each(|outbox| outbox.close(&mut after));
        self.0.finish(after);
    }

    fn sockets(&self, target: &Target, projection: Projection) -> Vec<LocalSocket> {
        let index = self.0.read();
        let mut found = Vec::new();
        index.select(target, |_, entry| {
            let rooms = if projection.has_rooms() { index.rooms_in(entry) } else { Vec::new() };
            let data = if projection.has_data() { entry.value.data() } else { Default::default() };
            found.push(LocalSocket { id: entry.id.clone(), rooms, data });
        });
        found
    }

    fn count(&self, target: &Target) -> u64 {
        let mut count = 0;
        self.0.read().select(target, |_, _| count += 1);
        count
    }

    fn rooms(&self, target: &Target) -> Vec<Room> {
        self.0.read().rooms_for(target)
    }

    fn dropped(&self) -> LocalDropped {
        let HubStats { dropped_slow, dropped_volatile, dropped_gone, .. } = self.stats();
        LocalDropped { full: dropped_slow + dropped_volatile, gone: dropped_gone, ..LocalDropped::default() }
    }
}

impl Inner {
    /// Does the work that was put off until no lock is held.
    fn finish(&self, after: After) {
        let After { mut wakers, discarded, cleared, refused, unanswered, slow, lost } = after;
        if lost != Losses::default() {
            self.counters.lost(lost);
        }
        for key in slow {
            self.counters.disconnected_slow();
            let outbox = self.write().remove(key);
            drop(outbox); // after the lock
        }
        for (question, place) in unanswered {
            question.resolve(place, Err(crate::model::AckError::Gone));
        }
        drop((discarded, cleared, refused));
        wakers.as_mut_slice().iter_mut().filter_map(Option::take).for_each(std::task::Waker::wake);
    }

    // Both recover from poison: no code of others runs under the lock, and the index stays consistent by itself.
    fn read(&self) -> RwLockReadGuard<'_, Index<Arc<Outbox>>> {
        self.index.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Index<Arc<Outbox>>> {
        self.index.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.stats(), f)
    }
}

fn random_id() -> Result<SocketId> {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|cause| {
        Error::unexpected("the operating system gave no random numbers for a socket id").with_source(cause)
    })?;
    SocketId::new(bytes.map(|byte| char::from(ALPHABET[usize::from(byte % 64)])).iter().collect::<String>())
}

#[cfg(test)]
mod tests;
