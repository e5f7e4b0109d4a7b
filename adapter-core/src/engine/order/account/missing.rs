//! What is missing of an account: when its sender is asked for it, and when it is given up.

use std::time::{Duration, Instant};

use super::Account;
use crate::engine::order::asking::Asking;
use crate::engine::order::patience::{LONGEST, Patience};
use crate::engine::order::progress::{Progress, Step};
use crate::wire::{Mark, MissingPieces, Range};

impl Account {
    /// The newest number that is known to have been sent as a whole.
    pub(super) fn newest(&self) -> u64 {
        let known = self.known.map_or(0, |(n, _)| n);
        known.max(self.held.newest().unwrap_or(0))
    }

    /// If something is missing that was not asked for yet, it is to be asked for after so long. Returns whether something is
    /// missing, for which this is the time to look again.
    pub(crate) fn ask_after(&mut self, delay: Duration, now: Instant) -> Option<Instant> {
        self.hole_since()?;
        match self.asking {
            Some(asking) if self.next <= asking.upto || self.unsure.is_some() => {}
            _ => self.asking = Some(Asking::new(now + delay, self.newest())),
        }
        self.asking.map(|asking| asking.due())
    }

    /// Whether its sender is to be asked now.
    pub(crate) fn asks(&self, probed: u64, now: Instant) -> bool {
        let asking = self.asking.filter(|_| self.hole_since().is_some());
        asking.is_some_and(|asking| asking.is_due(probed, now))
    }

    /// What was asked before may be lost: asks as if for the first time. A node that does not know where this account begins
    /// has waited for a reply all the same.
    pub(crate) fn ask_anew(&mut self, now: Instant) {
        let newest = self.newest();
        match &mut self.asking {
            Some(asking) if self.unsure.is_some() => asking.hurry(now),
            Some(asking) => *asking = Asking::new(now, newest),
            None => {}
        }
    }

    /// The sender was away, and can be asked again. All that is waited for is waited for from now on.
    pub(crate) fn sender_is_back(&mut self, patient: Instant, now: Instant) {
        self.back = Some(patient);
        self.ask_anew(now);
    }

    /// Whether it is not clear yet where it begins.
    pub(crate) fn is_unsure(&self) -> bool {
        self.unsure.is_some()
    }

    /// Everything up to here has been carried out, or given up.
    pub(crate) fn has(&self) -> Mark {
        Mark { epoch: self.epoch, n: self.next.saturating_sub(1) }
    }

    /// What is missing, in so many ranges at the most; it is asked for now, in a frame of this counter. Returns how often it has
    /// been, too.
    pub(crate) fn ask(&mut self, most: usize, counter: u64, now: Instant) -> (Vec<Range>, Vec<MissingPieces>, u32) {
        let (missing, pieces, upto) = self.missing(most);
        let asking = self.asking.get_or_insert_with(|| Asking::new(now, upto));
        asking.asked(counter, upto, now);
        (missing, pieces, asking.tries())
    }

    fn missing(&self, most: usize) -> (Vec<Range>, Vec<MissingPieces>, u64) {
        let (mut missing, mut pieces, mut at) = (Vec::new(), Vec::new(), self.next);
        let newest = self.newest();
        if self.unsure.is_some() {
            return (missing, pieces, newest);
        }
        let mut room = most;
        for (n, incomplete) in self.held.between(self.next, newest) {
            for range in self.gone.without(at, n).take(room) {
                missing.push(range);
                room -= 1;
            }
            at = n.saturating_add(1);
            if let Some(assembly) = incomplete.filter(|_| room > 0) {
                let of = assembly.missing(n, room);
                room = room.saturating_sub(of.missing.len());
                pieces.push(of);
            }
            if room == 0 {
                return (missing, pieces, n);
            }
        }
        missing.extend(self.gone.without(at, newest.saturating_add(1)).take(room));
        (missing, pieces, newest)
    }

    /// What is next is lost, up to what is held or this number.
    pub(super) fn lose_until(&mut self, end: u64, progress: &mut Progress) {
        self.held.drop_one(self.next);
        let to = self.held.first().map_or(end, |held| held.min(end));
        progress.steps.push(Step::Lost(to - self.next));
        self.next = to;
    }

    /// Gives up on what has been missing for too long, or while too much is held.
    pub(super) fn give_up(&mut self, now: Instant, patience: &Patience, progress: &mut Progress) {
        while let Some(since) = self.hole_since() {
            if !self.time_is_up(since, now, patience) && self.held.bytes() <= patience.bytes {
                return;
            }
            self.skip(progress);
        }
    }

    fn time_is_up(&self, since: Instant, now: Instant, patience: &Patience) -> bool {
        let passed = |since| now.saturating_duration_since(since);
        if self.unsure.is_some() {
            // A node that asks waits for a reply, and asks again if it is lost.
            let asked = self.asking.is_some_and(|asking| asking.tries() > 0);
            return passed(since) >= patience.beginning * if asked { LONGEST } else { 1 };
        }
        let since = self.back.map_or(since, |back| back.max(since));
        let quiet = self.filled.map_or(since, |filled| filled.max(since));
        let asked = self.asking.is_some_and(|asking| asking.is_exhausted(patience.probed));
        patience.repair.is_zero()
            || passed(quiet) >= patience.repair && asked
            || passed(since) >= patience.repair * LONGEST
    }

    /// Gives up on the numbers before the next one that may still be whole, or up to the newest one known.
    pub(super) fn skip(&mut self, progress: &mut Progress) {
        if self.unsure.is_some() {
            // What came first is where it begins; what was before that, nobody has said.
            if self.asking.is_some_and(|asking| asking.tries() > 0) {
                progress.steps.push(Step::LostUncounted);
            }
            return self.be_sure(progress);
        }
        let held = self.held.first_behind(self.next).map(|(n, _)| n);
        let known = self.known.map(|(n, _)| n.saturating_add(1));
        let to = held.or(known).unwrap_or(self.next).max(self.next.saturating_add(1));
        if to == self.next {
            self.known = None; // at the end of the numbers: there is nothing behind to wait for
            return;
        }
        self.lose_until(to, progress);
        self.advance(progress);
    }
}
