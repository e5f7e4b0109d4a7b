//! What waits to be sent: numbered and written in the order of the calls, sent when the link takes it.

mod acks;
mod answers;
mod history;
mod outcome;
mod pack;
mod resends;
mod segment;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::Instant;

use bytes::Bytes;

use self::acks::WaitingAcks;
use self::history::History;
pub(crate) use self::history::Keep;
pub(crate) use self::outcome::Outcome;
use self::resends::Resends;
use self::segment::{Cost, Segment};
pub(crate) use self::segment::{Packing, Payload};
use crate::model::NodeId;
use crate::wire::{Content, Head, Mark, Number};

/// Where a frame goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Destination {
    Cluster,
    Inbox(NodeId),
}

/// The question that an answer belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ReplyTo {
    pub(crate) node: NodeId,
    pub(crate) request: u64,
}

/// What waits to be sent.
///
/// Operations are bounded by their senders, who get room before they come here. Answers are bounded by `max_answers` bytes:
/// the asker of one beyond that is told at once that there is none. Control is bounded by its kinds.
#[derive(Debug)]
pub(crate) struct Sending {
    me: NodeId,
    counter: u64,
    packing: Packing,
    cluster: Stream,
    inboxes: HashMap<NodeId, Stream>,
    /// The streams of which something was sent, or given up, since they were last asked for.
    confirmed: BTreeSet<Destination>,
    queue: VecDeque<Segment>,
    /// How many segments have left the queue at its front: what the first one's place is, counted over all.
    gone: u64,
    /// Where the segment is that the next frame for a destination may join, by its place.
    open: HashMap<Destination, u64>,
    flights: VecDeque<Flight>,
    history: History,
    resends: Resends,
    /// Outcomes that were unknown one after the other although the link works.
    failures: u32,
    /// So many messages are sent one at a time: one of them may be what the broker does not take.
    one_by_one: usize,
    acks: WaitingAcks,
    answer_bytes: usize,
    max_answers: usize,
    /// The largest answer that an asker takes.
    limit: usize,
    pub(crate) dropped_answers: u64,
    pub(crate) refused: u64,
    pushed: u64,
    done: u64,
    /// How many segments were ever queued, the pieces of a large message counted as one.
    turns: u64,
}

/// A batch whose outcome is not known yet.
#[derive(Debug)]
struct Flight {
    /// For each control frame: how many messages there are up to its end.
    control: Vec<usize>,
    /// How many messages there are up to the end of what is sent again.
    resent: usize,
    segments: VecDeque<Segment>,
}

/// The numbers of one channel.
#[derive(Clone, Copy, Debug)]
struct Stream {
    epoch: u64,
    /// The newest number given.
    n: u64,
    /// The newest number that the broker has, or would not take.
    sent: u64,
    /// Segments that wait or are on their way.
    waiting: usize,
}

impl Stream {
    fn new(epoch: u64) -> Self {
        Self { epoch, n: 0, sent: 0, waiting: 0 }
    }

    fn mark(&self) -> Mark {
        Mark { epoch: self.epoch, n: self.sent }
    }
}

impl Sending {
    pub(crate) fn new(
        me: NodeId,
        packing: Packing,
        keep: Keep,
        (max_answers, limit): (usize, usize),
        now: Instant,
    ) -> Self {
        Self {
            me,
            counter: 0,
            packing,
            cluster: Stream::new(1),
            confirmed: BTreeSet::new(),
            inboxes: HashMap::new(),
            queue: VecDeque::new(),
            gone: 0,
            open: HashMap::new(),
            flights: VecDeque::new(),
            history: History::new(keep),
            resends: Resends::new(now),
            failures: 0,
            one_by_one: 0,
            acks: WaitingAcks::default(),
            answer_bytes: 0,
            max_answers,
            limit,
            dropped_answers: 0,
            refused: 0,
            pushed: 0,
            done: 0,
            turns: 0,
        }
    }

    /// From now on messages are made like this; what is written already is cut again when it is sent, if need be.
    pub(crate) fn set_packing(&mut self, packing: Packing) {
        self.packing = packing;
    }

