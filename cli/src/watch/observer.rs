//! What passes, on its way from the node's reader to the output.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use roomcast::adapter::{Observer, Passed, Sight, SocketChange, Target};
use roomcast::{Bytes, Namespace, NodeId, Packet, Room};
use tokio::sync::mpsc;

use crate::packet::Content;
use crate::text::now_ms;

/// So much waits for the output. What comes then is counted and dropped.
const QUEUE: usize = 65_536;
const QUEUE_BYTES: usize = 64 << 20;

/// What is shown at all. Empty lists let everything pass.
#[derive(Debug, Default)]
pub(crate) struct Filter {
    /// In any of these.
    pub(crate) namespaces: Vec<Namespace>,
    /// For any of these, by name.
    pub(crate) rooms: Vec<String>,
}

impl Filter {
    fn lets_pass(&self, namespace: &Namespace, target: Option<&Target>) -> bool {
        let named = |room: &Room| self.rooms.iter().any(|wanted| wanted == room.as_str());
        let for_room = || target.and_then(|target| target.rooms.as_ref()).is_some_and(|rooms| rooms.iter().any(named));
        (self.namespaces.is_empty() || self.namespaces.contains(namespace)) && (self.rooms.is_empty() || for_room())
    }
}

/// One thing that passed.
#[derive(Debug)]
pub(crate) struct Sighted {
    /// In milliseconds since 1970.
    pub(crate) at: u64,
    pub(crate) from: NodeId,
    pub(crate) namespace: Namespace,
    /// The sockets; `None`: the servers.
    pub(crate) target: Option<Target>,
    pub(crate) what: What,
}

/// What it is.
#[derive(Debug)]
pub(crate) enum What {
    Emit { content: Content, ack: bool },
    Join(Vec<Room>),
    Leave(Vec<Room>),
    Disconnect,
    ServerEvent { name: String, data: Bytes },
}

impl Sighted {
    /// The name of the event, if it is one.
    pub(crate) fn event(&self) -> Option<&str> {
        match &self.what {
            What::Emit { content, .. } => content.event(),
            What::ServerEvent { name, .. } => Some(name),
            What::Join(_) | What::Leave(_) | What::Disconnect => None,
        }
    }
}

/// What waits for the output, not read yet.
struct Waiting {
    at: u64,
    from: NodeId,
    namespace: Namespace,
    target: Option<Target>,
    what: Raw,
}

enum Raw {
    Packet { packet: Packet, ack: bool },
    Change(SocketChange),
    ServerEvent { name: String, data: Bytes },
}

impl Raw {
    /// A copy, so that it keeps nothing else in memory; `None` for a kind that this build does not know.
    fn of(what: Sight<'_>) -> Option<Self> {
        let copy = |packet: &Packet| Packet::new(packet.format, Bytes::copy_from_slice(&packet.data));
        Some(match what {
            Sight::Broadcast(packet) => Self::Packet { packet: copy(packet), ack: false },
            Sight::BroadcastWithAck(packet) => Self::Packet { packet: copy(packet), ack: true },
            Sight::Change(change) => Self::Change(change.clone()),
            Sight::ServerEvent { event, data, .. } => {
                Self::ServerEvent { name: event.to_owned(), data: Bytes::copy_from_slice(data) }
            }
            _ => return None,
        })
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Packet { packet, .. } => packet.data.len(),
            Self::Change(SocketChange::Join(rooms) | SocketChange::Leave(rooms)) => {
                rooms.iter().map(|room| room.as_str().len()).sum()
            }
            Self::Change(_) => 0,
            Self::ServerEvent { name, data } => name.len() + data.len(),
        }
    }

    fn read(self) -> Option<What> {
        Some(match self {
            Self::Packet { packet, ack } => What::Emit { content: Content::of(&packet), ack },
            Self::Change(SocketChange::Join(rooms)) => What::Join(rooms),
            Self::Change(SocketChange::Leave(rooms)) => What::Leave(rooms),
            Self::Change(SocketChange::Disconnect) => What::Disconnect,
            Self::Change(_) => return None,
            Self::ServerEvent { name, data } => What::ServerEvent { name, data },
        })
    }
}

#[derive(Debug, Default)]
struct Shared {
    bytes: AtomicUsize,
    missed: AtomicU64,
}

/// Puts what passes into the queue, on the node's reader.
#[derive(Debug)]
pub(crate) struct Watcher {
    filter: Filter,
    queue: mpsc::Sender<Waiting>,
    shared: Arc<Shared>,
}

/// Takes it out.
pub(crate) struct Sightings {
    queue: mpsc::Receiver<Waiting>,
    shared: Arc<Shared>,
}

impl Watcher {
    /// An observer, and what it sees.
    pub(crate) fn new(filter: Filter) -> (Self, Sightings) {
        let ((sender, queue), shared) = (mpsc::channel(QUEUE), Arc::new(Shared::default()));
        (Self { filter, queue: sender, shared: Arc::clone(&shared) }, Sightings { queue, shared })
    }
}

impl Observer for Watcher {
    fn saw(&self, passed: &Passed<'_>) {
        let Passed { from, namespace, target, what, .. } = *passed;
        if !self.filter.lets_pass(namespace, target) {
            return;
        }
        let Some(what) = Raw::of(what) else { return };
        let bytes = what.bytes();
        let waiting = Waiting { at: now_ms(), from, namespace: namespace.clone(), target: target.cloned(), what };
        let full = self.shared.bytes.fetch_add(bytes, Ordering::AcqRel) >= QUEUE_BYTES;
        if full || self.queue.try_send(waiting).is_err() {
            self.shared.bytes.fetch_sub(bytes, Ordering::AcqRel);
            self.shared.missed.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Sightings {
    /// The next one; `None` when the node is gone.
    ///
    /// # Cancel safety
    /// Safe.
    pub(crate) async fn next(&mut self) -> Option<Sighted> {
        loop {
            let Waiting { at, from, namespace, target, what } = self.queue.recv().await?;
            self.shared.bytes.fetch_sub(what.bytes(), Ordering::AcqRel);
            if let Some(what) = what.read() {
                return Some(Sighted { at, from, namespace, target, what });
            }
        }
    }

    /// How many were dropped since the last call.
    pub(crate) fn missed(&self) -> u64 {
        self.shared.missed.swap(0, Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_takes_namespaces_and_rooms_by_name() {
        let [chat, shop] = ["/chat", "/shop"].map(|name| Namespace::new(name).expect("valid"));
        let room = |name| Room::new(name).expect("valid");
        let (lobby, everyone) = (Target::rooms([room("lobby"), room("a")]), Target::everyone());
        let filter = |namespaces: &[&Namespace], rooms: &[&str]| Filter {
            namespaces: namespaces.iter().map(|name| (*name).clone()).collect(),
            rooms: rooms.iter().map(|room| (*room).to_owned()).collect(),
        };
        assert!(filter(&[], &[]).lets_pass(&chat, Some(&everyone)) && filter(&[], &[]).lets_pass(&chat, None));
        assert!(filter(&[&chat], &["lobby", "x"]).lets_pass(&chat, Some(&lobby)));
        assert!(!filter(&[&shop], &[]).lets_pass(&chat, Some(&lobby)));
        assert!(!filter(&[], &["x"]).lets_pass(&chat, Some(&lobby)));
        assert!(
            !filter(&[], &["lobby"]).lets_pass(&chat, Some(&everyone))
                && !filter(&[], &["lobby"]).lets_pass(&chat, None)
        );
    }
}
