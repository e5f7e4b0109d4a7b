//! What waits for sockets whose buffer is full.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use roomcast_core::adapter::Acks;
use socketioxide_core::packet::{Packet, PacketData};
use socketioxide_core::{Sid, Value};

/// What may wait for one socket: in packets, and in bytes.
pub(crate) const MAX_PACKETS: usize = 65_536;
pub(crate) const MAX_BYTES: usize = 16 << 20;

/// How many bytes may wait in one namespace. What waits for several sockets is there once and counts once; its place in the queue of
/// each counts beside that.
pub(crate) const MAX_HELD: usize = 256 << 20;

/// What a socket with something waiting counts.
const SOCKET: usize = 256;
/// What an item's place in a queue counts, which doubles when it grows.
const PLACE: usize = 24;
/// What a question counts beside that.
const ASKED: usize = size_of::<Question>() + 64;

/// How long a socket whose buffer is still full is left alone: at first, and at most.
const PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(64);

/// What waits for the sockets of a namespace, in order for each of them. Only sockets with something waiting are here.
pub(crate) struct Backlog {
    waiting: HashMap<Sid, Waiting>,
    /// Those sockets, in the order of their turns.
    turns: VecDeque<Sid>,
    /// The bytes of all packets that wait, each counted once.
    held: Arc<AtomicUsize>,
    /// What their places count.
    places: usize,
    max_held: usize,
}

#[derive(Default)]
struct Waiting {
    items: VecDeque<Item>,
    bytes: usize,
    pause: Duration,
    /// Not before this.
    due: Option<Instant>,
}

/// What a socket is to get.
pub(crate) enum Item {
    Packet(Arc<Payload>),
    /// An event that wants an answer.
    Question(Box<Question>),
    Disconnect,
}

pub(crate) struct Question {
    pub(crate) packet: Arc<Payload>,
    pub(crate) until: Instant,
    pub(crate) acks: Acks,
}

/// A packet that waits, shared by the sockets it waits for.
pub(crate) struct Payload {
    pub(crate) packet: Packet,
    bytes: usize,
    held: Arc<AtomicUsize>,
}

/// What became of an item that was offered to a socket.
pub(crate) enum Offered {
    Taken,
    /// The buffer is full: the item stays first.
    Full(Item),
    /// The socket is gone, and so is all that waits for it.
    Gone,
}

/// When a backlog is to be looked at again.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    Now,
    At(Instant),
    /// Nothing waits.
    Never,
}

impl Default for Backlog {
    fn default() -> Self {
        Self::bounded(MAX_HELD)
    }
}

impl Backlog {
    /// Empty; takes nothing more once so many bytes wait.
    fn bounded(max_held: usize) -> Self {
        Self { waiting: HashMap::new(), turns: VecDeque::new(), held: Arc::default(), places: 0, max_held }
    }

