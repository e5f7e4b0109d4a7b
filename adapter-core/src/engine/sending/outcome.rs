//! What becomes of what was sent.

use std::time::Instant;

use super::segment::Segment;
use super::{Flight, Packing, Sending};

/// What became of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Sent,
    /// Message `0`, `1`, .. of the batch was refused for good; those before it were sent, none after.
    Refused(usize),
    /// Any may have been sent; all will be sent again as they are.
    Unknown,
    /// The same, and it is not the messages' fault: the broker takes none now.
    NotNow,
}

/// A batch that fails on a link that works is tried as a whole so often, then message by message.
const TRIES: u32 = 3;

impl Sending {
    /// Takes the outcome of the oldest batch under way. When it is unknown, so is that of all behind it. `works` says whether
    /// the link is known to work: then it is the batch that fails. Returns how much queue capacity the senders get back, and how many of
    /// the batch's control frames are not to be sent again (none, and none of the batches behind it, when nothing is known).
    pub(crate) fn record_outcome(&mut self, outcome: Outcome, works: bool, now: Instant) -> (usize, Option<usize>) {
        let Some(Flight { control, resent: before, mut segments }) = self.flights.pop_front() else { return (0, None) };
        match outcome {
            Outcome::Sent => {
                self.failures = 0;
                self.one_by_one = self.one_by_one.saturating_sub(segments.len());
                (segments.into_iter().map(|segment| self.sent(segment, now)).sum(), Some(control.len()))
            }
            Outcome::Refused(index) if index < before => {
                self.put_back(segments);
                (0, Some((control.iter().filter(|end| **end <= index).count() + 1).min(control.len())))
            }
            Outcome::Refused(index) if index - before < segments.len() => {
                self.failures = 0;
                let mut behind = segments.split_off(index - before);
                let mut freed = segments.into_iter().map(|segment| self.sent(segment, now)).sum();
                if let Some(refused) = behind.pop_front() {
                    self.put_back(behind);
                    freed += self.refuse(refused);
                }
                (freed, Some(control.len()))
            }
            // A refusal of something that was not there is no answer at all.
            Outcome::Refused(_) | Outcome::Unknown | Outcome::NotNow => {
                for flight in std::mem::take(&mut self.flights) {
                    segments.extend(flight.segments);
                }
                self.put_back(segments);
                (if works && outcome != Outcome::NotNow { self.failed() } else { 0 }, None)
            }
        }
    }

    fn sent(&mut self, mut segment: Segment, now: Instant) -> usize {
        if let Some(numbers) = segment.numbers() {
            let payload = segment.payload();
            self.history.add(segment.to, numbers, payload, now);
        }
        self.ended(segment)
    }

    /// How many messages the broker has taken.
    pub(crate) fn sent_messages(&self) -> u64 {
        self.done - self.refused
    }

    /// Its numbers are said from now on: those who miss them ask.
    fn ended(&mut self, segment: Segment) -> usize {
        if let Some(stream) = self.stream(segment.to) {
            stream.waiting -= 1;
            stream.sent = stream.sent.max(segment.newest.unwrap_or(0));
        }
        if segment.newest.is_some() {
            self.confirmed.insert(segment.to);
        }
        self.done += segment.messages;
        self.answer_bytes -= segment.answer_bytes;
        segment.room
    }

    /// Gives up what the broker does not take, with all pieces of the same message. It may have arrived all the same.
    fn refuse(&mut self, segment: Segment) -> usize {
        let mut rest = Vec::new();
        while self.queue.front().is_some_and(|next| next.is_of_the_same(&segment)) {
            rest.extend(self.take_first());
        }
        let all = std::iter::once(segment).chain(rest);
        all.map(|segment| {
            self.refused += segment.messages;
            self.one_by_one = self.one_by_one.saturating_sub(1);
            self.ended(segment)
        })
        .sum()
    }

    /// A batch has failed although the link works. After some tries its messages are sent one at a time, then the frames of the
    /// one that fails; a frame that fails alone is refused, so that one that the broker cannot take stops nobody for ever.
    fn failed(&mut self) -> usize {
        self.failures += 1;
        if self.failures < TRIES {
            return 0;
        }
        self.failures = 0;
        if self.one_by_one == 0 {
            self.one_by_one = self.queue.len().max(1);
            return 0;
        }
        let Some(first) = self.take_first() else { return 0 };
        if first.messages > 1 {
            let before = self.queue.len();
            let alone = Packing { max_packed: 0, ..self.packing };
            self.cut_again(first, &alone);
            self.one_by_one += self.queue.len() - before;
            return 0;
        }
        self.refuse(first)
    }
}
