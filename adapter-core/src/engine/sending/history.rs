//! What was sent, kept for those who miss it.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::Destination;
use super::segment::{Numbers, Payload};

/// What keeping a message costs beside its bytes.
const KEPT: usize = 256;

/// How much is kept, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Keep {
    /// Nothing is, when this is 0.
    pub(crate) bytes: usize,
    pub(crate) age: Duration,
}

/// Messages that the broker has taken, as they were sent. The oldest make room, whatever channel they are of.
#[derive(Debug)]
pub(super) struct History {
    keep: Keep,
    streams: HashMap<Destination, VecDeque<Kept>>,
    /// All of them by age, oldest first, by their places. Of a channel that was forgotten some may not be there any more.
    order: VecDeque<(Destination, u64)>,
    newest: u64,
    bytes: usize,
    /// Packets that are not kept any more. They are dropped after the engine's lock has been given back, because dropping one may
    /// run code of the application.
    released: Vec<Bytes>,
}

/// A message that is kept.
#[derive(Debug)]
pub(super) struct Kept {
    /// Counts all that was ever kept.
    pub(super) place: u64,
    pub(super) numbers: Numbers,
    pub(super) payload: Payload,
    at: Instant,
    cost: usize,
}

impl History {
    pub(super) fn new(keep: Keep) -> Self {
        let (streams, order) = (HashMap::new(), VecDeque::new());
        Self { keep, streams, order, newest: 0, bytes: 0, released: Vec::new() }
    }

    /// Keeps a message that was sent at that time.
    pub(super) fn add(&mut self, to: Destination, numbers: Numbers, payload: Payload, at: Instant) {
        let cost = KEPT + payload.held();
        if cost > self.keep.bytes {
            return self.let_go(payload);
        }
        while self.bytes + cost > self.keep.bytes && self.drop_oldest() {}
        self.newest += 1;
        self.bytes += cost;
        self.order.push_back((to, self.newest));
        self.streams.entry(to).or_default().push_back(Kept { place: self.newest, numbers, payload, at, cost });
    }

    /// Drops what is too old.
    pub(super) fn age(&mut self, now: Instant) {
        while let Some((to, place)) = self.order.front() {
            let oldest = self.streams.get(to).and_then(|kept| kept.front()).filter(|kept| kept.place == *place);
            if oldest.is_some_and(|oldest| now.saturating_duration_since(oldest.at) < self.keep.age) {
                return;
            }
            self.drop_oldest();
        }
        *self = Self { released: std::mem::take(&mut self.released), newest: self.newest, ..Self::new(self.keep) };
    }

    /// Forgets a channel: its numbers are not counted on.
    pub(super) fn forget(&mut self, to: Destination) {
        for kept in self.streams.remove(&to).unwrap_or_default() {
            self.bytes -= kept.cost;
            self.let_go(kept.payload);
        }
    }

    fn drop_oldest(&mut self) -> bool {
        let Some((to, place)) = self.order.pop_front() else { return false };
        if let Some(stream) = self.streams.get_mut(&to)
            && stream.front().is_some_and(|kept| kept.place == place)
        {
            let mut dropped: Vec<_> = stream.pop_front().into_iter().collect();
            // The pieces of a large message keep the whole of it in memory, however few there are.
            let of = dropped.first().map(|kept| kept.numbers).filter(|numbers| numbers.piece.is_some());
            let belongs = |kept: &Kept| of.is_some_and(|of| kept.numbers.first == of.first);
            while stream.front().is_some_and(belongs) {
                dropped.extend(stream.pop_front());
            }
            if stream.is_empty() {
                self.streams.remove(&to);
            }
            for kept in dropped {
                self.bytes -= kept.cost;
                self.let_go(kept.payload);
            }
        }
        true
    }

    fn let_go(&mut self, payload: Payload) {
        self.released.extend(payload.into_packet());
    }

    /// The packets that are not kept any more, to be dropped without the engine's lock.
    pub(super) fn take_released(&mut self) -> Vec<Bytes> {
        std::mem::take(&mut self.released)
    }

