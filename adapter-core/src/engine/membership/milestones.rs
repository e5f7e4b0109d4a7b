//! Where this node's numbers stood, and when.

use std::collections::VecDeque;
use std::time::Instant;

use crate::wire::Mark;

/// So many are kept, one for each tick in which something was sent: for longer than anybody waits for an introduction.
const KEPT: usize = 80;

/// Where this node's numbers on the cluster channel stood in the last seconds, for a newcomer that it has not heard in time.
#[derive(Debug)]
pub(in crate::engine) struct Milestones(VecDeque<(Instant, Mark)>);

impl Milestones {
    pub(in crate::engine) fn new(mark: Mark, now: Instant) -> Self {
        Self(VecDeque::from([(now, mark)]))
    }

    /// Remembers where they stand now.
    pub(in crate::engine) fn note(&mut self, mark: Mark, now: Instant) {
        if self.0.back().is_none_or(|(_, last)| *last != mark) {
            self.0.push_back((now, mark));
            self.0.drain(..self.0.len().saturating_sub(KEPT));
        }
    }

    /// Where they stood at the last look before then, and at the first one after it. Before all that is remembered they stood at
    /// its beginning, at the most.
    pub(in crate::engine) fn around(&self, then: Instant) -> Option<(Mark, Option<Mark>)> {
        let later = self.0.partition_point(|(at, _)| *at <= then);
        let (_, before) = self.0.get(later.saturating_sub(1))?;
        Some((*before, self.0.get(later).map(|(_, after)| *after)))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn mark(n: u64) -> Mark {
        Mark { epoch: 1, n }
    }

    #[test]
    fn where_the_numbers_stood_is_known_for_some_seconds() {
        let began = Instant::now();
        let at = |tick: u64| began + Duration::from_millis(250 * tick);
        let mut milestones = Milestones::new(mark(0), began);
        for tick in 1..=10 {
            milestones.note(mark(10 * (tick / 2)), at(tick)); // something is sent in every other tick
        }
        assert_eq!(milestones.around(at(4)), Some((mark(20), Some(mark(30)))));
        assert_eq!(milestones.around(at(5)), Some((mark(20), Some(mark(30)))));
        assert_eq!(milestones.around(at(99)), Some((mark(50), None)));
        for tick in 11..=200 {
            milestones.note(mark(10 * tick), at(tick));
        }
        assert_eq!(milestones.around(at(150)), Some((mark(1500), Some(mark(1510)))));
        assert_eq!(milestones.around(began), Some((mark(1210), Some(mark(1210)))), "it has forgotten");
    }
}
