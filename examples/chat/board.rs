//! What a node knows of all nodes, for its pages.
//!
//! Each node sends one card of itself a second to the others, and one soon after something about its users has changed. Nobody asks:
//! so a change costs one broadcast, however many pages there are.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use roomcast::{Departure, NodeId};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use crate::peers::NodeUsers;

/// How long a node that is gone is still shown.
const SHOWN: Duration = Duration::from_secs(10);
/// How long its name is known: what it sent last is reported as lost some ten seconds after its end.
const KNOWN: Duration = Duration::from_secs(60);
/// How many nodes are remembered; the cards of others are dropped.
const MOST_NODES: usize = 256;
const LONGEST_LOG: usize = 40;

/// One node, as it sees itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Card {
    #[serde(flatten)]
    pub(crate) users: NodeUsers,
    /// Tells this run of the node from every other.
    pub(crate) id: String,
    /// `up`, `degraded`, `joining`, `closed`, or `alone` without a cluster.
    pub(crate) state: String,
    /// Milliseconds through the broker and back.
    pub(crate) round_trip: Option<f64>,
    /// Messages that wait for the broker.
    pub(crate) queue: u64,
    /// Messages of others that came a second time of asking.
    pub(crate) repaired: u64,
    pub(crate) lost: u64,
    pub(crate) duplicates: u64,
    /// Broadcasts a second, to the others and from them.
    pub(crate) sent: f64,
    pub(crate) received: f64,
    /// How many messages were said on it, by room.
    pub(crate) said: BTreeMap<String, u64>,
}

/// A card as the pages get it.
#[derive(Debug, Serialize)]
pub(crate) struct Shown {
    #[serde(flatten)]
    card: Card,
    /// For how many milliseconds nothing was heard of the node.
    age: u64,
    /// How it went, and how many milliseconds ago.
    gone: Option<(&'static str, u64)>,
}

/// Something that happened.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Entry {
    /// Milliseconds since 1970.
    at: u64,
    kind: &'static str,
    text: String,
}

impl Entry {
    pub(crate) fn now(kind: &'static str, text: impl Into<String>) -> Self {
        let at = millis(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default());
        Self { at, kind, text: text.into() }
    }
}

#[derive(Default)]
pub(crate) struct Board {
    inner: Mutex<Inner>,
    changed: Notify,
}

#[derive(Default)]
struct Inner {
    others: HashMap<NodeId, Seen>,
    log: VecDeque<Entry>,
    /// Whether something about this node's own users has changed.
    own: bool,
}

struct Seen {
    card: Card,
    heard: Instant,
    gone: Option<(Departure, Instant)>,
}

impl Board {
    /// Something about this node's own users has changed.
    pub(crate) fn touch(&self) {
        self.lock().own = true;
        self.changed.notify_one();
    }

    /// Whether [`touch`](Self::touch) was called since the last time.
    pub(crate) fn take_touch(&self) -> bool {
        std::mem::take(&mut self.lock().own)
    }

    /// Returns once the pages have something new to see.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Takes the card of another node.
    pub(crate) fn put(&self, from: NodeId, card: Card) {
        let mut inner = self.lock();
        if inner.others.len() >= MOST_NODES && !inner.others.contains_key(&from) {
            return;
        }
        let new = Seen { card, heard: Instant::now(), gone: None };
        let news = |old: &Seen| {
            let (old, new) = (&old.card, &new.card);
            old.users != new.users || old.state != new.state
        };
        let news = inner.others.get(&from).is_none_or(news);
        inner.others.insert(from, new);
        if news {
            self.changed.notify_one();
        }
    }

    /// A node is gone: its card is shown for a while longer.
    pub(crate) fn gone(&self, id: NodeId, how: Departure) {
        if let Some(seen) = self.lock().others.get_mut(&id) {
            seen.gone = Some((how, Instant::now()));
        }
        self.changed.notify_one();
    }

    /// Writes down what happened.
    pub(crate) fn note(&self, kind: &'static str, text: impl Into<String>) {
        let log = &mut self.lock().log;
        if log.len() == LONGEST_LOG {
            log.pop_front();
        }
        log.push_back(Entry::now(kind, text));
        self.changed.notify_one();
    }

    pub(crate) fn log(&self) -> Vec<Entry> {
        self.lock().log.iter().cloned().collect()
    }

    /// The name of a node that was seen.
    pub(crate) fn name(&self, id: NodeId) -> Option<String> {
        self.lock().others.get(&id).map(|seen| seen.card.users.node.clone())
    }

    /// The cards of all nodes, by name, this one's among them.
    pub(crate) fn cards(&self, own: Card) -> Vec<Shown> {
        let mut inner = self.lock();
        inner.others.retain(|_, seen| seen.gone.is_none_or(|(_, since)| since.elapsed() < KNOWN));
        let others = &inner.others;
        // A node that was started again stands for the one that died.
        let over = |seen: &Seen| {
            let Some((_, since)) = seen.gone else { return false };
            if since.elapsed() >= SHOWN {
                return true;
            }
            let name = &seen.card.users.node;
            let later =
                |other: &Seen| other.card.users.node == *name && other.gone.is_none_or(|(_, gone)| gone > since);
            *name == own.users.node || others.values().any(later)
        };
        let mut cards: Vec<_> = others
            .values()
            .filter(|seen| !over(seen))
            .map(|seen| Shown {
                card: seen.card.clone(),
                age: millis(seen.heard.elapsed()),
                gone: seen.gone.map(|(how, since)| {
                    (if how == Departure::Left { "left" } else { "died" }, millis(since.elapsed()))
                }),
            })
            .collect();
        cards.push(Shown { card: own, age: 0, gone: None });
        cards.sort_by(|a, b| a.card.users.node.cmp(&b.card.users.node));
        cards
    }

    // Nothing awaits while it is held.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn card(node: &str) -> Card {
        let users = NodeUsers { node: node.to_owned(), port: 1, users: Vec::new() };
        let (id, state, said) = (node.to_owned(), "up".to_owned(), BTreeMap::new());
        let (round_trip, queue, repaired, lost, duplicates, sent, received) = (None, 0, 0, 0, 0, 0.0, 0.0);
        Card { users, id, state, round_trip, queue, repaired, lost, duplicates, sent, received, said }
    }

    fn id(byte: u8) -> NodeId {
        NodeId::from_bytes([byte; 16])
    }

    fn names(board: &Board) -> Vec<(String, bool)> {
        board.cards(card("b")).into_iter().map(|shown| (shown.card.users.node, shown.gone.is_some())).collect()
    }

    #[test]
    fn a_node_that_died_is_shown_until_it_is_back() {
        let board = Board::default();
        board.put(id(1), card("a"));
        board.put(id(3), card("c"));
        board.gone(id(3), Departure::Died);
        let all = |third| vec![("a".to_owned(), false), ("b".to_owned(), false), ("c".to_owned(), third)];
        assert_eq!(names(&board), all(true));
        board.put(id(4), card("c"));
        assert_eq!(names(&board), all(false));
        board.gone(id(4), Departure::Died);
        assert_eq!(names(&board), all(true), "it has died twice");
    }

    #[test]
    fn no_more_nodes_are_remembered_than_fit() {
        let board = Board::default();
        for n in 0..=u8::MAX {
            board.put(id(n), card(&format!("x{n}")));
        }
        let mut other = [0; 16];
        other[0] = 9;
        board.put(NodeId::from_bytes(other), card("one too many"));
        assert_eq!(board.cards(card("own")).len(), MOST_NODES + 1);
        assert_eq!(board.name(NodeId::from_bytes(other)), None);
    }
}
