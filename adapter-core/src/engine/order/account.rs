//! What one sender has sent us on one channel: in order, once, holes found.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::assembly::{Assembly, Whole};
use super::held::{HeldBytes, HeldInAll, compact};
use crate::wire::{Frame, Mark, Number, Part};

/// How long and how much may be held back behind a hole.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// Nothing when the backend keeps order: there a hole is a loss as soon as it is seen.
    pub(crate) time: Duration,
    pub(crate) bytes: usize,
    pub(crate) max_message: usize,
}

/// What came of a frame or of time passing.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// In order.
    pub(crate) steps: Steps,
    /// Copies that were dropped.
    pub(crate) copies: u64,
    /// Frames that were dropped since no honest sender counts so fast.
    pub(crate) leaps: u64,
}

/// Steps in order. Nearly always there is one, so the first is not put into a list.
#[derive(Debug, Default)]
pub(crate) struct Steps {
    first: Option<Step>,
    more: Vec<Step>,
}

impl Steps {
    pub(crate) fn push(&mut self, step: Step) {
        match self.first {
            None => self.first = Some(step),
            Some(_) => self.more.push(step),
        }
    }
}

impl Extend<Step> for Steps {
    fn extend<T: IntoIterator<Item = Step>>(&mut self, steps: T) {
        steps.into_iter().for_each(|step| self.push(step));
    }
}

impl IntoIterator for Steps {
    type Item = Step;
    type IntoIter = std::iter::Chain<std::option::IntoIter<Step>, std::vec::IntoIter<Step>>;

    fn into_iter(self) -> Self::IntoIter {
        self.first.into_iter().chain(self.more)
    }
}

/// What is next in an account.
#[derive(Debug)]
pub(crate) enum Step {
    /// To be carried out.
    Frame(Whole),
    /// So many messages, before what follows, will never come.
    Lost(u64),
    /// Some will not; how many is not known.
    LostUncounted,
}

/// After so many marks of a sender that are behind what was taken in its name, its word counts.
const FORGED: u32 = 30;
/// No more frames than this are under way without their sender's knowing that the broker has them.
const UNDER_WAY: u64 = 1 << 20;
/// A number that is so far ahead is none that the sender has counted to: nobody loses so many frames in the time for which a
/// silent sender is remembered.
const LEAP: u64 = 1 << 32;

/// The state of one (sender, channel). Asking the sender for what is missing will hook in where a hole is seen.
#[derive(Debug)]
pub(crate) struct Account {
    epoch: u64,
    /// The number to be carried out next.
    next: u64,
    /// What came too early, or is not whole yet.
    held: BTreeMap<u64, Held>,
    bytes: HeldBytes,
    /// The newest number known to have been sent, from a mark.
    known: Option<(u64, Instant)>,
    /// Since when it has not been clear where this account begins: an earlier message may still be under way.
    unsure: Option<Instant>,
    /// Nothing was taken yet.
    fresh: bool,
    /// So many marks of the sender one after the other were behind what was taken here: it has never sent that.
    behind: u32,
}

#[derive(Debug)]
struct Held {
    at: Instant,
    what: Message,
}

#[derive(Debug)]
enum Message {
    Whole(Frame),
    Pieces(Assembly),
}

impl Held {
    fn bytes(&self) -> usize {
        match &self.what {
            Message::Whole(frame) => size(frame),
            Message::Pieces(assembly) => assembly.bytes(),
        }
    }
}

