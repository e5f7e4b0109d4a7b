//! When a sender is asked for what is missing.

use std::time::{Duration, Instant};

/// After a question, the least time before the next; twice as long each time.
const AGAIN: Duration = Duration::from_millis(250);
const DOUBLED: u32 = 2;
/// After so many questions without a reply, nothing is hoped for any more.
const ENOUGH: u32 = 3;

/// A question about what is missing in one account: to be asked, or asked.
///
/// What it brings queues in this node's inbox behind all that is there, for seconds if need be. So it is asked again only when a
/// probe of this node's own, sent after the question, has come back in its place: a timer alone would feed an overload.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asking {
    /// How often it was asked.
    tries: u32,
    /// Not (again) before this.
    due: Instant,
    /// The counter of the newest question.
    question: u64,
    /// The newest number that it is about.
    pub(super) upto: u64,
}

impl Asking {
    /// Something up to this number is missing: to be asked for at that time.
    pub(super) fn new(due: Instant, upto: u64) -> Self {
        Self { tries: 0, due, question: 0, upto }
    }

    /// To be asked now, whatever was asked before.
    pub(super) fn hurry(&mut self, now: Instant) {
        self.due = now;
        self.question = 0;
    }

    /// It is asked now, in a frame of this counter, about all up to this number.
    pub(super) fn asked(&mut self, counter: u64, upto: u64, now: Instant) {
        self.due = now + AGAIN * (1 << self.tries.min(DOUBLED));
        self.tries += 1;
        (self.question, self.upto) = (counter, upto);
    }

    /// Whether it is to be asked now. `probed` is the counter of the newest probe that has come back in its place.
    pub(super) fn is_due(&self, probed: u64, now: Instant) -> bool {
        self.due <= now && (self.tries == 0 || probed > self.question)
    }

    /// When that may be, at the earliest.
    pub(super) fn due(&self) -> Instant {
        self.due
    }

    /// Whether it was asked often enough, and what it brought has been read.
    pub(super) fn is_exhausted(&self, probed: u64) -> bool {
        self.tries >= ENOUGH && probed > self.question
    }

    pub(super) fn tries(&self) -> u32 {
        self.tries
    }
}

/// How long what is missing waits to come by itself, where the broker does not keep the order: twice as long as what came late
/// has taken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reorder(Duration);

impl Reorder {
    const LEAST: Duration = Duration::from_millis(5);
    const MOST: Duration = Duration::from_millis(50);

    /// Something came so much later than what was sent after it.
    pub(crate) fn came_late(&mut self, by: Duration) {
        // Up at once, down slowly.
        self.0 = (self.0 * 7 / 8).max(by * 2).clamp(Self::LEAST, Self::MOST);
    }

    pub(crate) fn delay(&self) -> Duration {
        self.0
    }
}

impl Default for Reorder {
    fn default() -> Self {
        Self(Self::MOST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn g09_a_question_is_asked_again_when_a_probe_behind_it_has_come_back_and_not_before() {
        let now = Instant::now();
        let mut asking = Asking::new(now + ms(2), 9);
        assert!(!asking.is_due(0, now + ms(1)) && asking.is_due(0, now + ms(2)));
        asking.asked(70, 9, now + ms(2));
        assert!(!asking.is_due(70, now + ms(9000)), "the probe was sent before it");
        assert!(!asking.is_due(71, now + ms(251)) && asking.is_due(71, now + ms(252)));
        assert!(!asking.is_exhausted(71));
        asking.asked(80, 9, now + ms(300));
        assert!(!asking.is_exhausted(81));
        assert!(!asking.is_due(81, now + ms(799)) && asking.is_due(81, now + ms(800)));
        asking.asked(90, 9, now + ms(800));
        assert!(!asking.is_exhausted(90) && asking.is_exhausted(91));
    }

    #[test]
    fn what_comes_late_is_waited_for_twice_as_long() {
        let mut reorder = Reorder::default();
        assert_eq!(reorder.delay(), ms(50));
        (0..100).for_each(|_| reorder.came_late(ms(1)));
        assert_eq!(reorder.delay(), ms(5));
        reorder.came_late(ms(8));
        assert_eq!(reorder.delay(), ms(16));
        reorder.came_late(ms(900));
        assert_eq!(reorder.delay(), ms(50));
    }
}