    /// The id of the next frame.
    pub(crate) fn next_counter(&mut self) -> u64 {
        self.counter += 1;
        self.counter
    }

    /// The count so far: no frame of ours has a higher one.
    pub(crate) fn counter(&self) -> u64 {
        self.counter
    }

    /// Queues an operation for the cluster, with its number unless it is volatile.
    pub(crate) fn operation(
        &mut self,
        content: Content,
        request: Option<u64>,
        volatile: bool,
        room: usize,
        now: Instant,
    ) {
        let number = (!volatile).then(|| self.number(Destination::Cluster));
        self.push(Destination::Cluster, content, number, request, Cost { room, answer_bytes: 0 }, now);
    }

    fn push(
        &mut self,
        to: Destination,
        content: Content,
        number: Option<Number>,
        request: Option<u64>,
        cost: Cost,
        at: Instant,
    ) {
        let counter = self.next_counter();
        let head = Head { number, request, trace: content.trace, ..Head::new(content.kind, self.me, counter) };
        self.pushed += 1;
        let packing = self.packing;
        if let Some(segment) = self.open_segment(to)
            && segment.add(&head, &content, cost, &packing)
        {
            return;
        }
        self.turns += 1;
        for mut segment in Segment::of(to, head, content, cost, at, &packing) {
            segment.turn = self.turns;
            if segment.is_open() {
                self.open.insert(to, self.gone + self.queue.len() as u64);
            } else {
                self.open.remove(&to); // what comes later must not overtake it
            }
            self.stream(to).into_iter().for_each(|stream| stream.waiting += 1);
            self.queue.push_back(segment);
        }
    }

    fn open_segment(&mut self, to: Destination) -> Option<&mut Segment> {
        let place = self.open.get(&to)?.checked_sub(self.gone)?;
        self.queue.get_mut(usize::try_from(place).ok()?)
    }

    fn number(&mut self, to: Destination) -> Number {
        let epoch = self.counter + 1;
        let stream = match to {
            Destination::Cluster => &mut self.cluster,
            Destination::Inbox(node) => self.inboxes.entry(node).or_insert_with(|| Stream::new(epoch)),
        };
        stream.n += 1;
        Number { epoch: stream.epoch, n: stream.n }
    }

    fn stream(&mut self, to: Destination) -> Option<&mut Stream> {
        match to {
            Destination::Cluster => Some(&mut self.cluster),
            Destination::Inbox(node) => self.inboxes.get_mut(&node),
        }
    }

    /// The newest number on the cluster channel that the broker has.
    pub(crate) fn cluster_mark(&self) -> Mark {
        self.cluster.mark()
    }

    /// Where our numbers on the cluster channel stand for a node that has just come: a large message of which pieces have been
    /// sent already is not meant for it.
    pub(crate) fn newcomer_mark(&self) -> Mark {
        let Mark { epoch, n } = self.cluster_mark();
        let front = self.queue.iter().find(|segment| segment.to == Destination::Cluster);
        Mark { epoch, n: front.and_then(Segment::begun).map_or(n, |begun| n.max(begun)) }
    }

    /// The newest number that the broker has of a channel that was written to.
    pub(crate) fn mark(&self, to: Destination) -> Option<Mark> {
        match to {
            Destination::Cluster => Some(self.cluster_mark()),
            Destination::Inbox(node) => self.inboxes.get(&node).map(Stream::mark),
        }
    }

    /// The streams of which something was sent, or given up, since this was last called.
    pub(crate) fn take_confirmed(&mut self) -> BTreeSet<Destination> {
        std::mem::take(&mut self.confirmed)
    }

    /// Goes on counting above a counter that somebody else has used in our name, unless no end of counting would be near.
    pub(crate) fn pass(&mut self, counter: u64) {
        if counter < 1 << 56 {
            self.counter = self.counter.max(counter);
        }
    }

