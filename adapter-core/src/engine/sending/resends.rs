//! What is sent again, to those who asked for it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::history::Kept;
use super::segment::Segment;
use super::{Destination, Payload, Sending, Stream};
use crate::engine::bucket::Bucket;
use crate::model::NodeId;
use crate::wire::{Head, Kind, Message, MissingPieces, Nack, RESEND_ROOM, Range, Resend, encode};

/// After the first question about the cluster channel, the sender waits this long before it sends anything again: all who miss the
/// same message get it by one copy.
const GATHERED: Duration = Duration::from_millis(3);
/// So many askers of one message are served by one copy for all.
const ALL: usize = 3;
/// Bytes that are sent again in a second, and in one go.
const A_SECOND: u32 = 16 << 20;
/// So many messages wait to be sent again; a node that asks for more has to ask again.
const WAITING: usize = 16_384;
/// So many nodes at a time are told that what they ask for is gone; others ask again.
const ASKERS: usize = 4_096;
/// Numbers of so many ranges are said to be gone in one frame.
const RANGES: usize = 64;
/// No honest question names more ranges, or large messages.
const ASKED: usize = 256;

/// What was asked for and is not sent again yet. It has a place of its own in each batch, beside what is new.
#[derive(Debug)]
pub(super) struct Resends {
    /// Who asked for which message, by channel and place in the history.
    wanted: BTreeMap<(Destination, u64), Vec<NodeId>>,
    /// What is gone, of a channel's epoch, by who asked for it.
    gone: BTreeMap<(Destination, NodeId), (u64, Vec<Range>)>,
    /// When the first of them may go.
    due: Option<Instant>,
    /// That time has come.
    is_due: bool,
    bucket: Bucket,
    pub(super) resent: u64,
}

impl Resends {
    pub(super) fn new(now: Instant) -> Self {
        let bucket = Bucket::new(A_SECOND, now);
        Self { wanted: BTreeMap::new(), gone: BTreeMap::new(), due: None, is_due: false, bucket, resent: 0 }
    }

    fn want(&mut self, to: Destination, place: u64, asker: NodeId) {
        if self.wanted.len() >= WAITING && !self.wanted.contains_key(&(to, place)) {
            return;
        }
        let askers = &mut self.wanted.entry((to, place)).or_default();
        if askers.len() < ALL && !askers.contains(&asker) {
            askers.push(asker);
        }
    }

    fn is_empty(&self) -> bool {
        self.wanted.is_empty() && self.gone.is_empty()
    }
}

impl Sending {
    /// A node misses something of what was sent to the cluster, or to its inbox.
    pub(crate) fn missed(&mut self, asker: NodeId, nack: &Nack, now: Instant) {
        let to = if nack.inbox { Destination::Inbox(asker) } else { Destination::Cluster };
        let current = self.stream(to).copied().map(|stream| (stream.epoch, self.sent_in_full(to, stream)));
        let mut gone = Vec::new();
        match current {
            // Of a count that has not begun, or not this far: nobody can miss it.
            Some((epoch, _)) if epoch < nack.has.epoch => return,
            Some((epoch, sent)) if epoch == nack.has.epoch => {
                for range in nack.missing.iter().take(ASKED) {
                    self.missed_range(to, asker, *range, sent, &mut gone);
                }
                for pieces in nack.pieces.iter().take(ASKED) {
                    self.missed_pieces(to, asker, pieces, sent, &mut gone);
                }
            }
            // It was forgotten, and counting has begun anew.
            _ => {
                gone.extend(nack.missing.iter().copied());
                gone.extend(nack.pieces.iter().map(|pieces| Range { first: pieces.n, count: 1 }));
            }
        }
        if !gone.is_empty() && self.resends.gone.len() < ASKERS {
            gone.truncate(RANGES);
            self.resends.gone.insert((to, asker), (nack.has.epoch, gone));
        }
        if self.resends.due.is_none() && !self.resends.is_empty() {
            let wait = if to == Destination::Cluster { GATHERED } else { Duration::ZERO };
            self.resends.due = Some(now + wait);
        }
    }

    fn missed_range(&mut self, to: Destination, asker: NodeId, range: Range, sent: u64, gone: &mut Vec<Range>) {
        let (mut at, last) = (range.first, range.first.saturating_add(range.count).saturating_sub(1).min(sent));
        let (mut whole, mut of) = (true, 0);
        for kept in self.history.of(to, range.first, last) {
            if kept.numbers.piece.is_some() && of != kept.numbers.first {
                of = kept.numbers.first;
                whole = self.pieces(to, of).is_some();
            }
            if kept.numbers.piece.is_some() && !whole {
                continue;
            }
            if kept.numbers.first > at {
                gone.push(Range { first: at, count: kept.numbers.first - at });
            }
            at = at.max(kept.numbers.last.saturating_add(1));
            self.resends.want(to, kept.place, asker);
        }
        if at <= last {
            gone.push(Range { first: at, count: last - at + 1 });
        }
    }

