//! The next batch, out of what waits.

use std::collections::{HashMap, VecDeque};
use std::time::Instant;

use super::segment::Segment;
use super::{Destination, Flight, Packing, Payload, Sending};
use crate::engine::order::split;
use crate::wire::{Content, Head, Message};

impl Sending {
    /// The next messages for the broker: control first, then what others have asked for again, of about `max_resent` bytes, then what waits,
    /// in order, until there are `max_batch` bytes. To be
    /// followed by [`record_outcome`](Self::record_outcome), once for each batch that is not empty, in their order.
    pub(crate) fn pack(
        &mut self,
        control: Vec<(Destination, u64, Content)>,
        (max_resent, max_batch): (usize, usize),
        now: Instant,
    ) -> Vec<(Destination, Payload)> {
        let mut batch = Vec::new();
        let mut ends = Vec::with_capacity(control.len());
        for (to, counter, content) in control {
            let head = Head::new(content.kind, self.me, counter);
            self.control_messages(to, &head, &content, &mut batch);
            ends.push(batch.len());
        }
        batch.extend(self.take_resends(max_resent, now));
        let resent = batch.len();
        let max_batch = if self.one_by_one > 0 { max_batch.min(1) } else { max_batch };
        let mut segments = VecDeque::new();
        let mut bytes = 0;
        while bytes < max_batch
            && let Some(mut segment) = self.next_segment()
        {
            bytes += segment.len();
            batch.push((segment.to, segment.payload()));
            segments.push_back(segment);
        }
        if self.queue.is_empty() {
            self.give_memory_back();
        }
        if !batch.is_empty() {
            self.flights.push_back(Flight { control: ends, resent, segments });
        }
        batch
    }

    /// Each control frame is a message of its own, so that a refusal says which it was.
    fn control_messages(
        &self,
        to: Destination,
        head: &Head,
        content: &Content,
        batch: &mut Vec<(Destination, Payload)>,
    ) {
        let Content { body, packet, .. } = content;
        match split(head, body, packet, self.packing.max_frame) {
            None => batch.push((to, Payload::whole(Message::of(head, body, packet)))),
            Some(pieces) => {
                batch.extend(pieces.iter().map(|(head, piece)| (to, Payload::whole(Message::of(head, &[], piece)))))
            }
        }
    }

    /// Takes the first segment out of the queue, cut so that the link takes it.
    fn next_segment(&mut self) -> Option<Segment> {
        let segment = self.take_first()?;
        if segment.len() <= self.packing.max_frame {
            return Some(segment);
        }
        let packing = self.packing;
        self.cut_again(segment, &packing);
        self.take_first()
    }

    pub(super) fn take_first(&mut self) -> Option<Segment> {
        let segment = self.queue.pop_front()?;
        if self.open.get(&segment.to) == Some(&self.gone) {
            self.open.remove(&segment.to);
        }
        self.gone += 1;
        Some(segment)
    }

    /// Puts a segment back in front, as smaller ones. Of a large message all pieces are made anew.
    pub(super) fn cut_again(&mut self, segment: Segment, packing: &Packing) {
        let mut rest = Vec::new();
        while self.queue.front().is_some_and(|next| next.is_of_the_same(&segment)) {
            rest.extend(self.take_first());
        }
        let (to, before) = (segment.to, 1 + rest.len());
        let smaller = segment.cut_again(&rest, packing);
        if let Some(stream) = self.stream(to) {
            stream.waiting = stream.waiting + smaller.len() - before;
        }
        self.put_back(smaller);
    }

    /// Puts segments in front of the queue. None of them takes more.
    pub(super) fn put_back(&mut self, segments: impl IntoIterator<Item = Segment, IntoIter: DoubleEndedIterator>) {
        let mut count = 0;
        for mut segment in segments.into_iter().rev() {
            segment.payload(); // written, if it was open
            self.queue.push_front(segment);
            count += 1;
        }
        // Counted from a later beginning, should more come back than have ever left.
        if let Some(less) = self.gone.checked_sub(count) {
            self.gone = less;
        } else {
            let more = count - self.gone;
            self.gone = 0;
            self.open.values_mut().for_each(|place| *place += more);
        }
    }

    /// A queue that was full gives its memory back.
    fn give_memory_back(&mut self) {
        const KEPT: usize = 64;
        if self.queue.capacity() > KEPT {
            self.queue = VecDeque::new();
        }
        if self.open.is_empty() && self.open.capacity() > KEPT {
            self.open = HashMap::new();
        }
    }
}