    /// Whether something waits for this socket: whatever comes then has to wait behind it.
    pub(crate) fn waits(&self, socket: Sid) -> bool {
        self.waiting.contains_key(&socket)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// A packet that is to wait.
    pub(crate) fn payload(&self, packet: Packet) -> Arc<Payload> {
        let bytes = bytes(&packet);
        self.held.fetch_add(bytes, Relaxed);
        Arc::new(Payload { packet, bytes, held: Arc::clone(&self.held) })
    }

    /// Puts an item behind what waits for the socket; `false` if it is full. The first one of a socket is let in
    /// whatever its size: one packet may be larger than what is allowed for many.
    pub(crate) fn push(&mut self, socket: Sid, item: Item) -> bool {
        let bytes = item.bytes();
        let (items, waiting) = self.waiting.get(&socket).map_or((0, 0), |waiting| (waiting.items.len(), waiting.bytes));
        let fits = items == 0 || items < MAX_PACKETS && waiting + bytes <= MAX_BYTES;
        if !fits || self.held() > self.max_held.max(bytes) {
            return false;
        }
        self.places += item.place();
        let waiting = self.entry(socket);
        waiting.bytes += bytes;
        waiting.items.push_back(item);
        true
    }

    /// An item that was taken out, and is still to come before all others.
    pub(crate) fn push_first(&mut self, socket: Sid, item: Item, now: Instant) {
        self.places += item.place();
        let waiting = self.entry(socket);
        waiting.bytes += item.bytes();
        waiting.items.push_front(item);
        waiting.rest(now);
    }

    /// Offers the socket whose turn it is up to so many of its items. Returns how many of its items were lost with it.
    pub(crate) fn turn(&mut self, now: Instant, most: usize, mut offer: impl FnMut(Sid, Item) -> Offered) -> usize {
        let Some(socket) = self.turns.pop_front() else { return 0 };
        let Some(waiting) = self.waiting.get_mut(&socket) else { return 0 };
        if waiting.due.is_some_and(|due| due > now) {
            self.turns.push_back(socket);
            return 0;
        }
        for _ in 0..most {
            let Some(item) = waiting.items.pop_front() else { break };
            let (bytes, place) = (item.bytes(), item.place());
            match offer(socket, item) {
                Offered::Taken => {
                    waiting.bytes -= bytes;
                    self.places -= place;
                    (waiting.pause, waiting.due) = (Duration::ZERO, None);
                }
                Offered::Full(item) => {
                    waiting.items.push_front(item);
                    waiting.rest(now);
                    break;
                }
                Offered::Gone => {
                    let Some(waiting) = self.waiting.remove(&socket) else { return 0 };
                    self.places -= place + waiting.places();
                    return waiting.items.len() + 1;
                }
            }
        }
        waiting.give_back();
        if waiting.items.is_empty() {
            self.waiting.remove(&socket);
        } else {
            self.turns.push_back(socket);
        }
        0
    }

    /// The bytes that wait.
    fn held(&self) -> usize {
        self.held.load(Relaxed) + self.places + self.waiting.len() * SOCKET
    }

    /// How many sockets wait for a turn.
    pub(crate) fn turns(&self) -> usize {
        self.turns.len()
    }

    /// When the next turn is.
    pub(crate) fn next(&self, now: Instant) -> Next {
        let due = |waiting: &Waiting| waiting.due.filter(|due| *due > now);
        match self.waiting.values().map(due).min() {
            None => Next::Never,
            Some(None) => Next::Now,
            Some(Some(due)) => Next::At(due),
        }
    }

    /// After a panic in the middle of a turn: every socket with something waiting has one.
    pub(crate) fn recover(&mut self) {
        self.waiting.retain(|_, waiting| {
            waiting.bytes = waiting.items.iter().map(Item::bytes).sum();
            !waiting.items.is_empty()
        });
        self.places = self.waiting.values().map(Waiting::places).sum();
        self.turns = self.waiting.keys().copied().collect();
    }

    fn entry(&mut self, socket: Sid) -> &mut Waiting {
        self.waiting.entry(socket).or_insert_with(|| {
            self.turns.push_back(socket);
            Waiting::default()
        })
    }
}

impl Waiting {
    fn places(&self) -> usize {
        self.items.iter().map(Item::place).sum()
    }

    /// Gives the memory of a burst back while it is taken.
    fn give_back(&mut self) {
        if self.items.capacity() > 4 * self.items.len() + 32 {
            self.items.shrink_to(2 * self.items.len());
        }
    }

    fn rest(&mut self, now: Instant) {
        self.pause = (self.pause * 2).clamp(PAUSE, LONGEST_PAUSE);
        self.due = Some(now + self.pause);
    }
}

impl Item {
    fn bytes(&self) -> usize {
        match self {
            Self::Packet(payload) => payload.bytes,
            Self::Question(question) => question.packet.bytes,
            Self::Disconnect => 0,
        }
    }

    /// What it counts beside its packet.
    fn place(&self) -> usize {
        PLACE + if let Self::Question(_) = self { ASKED } else { 0 }
    }
}

impl Drop for Payload {
    fn drop(&mut self) {
        self.held.fetch_sub(self.bytes, Relaxed);
    }
}

/// What a packet holds in memory, about.
fn bytes(packet: &Packet) -> usize {
    const FIXED: usize = size_of::<Payload>();
    let attachments = match &packet.inner {
        PacketData::Event(Value::Str(_, Some(all)), _) | PacketData::BinaryEvent(Value::Str(_, Some(all)), _) => {
            all.iter().map(|one| one.len() + size_of::<bytes::Bytes>()).sum()
        }
        _ => 0,
    };
    FIXED + encoded(packet) + attachments
}

/// What each encoding of a packet copies: attachments of the common parser are shared.
pub(crate) fn encoded(packet: &Packet) -> usize {
    match &packet.inner {
        PacketData::Event(value, _) | PacketData::BinaryEvent(value, _) => match value {
            Value::Str(text, _) => text.len(),
            Value::Bytes(data) => data.len(),
        },
        _ => 0,
    }
}

#[cfg(test)]
mod tests;