    /// What there is of the numbers from `first` up to `last`, in their order.
    pub(super) fn of(&self, to: Destination, first: u64, last: u64) -> impl Iterator<Item = &Kept> {
        let stream = self.streams.get(&to);
        let from = stream.map_or(0, |kept| kept.partition_point(|kept| kept.numbers.last < first));
        let behind = stream.into_iter().flat_map(move |kept| kept.range(from..));
        behind.take_while(move |kept| kept.numbers.first <= last)
    }

    /// The message of this place.
    pub(super) fn get(&self, to: Destination, place: u64) -> Option<&Kept> {
        let stream = self.streams.get(&to)?;
        let at = stream.binary_search_by_key(&place, |kept| kept.place).ok()?;
        stream.get(at)
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether anything is kept of a channel.
    pub(super) fn has(&self, to: Destination) -> bool {
        self.streams.contains_key(&to)
    }

    /// The channels of which something is kept.
    pub(super) fn channels(&self) -> impl Iterator<Item = Destination> {
        self.streams.keys().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::NodeId;

    const INBOX: Destination = Destination::Inbox(NodeId::from_bytes([1; 16]));

    fn history(messages: usize) -> History {
        History::new(Keep { bytes: messages * (KEPT + 100), age: Duration::from_secs(30) })
    }

    fn add(history: &mut History, to: Destination, first: u64, last: u64, at: Instant) {
        let numbers = Numbers { first, last, piece: None };
        history.add(to, numbers, Payload::whole(Bytes::from(vec![0; 100])), at);
    }

    fn firsts(history: &History, to: Destination, first: u64, last: u64) -> Vec<u64> {
        history.of(to, first, last).map(|kept| kept.numbers.first).collect()
    }

    #[test]
    fn g09_what_was_sent_is_found_by_its_numbers() {
        let (mut history, now) = (history(10), Instant::now());
        for first in [1, 4, 7] {
            add(&mut history, Destination::Cluster, first, first + 2, now);
            add(&mut history, INBOX, first * 100, first * 100, now);
        }
        assert_eq!(firsts(&history, Destination::Cluster, 1, 1), [1]);
        assert_eq!(firsts(&history, Destination::Cluster, 3, 7), [1, 4, 7]);
        assert_eq!(firsts(&history, Destination::Cluster, 5, 5), [4]);
        assert_eq!(firsts(&history, Destination::Cluster, 10, 99), [0_u64; 0]);
        assert_eq!(firsts(&history, INBOX, 1, 500), [100, 400]);
        assert!(history.of(INBOX, 400, 400).all(|kept| history.get(INBOX, kept.place).is_some()));
    }

    #[test]
    fn g12_the_oldest_make_room_whatever_channel_they_are_of() {
        let (mut history, now) = (history(3), Instant::now());
        add(&mut history, INBOX, 1, 1, now);
        (1..=3).for_each(|n| add(&mut history, Destination::Cluster, n, n, now));
        assert_eq!((firsts(&history, INBOX, 1, 9), history.has(INBOX)), (vec![], false));
        assert_eq!(firsts(&history, Destination::Cluster, 1, 9), [1, 2, 3]);
        assert_eq!(history.bytes(), 3 * (KEPT + 100));
        let large = Payload::whole(Bytes::from(vec![0; 4_000]));
        history.add(INBOX, Numbers { first: 2, last: 2, piece: None }, large, now);
        assert_eq!(firsts(&history, Destination::Cluster, 1, 9), [1, 2, 3], "what is too large pushes out nothing");
    }

    #[test]
    fn g12_what_is_old_or_of_a_forgotten_channel_is_dropped() {
        let (mut history, now) = (history(10), Instant::now());
        let later = |secs| now + Duration::from_secs(secs);
        for n in 1..=3 {
            add(&mut history, INBOX, n, n, later(n));
            add(&mut history, Destination::Cluster, n, n, later(n));
        }
        history.forget(INBOX);
        add(&mut history, INBOX, 1, 1, later(4));
        history.age(later(32));
        assert_eq!(firsts(&history, Destination::Cluster, 1, 9), [3]);
        assert_eq!(firsts(&history, INBOX, 1, 9), [1]);
        history.age(later(34));
        assert_eq!((history.bytes(), history.order.capacity(), history.streams.len()), (0, 0, 0));
    }
}