    fn missed_pieces(
        &mut self,
        to: Destination,
        asker: NodeId,
        pieces: &MissingPieces,
        sent: u64,
        gone: &mut Vec<Range>,
    ) {
        if pieces.n > sent {
            return; // not all of it is sent yet
        }
        let is_missing = |index: u32| {
            let index = u64::from(index);
            let among = |range: &Range| range.first <= index && index - range.first < range.count;
            pieces.missing.iter().take(ASKED).any(among)
        };
        let Some(kept) = self.pieces(to, pieces.n) else {
            gone.push(Range { first: pieces.n, count: 1 });
            return;
        };
        // Cut in another way meanwhile: what the asker has of it is of no use.
        let all = kept.len() != pieces.of as usize;
        for (index, place) in kept {
            if all || is_missing(index) {
                self.resends.want(to, place, asker);
            }
        }
    }

    /// The places of a large message's pieces, as it was cut last. One that was given up half-way is gone as a whole.
    fn pieces(&self, to: Destination, n: u64) -> Option<BTreeMap<u32, u64>> {
        let piece = |kept: &Kept| kept.numbers.piece.map(|(index, of)| (kept.place, index, of));
        let kept: Vec<_> = self.history.of(to, n, n).filter_map(piece).collect();
        let (_, _, of) = *kept.last()?;
        let last_cut = kept.iter().filter(|piece| piece.2 == of);
        let pieces: BTreeMap<_, _> = last_cut.map(|(place, index, _)| (*index, *place)).collect();
        (pieces.len() == of as usize).then_some(pieces)
    }

    /// The newest number up to which nothing waits or is under way. What was put back behind a refused message waits while later
    /// messages have been sent.
    fn sent_in_full(&self, to: Destination, Stream { sent, waiting, .. }: Stream) -> u64 {
        if waiting == 0 {
            return sent;
        }
        let under_way = self.flights.iter().flat_map(|flight| &flight.segments);
        let first = under_way.chain(&self.queue).filter(|segment| segment.to == to).find_map(Segment::numbers);
        first.map_or(sent, |numbers| sent.min(numbers.first.saturating_sub(1)))
    }

    /// When something that was asked for is to be sent again.
    pub(crate) fn resends_due(&self) -> Option<Instant> {
        self.resends.due.filter(|_| !self.resends.is_due)
    }

    /// Whether something is to be sent again now.
    pub(crate) fn has_resends(&self) -> bool {
        self.resends.is_due
    }

    /// Lets time pass.
    pub(crate) fn check_resends(&mut self, now: Instant) {
        self.resends.is_due |= self.resends.due.is_some_and(|due| due <= now);
    }

    /// The messages of the next batch that are sent again: of about so many bytes, and at least one.
    pub(super) fn take_resends(&mut self, most: usize, now: Instant) -> Vec<(Destination, Payload)> {
        self.check_resends(now);
        if !self.resends.is_due {
            return Vec::new();
        }
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while let Some(((to, asker), (epoch, gone))) = self.resends.gone.pop_first() {
            let head = self.resend_head(to, epoch, gone);
            batch.push((Destination::Inbox(asker), Payload::whole(head)));
        }
        while bytes < most
            && let Some(((to, place), askers)) = self.resends.wanted.pop_first()
        {
            let Some(kept) = self.history.get(to, place) else { continue }; // who asks again is told that it is gone
            let (payload, len) = (kept.payload.clone(), kept.payload.len());
            if len + RESEND_ROOM > self.packing.max_frame {
                continue; // cut for a link that took more
            }
            if !self.resends.bucket.take(u32::try_from(len).unwrap_or(u32::MAX), now) {
                self.resends.wanted.insert((to, place), askers);
                self.resends.due = Some(now + GATHERED);
                self.resends.is_due = false;
                return batch;
            }
            let epoch = self.stream(to).map_or(0, |stream| stream.epoch);
            let all = to == Destination::Cluster && askers.len() >= ALL;
            let receivers = if all { vec![to] } else { askers.into_iter().map(Destination::Inbox).collect() };
            for receiver in receivers {
                let head = self.resend_head(to, epoch, Vec::new());
                batch.push((receiver, payload.clone().behind(head)));
                bytes += len;
                self.resends.resent += 1;
            }
        }
        if self.resends.is_empty() {
            (self.resends.due, self.resends.is_due) = (None, false);
        }
        batch
    }

    fn resend_head(&mut self, of: Destination, epoch: u64, gone: Vec<Range>) -> bytes::Bytes {
        let counter = self.next_counter();
        let head = Head::new(Kind::RESEND, self.me, counter);
        let body = Resend { inbox: of != Destination::Cluster, epoch, gone };
        Message::of(&head, &encode(&body), &[])
    }
}
