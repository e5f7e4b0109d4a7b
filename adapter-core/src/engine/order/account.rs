//! What one sender has sent us on one channel: in order, once, holes found.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::asking::Asking;
use super::assembly::{Assembly, Whole};
use super::held::{HeldBytes, HeldInAll, compact};
use super::ranges::Ranges;
use crate::wire::{Frame, Mark, MissingPieces, Number, Part, Range};

/// How long and how much may be held back behind a hole.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// The backend keeps the order of each sender's messages.
    pub(crate) ordered: bool,
    /// How long a sender may take to say where its messages begin for this node.
    pub(crate) beginning: Duration,
    /// How long a hole is waited for since something that fills it came last. Where this is none, nobody is asked: a hole is a
    /// loss as soon as it is seen.
    pub(crate) repair: Duration,
    pub(crate) bytes: usize,
    pub(crate) max_message: usize,
    /// The counter of the newest probe of this node that has come back in its place.
    pub(crate) probed: u64,
}

/// However much comes of it meanwhile, a hole is waited for no longer than so many times its patience.
const LONGEST: u32 = 3;

/// What came of a frame or of time passing.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// In order.
    pub(crate) steps: Steps,
    /// Copies that were dropped.
    pub(crate) copies: u64,
    /// Frames that were dropped since no honest sender counts so fast.
    pub(crate) leaps: u64,
    /// Messages that had been lost, and were sent again.
    pub(crate) repaired: u64,
    /// How much later than what was sent after it the frame came, if it did.
    pub(crate) late: Option<Duration>,
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
    held: BTreeMap<u64, Held>,
    bytes: HeldBytes,
    /// The newest number known to have been sent, from a mark.
    known: Option<(u64, Instant)>,
    /// What the sender does not have any more, or what came and cannot be read.
    gone: Ranges,
    /// The question about what is missing.
    asking: Option<Asking>,
    /// When something came last that it was asked for.
    filled: Option<Instant>,
    /// Since when it has not been clear where this account begins: an earlier message may still be under way.
    unsure: Option<Instant>,
    /// Nothing was taken yet.
    fresh: bool,
    /// The sender has said where it begins.
    introduced: bool,
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
            gone: Ranges::default(),
            asking: None,
            filled: None,
            unsure: None,
            fresh: true,
            introduced: false,
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
        let behind = self.held.split_off(&self.next);
        for earlier in std::mem::replace(&mut self.held, behind).into_values() {
            self.bytes.sub(earlier.bytes());
        }
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
            None => self.hold(number.n, compact(frame, message), now, &mut progress),
            Some(part) => self.hold_part(number.n, part, compact(frame, message), now, patience, &mut progress),
        }
        if resent && progress.copies == copies {
            self.filled = Some(now);
            progress.repaired += u64::from(self.is_whole(number.n));
        } else if number.n == next && self.unsure.is_none() {
            progress.late = hole.map(|since| now.saturating_duration_since(since));
        }
        self.advance(&mut progress);
        self.give_up(now, patience, &mut progress);
        progress
    }

    /// Whether nothing of a message is missing any more.
    fn is_whole(&self, n: u64) -> bool {
        match self.held.get(&n) {
            Some(Held { what: Message::Pieces(assembly), .. }) => assembly.is_complete(),
            Some(_) => true,
            None => n < self.next,
        }
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
        while self.unsure.is_none() && self.hole_since().is_some() {
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

    /// Carries out what is next and whole, and passes over what is gone.
    fn advance(&mut self, progress: &mut Progress) {
        if self.unsure.is_some() {
            return;
        }
        loop {
            match self.take_next() {
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

    /// Takes what is next out of what is held, if it is whole.
    fn take_next(&mut self) -> Option<Whole> {
        let entry = self.held.first_entry().filter(|entry| *entry.key() == self.next)?;
        if matches!(&entry.get().what, Message::Pieces(assembly) if !assembly.is_complete()) {
            return None;
        }
        let held = entry.remove();
        self.bytes.sub(held.bytes());
        Some(match held.what {
            Message::Whole(frame) => Whole::AsItCame(frame),
            Message::Pieces(assembly) => Whole::InPieces(assembly),
        })
    }

    /// What is next is lost, up to what is held or this number.
    fn lose_until(&mut self, end: u64, progress: &mut Progress) {
        if let Some(dropped) = self.held.remove(&self.next) {
            self.bytes.sub(dropped.bytes());
        }
        let held = self.held.keys().next().copied();
        let to = held.map_or(end, |held| held.min(end));
        progress.steps.push(Step::Lost(to - self.next));
        self.next = to;
    }

    fn give_up(&mut self, now: Instant, patience: &Patience, progress: &mut Progress) {
        while let Some(since) = self.hole_since() {
            if !self.time_is_up(since, now, patience) && self.bytes.get() <= patience.bytes {
                return;
            }
            self.skip(progress);
        }
    }

    fn time_is_up(&self, since: Instant, now: Instant, patience: &Patience) -> bool {
        let passed = |since| now.saturating_duration_since(since);
        if self.unsure.is_some() {
            return passed(since) >= patience.beginning;
        }
        let quiet = self.filled.map_or(since, |filled| filled.max(since));
        let asked = self.asking.is_some_and(|asking| asking.is_exhausted(patience.probed));
        patience.repair.is_zero()
            || passed(quiet) >= patience.repair && asked
            || passed(since) >= patience.repair * LONGEST
    }

    /// Gives up on the numbers before the next one that may still be whole, or up to the newest one known.
    fn skip(&mut self, progress: &mut Progress) {
        if self.unsure.is_some() {
            return self.be_sure(progress); // what came first is where it begins
        }
        let held = self.held.range(self.next.saturating_add(1)..).next().map(|(n, _)| *n);
        let known = self.known.map(|(n, _)| n.saturating_add(1));
        let to = held.or(known).unwrap_or(self.next).max(self.next.saturating_add(1));
        if to == self.next {
            self.known = None; // at the end of the numbers: there is nothing behind to wait for
            return;
        }
        self.lose_until(to, progress);
        self.advance(progress);
    }

    // --- asking for what is missing ---

    /// The newest number that is known to have been sent as a whole.
    fn newest(&self) -> u64 {
        let known = self.known.map_or(0, |(n, _)| n);
        // Of the last one that came, pieces may still be under way.
        let last = self.held.last_key_value().map_or(0, |(n, held)| match held.what {
            Message::Whole(_) => *n,
            Message::Pieces(_) => n.saturating_sub(1),
        });
        known.max(last)
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

    /// What was asked before may be lost: asks as if for the first time.
    pub(crate) fn ask_anew(&mut self, now: Instant) {
        if self.asking.is_some() {
            self.asking = Some(Asking::new(now, self.newest()));
        }
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
        for (n, held) in self.held.range(self.next..=newest.max(self.next)).take_while(|(n, _)| **n <= newest) {
            for range in self.gone.without(at, *n).take(room) {
                missing.push(range);
                room -= 1;
            }
            at = n.saturating_add(1);
            if let Message::Pieces(assembly) = &held.what
                && !assembly.is_complete()
                && room > 0
            {
                let of = assembly.missing(*n, room);
                room = room.saturating_sub(of.missing.len());
                pieces.push(of);
            }
            if room == 0 {
                return (missing, pieces, *n);
            }
        }
        missing.extend(self.gone.without(at, newest.saturating_add(1)).take(room));
        (missing, pieces, newest)
    }
}

/// What a held frame counts for: an empty one takes room, too.
fn size(frame: &Frame) -> usize {
    const HELD: usize = 320;
    HELD + frame.body.len() + frame.packet.len()
}