impl Account {
    /// Expects this number next.
    pub(crate) fn expecting(number: Number, all: HeldInAll) -> Self {
        Self {
            epoch: number.epoch,
            next: number.n,
            held: BTreeMap::new(),
            bytes: HeldBytes::new(all),
            known: None,
            unsure: None,
            fresh: true,
            behind: 0,
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
        if mark.epoch == self.epoch && self.unsure.is_some() {
            self.next = self.next.min(mark.n.saturating_add(1));
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
        self.unsure = None;
        let behind = self.held.split_off(&self.next);
        for earlier in std::mem::replace(&mut self.held, behind).into_values() {
            self.bytes.sub(earlier.bytes());
        }
        self.advance(progress);
    }

    /// Takes a numbered frame.
    ///
    /// `message` is how long the message is that it is a slice of: what is held back does not keep the whole of a large one.
    pub(crate) fn accept(
        &mut self,
        number: Number,
        frame: Frame,
        message: usize,
        now: Instant,
        patience: &Patience,
    ) -> Progress {
        let mut progress = Progress::default();
        if self.leaps_to(number) {
            progress.leaps = 1;
            return progress;
        }
        self.enter(number.epoch, &mut progress);
        // Of a large message that we came in the middle of, the first piece does not reach us.
        let later = u64::from(frame.head.part.is_some_and(|part| part.index > 0));
        self.begin_no_later(Number { n: number.n.saturating_add(later), ..number });
        let came_in_the_middle = self.fresh && frame.head.part.is_some_and(|part| part.index > 0);
        if patience.time.is_zero() && came_in_the_middle && number == (Number { epoch: self.epoch, n: self.next }) {
            // Where order is kept, the pieces before it were sent before we were there: it was not meant for us.
            self.next = self.next.saturating_add(1);
        }
        self.fresh = false;
        let old = number.epoch < self.epoch || number.n < self.next && self.unsure.is_none();
        match frame.head.part {
            _ if old => progress.copies += 1,
            None if number.n == self.next && self.held.is_empty() && self.unsure.is_none() => {
                self.next = self.next.saturating_add(1);
                progress.steps.push(Step::Frame(Whole::AsItCame(frame)));
            }
            None => self.hold(number.n, compact(frame, message), now, &mut progress),
            Some(part) => self.hold_part(number.n, part, compact(frame, message), now, patience, &mut progress),
        }
        self.advance(&mut progress);
        self.give_up(now, patience, &mut progress);
        progress
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
            self.fresh = false;
        }
        next
    }

    /// Passes over frames that cannot be read: they are lost, and what follows them is not held back.
    pub(crate) fn pass(&mut self, number: Number, count: u16, now: Instant) -> Progress {
        let mut progress = Progress::default();
        self.enter(number.epoch, &mut progress);
        self.begin_no_later(number);
        let end = number.n.saturating_add(u64::from(count));
        if number.epoch < self.epoch || end <= self.next {
            progress.copies += u64::from(count);
            return progress;
        }
        self.known = Some(self.known.map_or((end - 1, now), |(n, at)| (n.max(end - 1), at)));
        while self.next < end && self.hole_since().is_some() {
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
            *self = Self::expecting(Number { epoch: mark.epoch, n: mark.n.saturating_add(1) }, self.bytes.all());
            progress.steps.push(Step::LostUncounted);
            return progress;
        }
        self.enter(mark.epoch, &mut progress);
        // The message behind the mark may be a large one of which pieces came before the mark.
        self.begin_no_later(Number { epoch: mark.epoch, n: mark.n.saturating_add(2) });
        let news = mark.epoch == self.epoch && mark.n >= self.next && self.known.is_none_or(|(n, _)| n < mark.n);
        if news {
            self.known = Some((mark.n, now));
        }
        self.give_up(now, patience, &mut progress);
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
        while self.bytes.get() > bytes && !self.held.is_empty() {
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

    /// Since when something before what is known to have been sent is missing.
    pub(crate) fn hole_since(&self) -> Option<Instant> {
        if self.unsure.is_some() {
            return self.unsure;
        }
        let by_mark = self.known.filter(|(n, _)| *n >= self.next).map(|(_, at)| at);
        let behind = self.held.range(self.next.saturating_add(1)..).next().map(|(_, held)| held.at);
        match (by_mark, behind) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    /// How much is held back.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.get()
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
            *self = Self::expecting(Number { epoch, n: 1 }, self.bytes.all());
        }
    }

    fn hold(&mut self, n: u64, frame: Frame, now: Instant, progress: &mut Progress) {
        // The whole takes the place of its pieces: it may have been cut differently when it was sent again.
        let pieces = match self.held.get(&n) {
            Some(Held { what: Message::Whole(_), .. }) => {
                progress.copies += 1;
                return;
            }
            Some(Held { what: Message::Pieces(assembly), at }) => Some((assembly.bytes(), *at)),
            None => None,
        };
        self.bytes.sub(pieces.map_or(0, |(bytes, _)| bytes));
        self.bytes.add(size(&frame));
        let at = pieces.map_or(now, |(_, at)| at);
        self.held.insert(n, Held { at, what: Message::Whole(frame) });
    }

    fn hold_part(
        &mut self,
        n: u64,
        part: Part,
        frame: Frame,
        now: Instant,
        patience: &Patience,
        progress: &mut Progress,
    ) {
        if let std::collections::btree_map::Entry::Vacant(place) = self.held.entry(n) {
            let Some(assembly) = Assembly::begin(frame.head, part, patience.max_message) else {
                return; // over the limit: a hole, which will be reported as such
            };
            self.bytes.add(assembly.bytes());
            place.insert(Held { at: now, what: Message::Pieces(assembly) });
        }
        if let Some(Held { what: Message::Pieces(assembly), .. }) = self.held.get_mut(&n) {
            self.bytes.sub(assembly.begin_anew_if_cut_differently(part));
            let more = assembly.add(part, frame.packet);
            self.bytes.add(more);
            progress.copies += u64::from(more == 0);
        }
    }

    /// Carries out what is next and whole.
    fn advance(&mut self, progress: &mut Progress) {
        if self.unsure.is_some() {
            return;
        }
        while let Some(entry) = self.held.first_entry() {
            let ready = match &entry.get().what {
                Message::Whole(_) => true,
                Message::Pieces(assembly) => assembly.is_complete(),
            };
            if *entry.key() != self.next || !ready {
                return;
            }
            let whole = match entry.remove().what {
                Message::Whole(frame) => {
                    self.bytes.sub(size(&frame));
                    Whole::AsItCame(frame)
                }
                Message::Pieces(assembly) => {
                    self.bytes.sub(assembly.bytes());
                    Whole::InPieces(assembly)
                }
            };
            self.next = self.next.saturating_add(1);
            progress.steps.push(Step::Frame(whole));
        }
    }

    fn give_up(&mut self, now: Instant, patience: &Patience, progress: &mut Progress) {
        while let Some(since) = self.hole_since() {
            let time_is_up = now.saturating_duration_since(since) >= patience.time;
            if !time_is_up && self.bytes.get() <= patience.bytes {
                return;
            }
            self.skip(progress);
        }
    }

    /// Gives up on the numbers before the next one that may still be whole, or up to the newest one known.
    fn skip(&mut self, progress: &mut Progress) {
        if self.unsure.is_some() {
            return self.be_sure(progress); // what came first is where it begins
        }
        if let Some(dropped) = self.held.remove(&self.next) {
            self.bytes.sub(dropped.bytes());
        }
        let held = self.held.keys().next().copied();
        let known = self.known.map(|(n, _)| n.saturating_add(1));
        let to = held.or(known).unwrap_or(self.next).max(self.next.saturating_add(1));
        if to == self.next {
            self.known = None; // at the end of the numbers: there is nothing behind to wait for
            return;
        }
        progress.steps.push(Step::Lost(to - self.next));
        self.next = to;
        self.advance(progress);
    }
}

/// What a held frame counts for: an empty one takes room, too.
fn size(frame: &Frame) -> usize {
    const HELD: usize = 320;
    HELD + frame.body.len() + frame.packet.len()
}
