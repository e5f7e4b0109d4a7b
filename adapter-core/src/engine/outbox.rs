//! What waits to be sent: numbered in the order of the calls, packed when the link takes it.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::Instant;

use bytes::Bytes;

use super::packing::{Messages, Packing};
use crate::model::{AckError, MAX_NAME, NodeId, SocketId};
use crate::wire::{AckAnswer, AckBatch, Answer, Content, Head, Mark, Number, SocketAck};

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

/// What became of a packed batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Sent,
    /// Message `0`, `1`, .. of the batch was refused for good; those before it were sent, none after.
    Refused(usize),
    /// Any may have been sent; all will be packed again under the same numbers.
    Unknown,
}

/// What waits to be sent.
///
/// Ordinary frames are bounded by their senders, who get room before they come here; answers by `max_answers` bytes,
/// beyond which they are dropped and counted (the asker sees this node missing); control by its kinds.
#[derive(Debug)]
pub(crate) struct Outbox {
    me: NodeId,
    counter: u64,
    cluster: Stream,
    inboxes: HashMap<NodeId, Stream>,
    queue: VecDeque<Entry>,
    /// Answers of sockets that wait for the writer to look.
    acks: HashMap<ReplyTo, Pending>,
    answer_bytes: usize,
    max_answers: usize,
    /// The largest answer that an asker takes.
    limit: usize,
    /// For each ordinary message of the batch in flight: how many entries are done with it.
    in_flight: Vec<usize>,
    /// For each control frame of it: how many messages there are up to its end.
    control_in_flight: Vec<usize>,
    /// The streams of which the broker has taken something since they were last asked for.
    settled: BTreeSet<Destination>,
    pub(crate) dropped_answers: u64,
    pub(crate) refused: u64,
    pushed: u64,
    done: u64,
}

/// The numbers of one channel.
#[derive(Clone, Copy, Debug)]
struct Stream {
    epoch: u64,
    /// The newest number given.
    n: u64,
    /// The newest number that the broker has.
    sent: u64,
}

#[derive(Debug)]
struct Entry {
    to: Destination,
    head: Head,
    content: What,
    /// Room to give back to the senders when it is gone.
    cost: usize,
    at: Instant,
}

#[derive(Debug)]
enum What {
    Content(Content),
    Answer(Content),
    /// To be looked up when packed: whatever has been answered by then.
    Acks,
}

#[derive(Debug, Default)]
struct Pending {
    batch: AckBatch,
    bytes: usize,
    queued: bool,
    /// Whom it asked was not said, for lack of room.
    broken: bool,
}

impl Outbox {
    pub(crate) fn new(me: NodeId, max_answers: usize, limit: usize) -> Self {
        Self {
            me,
            counter: 0,
            cluster: Stream { epoch: 1, n: 0, sent: 0 },
            inboxes: HashMap::new(),
            queue: VecDeque::new(),
            acks: HashMap::new(),
            answer_bytes: 0,
            max_answers,
            limit,
            in_flight: Vec::new(),
            control_in_flight: Vec::new(),
            settled: BTreeSet::new(),
            dropped_answers: 0,
            refused: 0,
            pushed: 0,
            done: 0,
        }
    }

    /// The id of the next frame.
    pub(crate) fn next_counter(&mut self) -> u64 {
        self.counter += 1;
        self.counter
    }

    /// Queues an operation for the cluster, with its number unless it is volatile.
    pub(crate) fn operation(
        &mut self,
        content: Content,
        request: Option<u64>,
        volatile: bool,
        cost: usize,
        now: Instant,
    ) {
        let number = (!volatile).then(|| self.number(Destination::Cluster));
        self.push(Destination::Cluster, What::Content(content), number, request, cost, now);
    }

    /// Queues an answer, if the bound of answers allows.
    pub(crate) fn answer(&mut self, to: ReplyTo, answer: Answer, now: Instant) {
        let mut content = answer.encode();
        if content.len() > self.limit {
            content = Answer::NoHandler.encode(); // the asker would not take it, and would wait for nothing
        }
        if self.answer_bytes + content.len() > self.max_answers {
            self.dropped_answers += 1;
            return;
        }
        self.answer_bytes += content.len();
        let number = self.number(Destination::Inbox(to.node));
        self.push(Destination::Inbox(to.node), What::Answer(content), Some(number), Some(to.request), 0, now);
    }

