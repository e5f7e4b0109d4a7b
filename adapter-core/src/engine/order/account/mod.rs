//! What one sender has sent us on one channel: in order, once, holes found.

mod missing;
#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use super::asking::Asking;
use super::assembly::Whole;
use super::held::{HeldInAll, compact};
use super::held_messages::HeldMessages;
use super::patience::Patience;
use super::progress::{Progress, Step};
use super::ranges::Ranges;
use crate::wire::{Frame, Mark, Number, Range};

/// After so many marks of a sender that are behind what was taken in its name, its word counts.
const FORGED: u32 = 30;
/// No more frames than this are under way without their sender's knowing that the broker has them.
const UNDER_WAY: u64 = 1 << 20;
/// A number that is so far ahead is none that the sender has counted to: nobody loses so many frames in the time for which a
/// silent sender is remembered.
const LEAP: u64 = 1 << 32;

/// A numbered frame as it came.
#[derive(Debug)]
pub(crate) struct Arrived {
    pub(crate) number: Number,
    pub(crate) frame: Frame,
    /// How long the message is that it is a slice of: what is held back does not keep the whole of a large one.
    pub(crate) message: usize,
    /// The sender was asked for it.
    pub(crate) resent: bool,
}

/// The state of one (sender, channel).
#[derive(Debug)]
pub(crate) struct Account {
    epoch: u64,
    /// The number to be carried out next.
    next: u64,
    /// What came too early, or is not whole yet.
    held: HeldMessages,
    /// The newest number known to have been sent, from a mark.
    known: Option<(u64, Instant)>,
    /// What the sender does not have any more, or what came and cannot be read.
    gone: Ranges,
    /// The question about what is missing.
    asking: Option<Asking>,
    /// When something came last that it was asked for.
    filled: Option<Instant>,
    /// When the sender came back last, after it could not be asked.
    back: Option<Instant>,
    /// Since when it has not been clear where this account begins: an earlier message may still be under way.
    unsure: Option<Instant>,
    /// Nothing was taken yet.
    fresh: bool,
    /// The sender has said where it begins.
    introduced: bool,
    /// So many marks of the sender one after the other were behind what was taken here: it has never sent that.
    behind: u32,
    /// This node has dropped what came, up to what is heard next: it does not ask for that.
    dropped: bool,
}

impl Account {
    /// Expects this number next.
    pub(crate) fn expecting(number: Number, all: HeldInAll) -> Self {
        Self {
            epoch: number.epoch,
            next: number.n,
            held: HeldMessages::new(all),
            known: None,
            gone: Ranges::default(),
            asking: None,
            filled: None,
            back: None,
            unsure: None,
            fresh: true,
            introduced: false,
            behind: 0,
            dropped: false,
        }
    }

    /// Does not know yet whether this number is the first one: waits for the sender's introduction, or the patience.
    pub(crate) fn unsure(mut self, now: Instant) -> Self {
        (self.unsure, self.next) = (Some(now), u64::MAX);
        self
    }

    /// The sender has said from where on its messages are meant for us.
    pub(crate) fn begin(&mut self, mark: Mark) -> Progress {
        let mut progress = Progress::default();
        if mark.epoch != self.epoch {
            return progress;
        }
        self.introduced = true;
        // A sender may introduce itself twice, and what it says first may come last.
        if self.fresh || self.unsure.is_some() {
            self.next = self.next.min(mark.n.saturating_add(1));
        }
        if self.unsure.is_some() {
            self.be_sure(&mut progress);
        }
        progress
    }

    /// While it is unsure, `next` is the latest number that it can begin with: what was published after something that reached
    /// us reaches us, too.
    fn begin_no_later(&mut self, number: Number) {
        if self.unsure.is_some() && number.epoch == self.epoch {
            self.next = self.next.min(number.n);
        }
    }

    /// It begins here: what was held of earlier messages is of no use.
    fn be_sure(&mut self, progress: &mut Progress) {
        (self.unsure, self.asking) = (None, None);
        self.held.drop_below(self.next);
        self.advance(progress);
    }