    /// Forgets the numbers of the inboxes of those who are gone, once nothing waits for them; should one come back, a
    /// higher epoch begins.
    pub(crate) fn forget(&mut self, gone: impl Fn(NodeId) -> bool) {
        let history = &mut self.history;
        self.inboxes.retain(|node, stream| {
            let keep = stream.waiting > 0 || !gone(*node);
            if !keep {
                history.forget(Destination::Inbox(*node));
            }
            keep
        });
    }

    /// Drops what was sent so long ago that nobody can ask for it.
    pub(crate) fn age(&mut self, now: Instant) {
        self.history.age(now);
    }

    /// Bytes of the application that nothing here needs any more: to be dropped while the engine is not held, since that may
    /// run the code of their owner.
    pub(crate) fn take_released(&mut self) -> Vec<Bytes> {
        self.history.take_released()
    }

    /// Whether anything that was sent on a channel can still be asked for.
    pub(crate) fn keeps(&self, to: Destination) -> bool {
        self.history.has(to)
    }

    /// The channels of which something is kept.
    pub(crate) fn kept_channels(&self) -> impl Iterator<Item = Destination> {
        self.history.channels()
    }

    /// How many bytes of what was sent are kept, and how many messages were sent again.
    pub(crate) fn repairs(&self) -> (usize, u64) {
        (self.history.bytes(), self.resends.resent)
    }

    /// The turn of what was queued last, and up to which turn the broker has everything (or has refused it). What is queued may
    /// join a segment whose turn is earlier, so messages that are counted would not do.
    pub(crate) fn progress(&self) -> (u64, u64) {
        let flying = self.flights.iter().find_map(|flight| flight.segments.front());
        let oldest = flying.or(self.queue.front());
        (self.turns, oldest.map_or(self.turns, |oldest| oldest.turn - 1))
    }

    /// Since when the oldest message has been waiting.
    pub(crate) fn oldest(&self) -> Option<Instant> {
        let flying = self.flights.front().and_then(|flight| flight.segments.front());
        flying.or(self.queue.front()).map(|segment| segment.at)
    }

    /// Whether nothing waits to be packed.
    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty() && self.acks.is_empty()
    }

    /// How many messages for the broker wait.
    pub(crate) fn segments(&self) -> usize {
        self.queue.len()
    }

    /// Whether a batch is under way.
    pub(crate) fn is_flying(&self) -> bool {
        !self.flights.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        usize::try_from(self.pushed - self.done).unwrap_or(usize::MAX)
    }

    #[cfg(test)]
    pub(crate) fn pending_acks(&self) -> usize {
        self.acks.len()
    }

    #[cfg(test)]
    pub(crate) fn answer_bytes(&self) -> usize {
        self.answer_bytes
    }

    #[cfg(test)]
    pub(crate) fn inboxes(&self) -> impl Iterator<Item = &NodeId> {
        self.inboxes.keys()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::wire::Kind;

    #[test]
    fn g08_what_joins_an_earlier_message_does_not_count_for_a_large_one() {
        let (now, asker) = (Instant::now(), NodeId::from_bytes([2; 16]));
        let packing = Packing { max_frame: 600, max_packed: 600 };
        let keep = Keep { bytes: 0, age: Duration::ZERO };
        let mut sending = Sending::new(NodeId::from_bytes([1; 16]), packing, keep, (1 << 20, 1 << 20), now);
        let content =
            |len| Content { kind: Kind::BROADCAST, body: Bytes::new(), packet: vec![0; len].into(), trace: None };
        let to = ReplyTo { node: asker, request: 1 };
        sending.answer(to, vec![content(1)], now);
        sending.operation(content(2_000), None, false, 0, now);
        let (all, _) = sending.progress(); // what a flush waits for
        sending.answer(to, vec![content(1)], now);
        assert_eq!(sending.pack(Vec::new(), (0, 1), now).len(), 1, "both answers, in one message");
        sending.record_outcome(Outcome::Sent, true, now);
        assert!(sending.progress().1 < all, "the large one is still there");
        while !sending.pack(Vec::new(), (0, 1), now).is_empty() {
            sending.record_outcome(Outcome::Sent, true, now);
        }
        assert_eq!(sending.progress().1, all);
    }
}