    /// Names the sockets whose answers will follow.
    pub(crate) fn expect_acks(&mut self, to: ReplyTo, sockets: &[SocketId], now: Instant) {
        let mut fits = true;
        // At least one batch, which says that there are none.
        for some in sockets.chunks((self.limit / (MAX_NAME + 8)).max(1)).chain(sockets.is_empty().then_some(sockets)) {
            let bytes = some.iter().map(|socket| socket.as_str().len() + 8).sum();
            fits = fits
                && self.add_acks(to, bytes, now, |batch| {
                    batch.expected.get_or_insert_default().extend(some.iter().cloned());
                });
        }
        if !fits {
            // Without the names the rest would look like all there is: the asker is told that there is no answer.
            self.acks.entry(to).or_default().broken = true;
            self.add_acks(to, 0, now, |_| {});
        }
    }

    pub(crate) fn ack(&mut self, to: ReplyTo, socket: SocketId, answer: Result<Bytes, AckError>, now: Instant) {
        let answered = match &answer {
            Ok(data) => data.len(),
            Err(AckError::Other(text)) => text.len(),
            Err(_) => 0,
        };
        let bytes = socket.as_str().len() + answered + 16;
        let answer = answer.map_or_else(AckAnswer::Failed, AckAnswer::Data);
        self.add_acks(to, bytes, now, |batch| batch.acks.push(SocketAck { socket, answer }));
    }

    pub(crate) fn end_acks(&mut self, to: ReplyTo, now: Instant) {
        self.add_acks(to, 0, now, |batch| batch.done = true);
    }

    /// Adds to the batch that waits, or begins another when the asker would not take both together.
    fn add_acks(&mut self, to: ReplyTo, bytes: usize, now: Instant, change: impl FnOnce(&mut AckBatch)) -> bool {
        if bytes > 0 && self.answer_bytes + bytes > self.max_answers {
            self.dropped_answers += 1;
            return false;
        }
        if self.acks.get(&to).is_some_and(|pending| pending.bytes > 0 && pending.bytes + bytes > self.limit) {
            let is_it = |entry: &Entry| {
                matches!(entry.content, What::Acks)
                    && entry.to == Destination::Inbox(to.node)
                    && entry.head.request == Some(to.request)
            };
            if let Some(at) = self.queue.iter().position(is_it) {
                self.resolve(at);
            }
        }
        self.answer_bytes += bytes;
        let pending = self.acks.entry(to).or_default();
        pending.bytes += bytes;
        change(&mut pending.batch);
        if !std::mem::replace(&mut pending.queued, true) {
            let number = self.number(Destination::Inbox(to.node));
            self.push(Destination::Inbox(to.node), What::Acks, Some(number), Some(to.request), 0, now);
        }
        true
    }

    fn push(
        &mut self,
        to: Destination,
        content: What,
        number: Option<Number>,
        request: Option<u64>,
        cost: usize,
        at: Instant,
    ) {
        let counter = self.next_counter();
        let kind = match &content {
            What::Content(content) | What::Answer(content) => content.kind,
            What::Acks => crate::wire::Kind::ACKS,
        };
        let head = Head { kind, sender: self.me, counter, number, part: None, request };
        self.queue.push_back(Entry { to, head, content, cost, at });
        self.pushed += 1;
    }

    fn number(&mut self, to: Destination) -> Number {
        let epoch = self.counter + 1;
        let stream = match to {
            Destination::Cluster => &mut self.cluster,
            Destination::Inbox(node) => self.inboxes.entry(node).or_insert(Stream { epoch, n: 0, sent: 0 }),
        };
        stream.n += 1;
        Number { epoch: stream.epoch, n: stream.n }
    }

    /// The newest number on the cluster channel that the broker has.
    pub(crate) fn cluster_mark(&self) -> Mark {
        Mark { epoch: self.cluster.epoch, n: self.cluster.sent }
    }

    /// The same of a channel that was written to.
    pub(crate) fn mark(&self, to: Destination) -> Option<Mark> {
        match to {
            Destination::Cluster => Some(self.cluster_mark()),
            Destination::Inbox(node) => {
                self.inboxes.get(&node).map(|stream| Mark { epoch: stream.epoch, n: stream.sent })
            }
        }
    }

    /// The streams of which the broker has taken something since this was last called.
    pub(crate) fn take_settled(&mut self) -> BTreeSet<Destination> {
        std::mem::take(&mut self.settled)
    }

    /// Goes on counting above a counter that somebody else has used in our name, unless no end of counting would be near.
    pub(crate) fn pass(&mut self, counter: u64) {
        if counter < 1 << 56 {
            self.counter = self.counter.max(counter);
        }
    }

    /// The counter of the newest frame.
    pub(crate) fn counter(&self) -> u64 {
        self.counter
    }