    /// Takes a numbered frame.
    pub(crate) fn accept(&mut self, arrived: Arrived, now: Instant, patience: &Patience) -> Progress {
        let Arrived { number, frame, message, resent } = arrived;
        let mut progress = Progress::default();
        if self.leaps_to(number) {
            progress.leaps = 1;
            return progress;
        }
        self.enter(number.epoch, &mut progress);
        // Of a large message that we came in the middle of, the first piece does not reach us.
        let later = u64::from(frame.head.part.is_some_and(|part| part.index > 0));
        self.begin_no_later(Number { n: number.n.saturating_add(later), ..number });
        let came_in_the_middle = self.fresh && !self.introduced && frame.head.part.is_some_and(|part| part.index > 0);
        if patience.ordered && came_in_the_middle && number == (Number { epoch: self.epoch, n: self.next }) {
            // Where order is kept, the pieces before it were sent before we were there: it was not meant for us.
            self.next = self.next.saturating_add(1);
        }
        let (hole, next, copies) = (self.hole_since(), self.next, progress.copies);
        let old = number.epoch < self.epoch || number.n < self.next && self.unsure.is_none();
        self.fresh &= old;
        match frame.head.part {
            _ if old => progress.copies += 1,
            None if number.n == self.next && self.held.is_empty() && self.unsure.is_none() => {
                self.next = self.next.saturating_add(1);
                progress.steps.push(Step::Frame(Whole::AsItCame(frame)));
            }
            None => progress.copies += u64::from(!self.held.hold(number.n, compact(frame, message), now)),
            Some(part) => {
                let frame = compact(frame, message);
                progress.copies += u64::from(!self.held.hold_part(number.n, part, frame, now, patience.max_message));
            }
        }
        if resent && progress.copies == copies {
            self.filled = Some(now);
            progress.repaired += u64::from(self.is_whole(number.n));
        } else if number.n == next && self.unsure.is_none() {
            progress.late = hole.map(|since| now.saturating_duration_since(since));
        }
        self.advance(&mut progress);
        let patience = if old { *patience } else { self.patience(patience) };
        self.give_up(now, &patience, &mut progress);
        progress
    }

    /// This node was too slow, and has dropped some of what came.
    pub(crate) fn was_dropped(&mut self) {
        self.dropped = true;
    }

    /// How long is waited for what is missing before what is heard now: not at all if it was dropped here. Without order it may also
    /// be on its way.
    fn patience(&mut self, patience: &Patience) -> Patience {
        let dropped = std::mem::take(&mut self.dropped) && patience.ordered;
        Patience { repair: if dropped { Duration::ZERO } else { patience.repair }, ..*patience }
    }

    /// Whether nothing of a message is missing any more.
    fn is_whole(&self, n: u64) -> bool {
        self.held.has_whole(n).unwrap_or(n < self.next)
    }

    fn leaps_to(&self, number: Number) -> bool {
        let ahead = number.epoch == self.epoch && self.unsure.is_none() && number.n.saturating_sub(self.next) >= LEAP;
        ahead || number.epoch.saturating_sub(self.epoch) >= LEAP << 16
    }

    /// Takes the next frame if it is the one that is expected, and nothing is held back: what nearly every frame is.
    pub(crate) fn takes_next(&mut self, number: Number) -> bool {
        let next = number.epoch == self.epoch && number.n == self.next && self.held.is_empty() && self.unsure.is_none();
        if next {
            self.next += 1; // read as below the end of the numbers
            (self.fresh, self.dropped) = (false, false);
        }
        next
    }

    /// Passes over frames that cannot be read: they are lost, and what follows them is not held back.
    pub(crate) fn pass(&mut self, number: Number, count: u16, now: Instant, patience: &Patience) -> Progress {
        let mut progress = Progress::default();
        self.enter(number.epoch, &mut progress);
        self.begin_no_later(number);
        let end = number.n.saturating_add(u64::from(count));
        if number.epoch < self.epoch || end <= self.next && self.unsure.is_none() {
            progress.copies += u64::from(count);
            return progress;
        }
        self.known = Some(self.known.map_or((end - 1, now), |(n, at)| (n.max(end - 1), at)));
        if !self.gone.add(number.n, end) {
            // Too much is missing before them: what they are behind is given up with them.
            while self.next < end && self.hole_since().is_some() {
                self.skip(&mut progress);
            }
        }
        self.advance(&mut progress);
        self.give_up(now, patience, &mut progress);
        progress
    }

    /// The sender does not have these numbers any more.
    pub(crate) fn gone(&mut self, epoch: u64, ranges: &[Range], now: Instant, patience: &Patience) -> Progress {
        let mut progress = Progress::default();
        if epoch != self.epoch || self.unsure.is_some() {
            return progress;
        }
        // Nothing is given up that nobody has sent.
        let sent = self.newest().saturating_add(1);
        for Range { first, count } in ranges {
            let (first, end) = ((*first).max(self.next), first.saturating_add(*count).min(sent));
            if !self.gone.add(first, end) {
                break; // asked for again, when there is room
            }
        }
        self.filled = Some(now);
        self.advance(&mut progress);
        self.give_up(now, patience, &mut progress);
        progress
    }

