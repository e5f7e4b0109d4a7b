//! The clock by which nodes are judged.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How many ticks are remembered, to date what arrived a while ago.
const REMEMBERED: usize = 16;

/// A clock that moves at most one tick for each tick, and stands still while this node's own link is in doubt: a stall or
/// an outage of this node condemns nobody.
#[derive(Debug)]
pub(crate) struct Clock {
    began: Instant,
    /// The time since then at the last tick.
    read: Duration,
    ticked: Instant,
    /// The most that one tick counts.
    longest: Duration,
    /// The last ticks, oldest first, by both clocks.
    ticks: VecDeque<(Instant, Duration)>,
}

impl Clock {
    pub(crate) fn new(longest: Duration, now: Instant) -> Self {
        let ticks = VecDeque::from([(now, Duration::ZERO)]);
        Self { began: now, read: Duration::ZERO, ticked: now, longest, ticks }
    }

    /// The time at the last tick.
    pub(crate) fn read(&self) -> Duration {
        self.read
    }

    /// The time now.
    pub(crate) fn now(&self, now: Instant, in_doubt: bool) -> Duration {
        self.read + if in_doubt { Duration::ZERO } else { self.passed(now) }
    }

    /// The same as an instant.
    pub(crate) fn instant(&self, now: Instant, in_doubt: bool) -> Instant {
        self.began + self.now(now, in_doubt)
    }

    /// How much of the time since the last tick counts.
    pub(crate) fn passed(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.ticked).min(self.longest)
    }

    /// How long ago the last tick was.
    pub(crate) fn since_tick(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.ticked)
    }

    /// What this clock showed at a time in the past.
    pub(crate) fn at(&self, at: Instant) -> Duration {
        let before = self.ticks.iter().rposition(|(tick, _)| *tick <= at);
        let Some(before) = before else {
            // Older than all that is remembered: by the plain clock it is as old as that, or older.
            let oldest = self.ticks.front().map_or((at, Duration::ZERO), |oldest| *oldest);
            return oldest.1.saturating_sub(oldest.0.saturating_duration_since(at));
        };
        let (tick, read) = self.ticks[before];
        let passed = at.saturating_duration_since(tick).min(self.longest);
        let most = self.ticks.get(before + 1).map_or(read + passed, |(_, next)| *next);
        (read + passed).min(most)
    }

    /// Lets one tick pass.
    pub(crate) fn tick(&mut self, now: Instant, in_doubt: bool) {
        if !in_doubt {
            self.read += self.passed(now);
        }
        self.ticked = now;
        self.ticks.push_back((now, self.read));
        self.ticks.drain(..self.ticks.len().saturating_sub(REMEMBERED));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TICK: Duration = Duration::from_millis(250);

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_stall_counts_as_little_more_than_a_tick_and_doubt_as_nothing() {
        let now = Instant::now();
        let mut clock = Clock::new(TICK * 3 / 2, now);
        clock.tick(now + ms(250), false);
        clock.tick(now + ms(9000), false);
        assert_eq!(clock.read(), ms(250 + 375));
        clock.tick(now + ms(9250), true);
        assert_eq!((clock.read(), clock.now(now + ms(9400), false)), (ms(625), ms(775)));
        assert_eq!(clock.now(now + ms(9400), true), ms(625));
    }

    #[test]
    fn what_arrived_a_while_ago_is_dated_by_the_ticks_around_it() {
        let now = Instant::now();
        let mut clock = Clock::new(TICK * 3 / 2, now);
        for tick in 1..=4 {
            clock.tick(now + TICK * tick, false);
        }
        clock.tick(now + ms(5000), false); // a stall of four seconds
        assert_eq!(clock.at(now + ms(600)), ms(600));
        assert_eq!(clock.at(now + ms(4000)), ms(1375));
        assert_eq!(clock.at(now + ms(5100)), ms(1475));
        for tick in 1..=20 {
            clock.tick(now + ms(5000) + TICK * tick, false);
        }
        assert_eq!(clock.at(now + ms(600)), Duration::ZERO, "older than all that is remembered");
    }
}