    /// Forgets the numbers of the inboxes of those who are gone, once nothing waits for them; should one come back, a
    /// higher epoch begins.
    pub(crate) fn forget(&mut self, gone: impl Fn(NodeId) -> bool) {
        let queue = &self.queue;
        let waiting = |node: NodeId| queue.iter().any(|entry| entry.to == Destination::Inbox(node));
        self.inboxes.retain(|node, _| !gone(*node) || waiting(*node));
    }

    /// The next messages for the broker: control first, then what waits, in order, several frames in one message.
    /// To be followed by [`settle`](Self::settle) before it is called again.
    pub(crate) fn pack(
        &mut self,
        control: Vec<(Destination, u64, Content)>,
        packing: &Packing,
    ) -> Vec<(Destination, Bytes)> {
        let mut messages = Messages::new(*packing);
        self.control_in_flight.clear();
        for (to, counter, content) in control {
            let head = Head { kind: content.kind, sender: self.me, counter, number: None, part: None, request: None };
            messages.add(to, &head, &content.body, &content.packet, 0);
            // Each alone, so that a refusal says which it was.
            messages.seal();
            self.control_in_flight.push(messages.len());
        }
        let control = messages.len();
        self.in_flight.clear();
        let mut bytes = 0;
        for at in 0..self.queue.len() {
            if bytes >= packing.max_batch {
                break;
            }
            self.resolve(at);
            let entry = &self.queue[at];
            if let What::Content(content) | What::Answer(content) = &entry.content {
                bytes += entry.head.len() + content.len();
                let more = self.queue.len() - at - 1;
                messages.add(entry.to, &entry.head, &content.body, &content.packet, more);
            }
            // The message that an entry ends in is the last one so far; a later entry may still join it.
            self.in_flight.resize(messages.len() - control, at);
            if let Some(done) = self.in_flight.last_mut() {
                *done = at + 1;
            }
        }
        messages.finish()
    }

    /// Turns the acks that wait for this entry into its content.
    fn resolve(&mut self, at: usize) {
        let entry = &mut self.queue[at];
        if !matches!(entry.content, What::Acks) {
            return;
        }
        let (Destination::Inbox(node), Some(request)) = (entry.to, entry.head.request) else { return };
        let to = ReplyTo { node, request };
        let pending = self.acks.remove(&to).unwrap_or_default();
        let answer = if pending.broken { Answer::NoHandler } else { Answer::Acks(pending.batch) };
        let content = answer.encode();
        entry.head.kind = content.kind;
        self.answer_bytes = self.answer_bytes - pending.bytes + content.len();
        entry.content = What::Answer(content);
    }

    /// Takes the outcome of the batch that was packed last; answers how much room the senders get back.
    pub(crate) fn settle(&mut self, outcome: Outcome) -> usize {
        let in_flight = std::mem::take(&mut self.in_flight);
        let (sent, refused) = match outcome {
            Outcome::Unknown => (0, 0),
            Outcome::Sent => (in_flight.last().copied().unwrap_or(0), 0),
            Outcome::Refused(index) => match index.checked_sub(self.control_in_flight.last().copied().unwrap_or(0)) {
                None => (0, 0),
                Some(index) => {
                    let before = index.checked_sub(1).and_then(|last| in_flight.get(last)).copied().unwrap_or(0);
                    let with = in_flight.get(index).copied().unwrap_or(before);
                    // A message in the middle of a large one ends no entry: the entry it belongs to is refused.
                    (before, (with - before).max(1).min(self.queue.len() - before))
                }
            },
        };
        let mut room = 0;
        for at in 0..sent + refused {
            let Some(entry) = self.queue.pop_front() else { break };
            self.refused += u64::from(at >= sent);
            self.done += 1;
            room += entry.cost;
            if let What::Answer(content) = &entry.content {
                self.answer_bytes -= content.len();
            }
            let stream = match entry.to {
                Destination::Cluster => Some(&mut self.cluster),
                Destination::Inbox(node) => self.inboxes.get_mut(&node),
            };
            if let (Some(stream), Some(number)) = (stream, entry.head.number) {
                stream.sent = stream.sent.max(number.n);
                self.settled.insert(entry.to);
            }
        }
        room
    }

    /// How many of the control frames of the batch were sent before the message of this index.
    pub(crate) fn control_before(&self, index: usize) -> usize {
        self.control_in_flight.iter().filter(|end| **end <= index).count()
    }

    /// How many entries were ever queued, and how many of them the broker has (or has refused).
    pub(crate) fn progress(&self) -> (u64, u64) {
        (self.pushed, self.done)
    }

    /// Since when the oldest entry has been waiting.
    pub(crate) fn oldest(&self) -> Option<Instant> {
        self.queue.front().map(|entry| entry.at)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.queue.len()
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