    /// Everything that is missing is lost: the sender is gone, so there is nobody to ask.
    pub(crate) fn give_up_all(&mut self) -> Progress {
        let mut progress = Progress::default();
        while self.hole_since().is_some() {
            self.skip(&mut progress);
        }
        progress
    }

    /// Learns the newest number that the sender had used when it sent the mark.
    pub(crate) fn mark(&mut self, mark: Mark, now: Instant, patience: &Patience) -> Progress {
        let mut progress = Progress::default();
        if self.is_ahead_of(mark) {
            return progress;
        }
        if self.behind >= FORGED {
            // Somebody else has counted in the sender's name: what the sender says counts, and what it sent meanwhile is lost.
            *self = Self::expecting(Number { epoch: mark.epoch, n: mark.n.saturating_add(1) }, self.held.all());
            progress.steps.push(Step::LostUncounted);
            return progress;
        }
        self.enter(mark.epoch, &mut progress);
        self.begin_no_later(Number { epoch: mark.epoch, n: mark.n.saturating_add(1) });
        let news = mark.epoch == self.epoch && mark.n >= self.next && self.known.is_none_or(|(n, _)| n < mark.n);
        if news {
            self.known = Some((mark.n, now));
        }
        let patience = self.patience(patience);
        self.give_up(now, &patience, &mut progress);
        progress
    }

    /// Whether the sender's mark is behind what was taken in its name, which its own frames under way may explain; not when that
    /// is more than can be under way, or lasts.
    fn is_ahead_of(&mut self, mark: Mark) -> bool {
        let (next, more) = (mark.n.saturating_add(1), UNDER_WAY);
        let behind = self.unsure.is_none() && (mark.epoch < self.epoch || mark.epoch == self.epoch && next < self.next);
        if !behind {
            self.behind = 0;
            return false;
        }
        let absurd = mark.epoch < self.epoch || next.saturating_add(more) < self.next;
        self.behind += if absurd { FORGED / 3 } else { 1 };
        self.behind < FORGED
    }

    /// Gives up on the oldest that is missing until no more than so much is held.
    pub(crate) fn shed(&mut self, bytes: usize) -> Progress {
        let mut progress = Progress::default();
        while self.held.bytes() > bytes && !self.held.is_empty() {
            self.skip(&mut progress);
        }
        progress
    }

    /// Lets time pass: gives up on what has been missing for too long.
    pub(crate) fn wait(&mut self, now: Instant, patience: &Patience) -> Progress {
        let mut progress = Progress::default();
        self.give_up(now, patience, &mut progress);
        progress
    }

    /// The sender cannot reply now: the time that is waited for it begins anew.
    pub(crate) fn postpone(&mut self, now: Instant) -> Progress {
        self.filled = Some(now);
        Progress::default()
    }

    /// Since when something before what is known to have been sent is missing.
    pub(crate) fn hole_since(&self) -> Option<Instant> {
        if self.unsure.is_some() {
            return self.unsure;
        }
        let by_mark = self.known.filter(|(n, _)| *n >= self.next).map(|(_, at)| at);
        let behind = self.held.first_behind(self.next).map(|(_, at)| at);
        match (by_mark, behind) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    /// How much is held back.
    pub(crate) fn bytes(&self) -> usize {
        self.held.bytes()
    }

    /// Whether everything up to the mark has been carried out.
    pub(crate) fn has_reached(&self, mark: Mark) -> bool {
        self.epoch > mark.epoch || self.epoch == mark.epoch && self.next > mark.n
    }

    /// A higher epoch: the sender has forgotten the one before, so nothing of it can come any more.
    fn enter(&mut self, epoch: u64, progress: &mut Progress) {
        if epoch > self.epoch {
            while self.hole_since().is_some() {
                self.skip(progress);
            }
            *self = Self::expecting(Number { epoch, n: 1 }, self.held.all());
        }
    }

    /// Carries out what is next and whole, and passes over what is gone.
    fn advance(&mut self, progress: &mut Progress) {
        if self.unsure.is_some() {
            return;
        }
        loop {
            match self.held.take(self.next) {
                Some(whole) => {
                    self.next = self.next.saturating_add(1);
                    progress.steps.push(Step::Frame(whole));
                }
                None => match self.gone.end_of(self.next) {
                    Some(end) => self.lose_until(end, progress),
                    None => break,
                },
            }
        }
        self.gone.forget_below(self.next);
    }
}
