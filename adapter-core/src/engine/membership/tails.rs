//! Which streams of this node have gone idle: the newest number of each is told once, so that a lost tail is found.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use crate::engine::Destination;

/// A stream to which the broker has taken nothing for so long is idle.
const IDLE: Duration = Duration::from_millis(250);
/// Streams that were used within this time are told of again, to a node that has been cut off or when we leave.
const RECENT: Duration = Duration::from_secs(5);

/// The streams that were sent to last.
#[derive(Debug, Default)]
pub(crate) struct Tails {
    /// When the broker took the newest of each.
    sent: HashMap<Destination, Instant>,
    /// Those whose mark is due, and when; a stream that was used again meanwhile is put back.
    due: VecDeque<(Instant, Destination)>,
}

impl Tails {
    /// The broker has taken something on this stream.
    pub(crate) fn sent(&mut self, to: Destination, now: Instant) {
        if self.sent.insert(to, now).is_none_or(|before| before + IDLE <= now) {
            self.due.push_back((now + IDLE, to));
        }
    }

    /// When the next mark is due, at the earliest.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.due.front().map(|(due, _)| *due)
    }

    /// The streams that have gone idle by now.
    pub(crate) fn idle(&mut self, now: Instant) -> Vec<Destination> {
        let mut idle = Vec::new();
        while self.next().is_some_and(|due| due <= now)
            && let Some((_, to)) = self.due.pop_front()
        {
            match self.sent.get(&to) {
                Some(sent) if *sent + IDLE > now => {
                    let again = *sent + IDLE;
                    let at = self.due.partition_point(|(due, _)| *due <= again);
                    self.due.insert(at, (again, to));
                }
                Some(_) => idle.push(to),
                None => {}
            }
        }
        idle
    }

    /// Whether a stream was used a short time ago.
    pub(crate) fn is_recent(&self, to: Destination, now: Instant) -> bool {
        self.sent.get(&to).is_some_and(|sent| now.saturating_duration_since(*sent) < RECENT)
    }

    /// The streams that were used a short time ago, the last one first.
    pub(crate) fn recent(&self, now: Instant) -> Vec<Destination> {
        let mut recent: Vec<_> = self.sent.iter().filter(|(to, _)| self.is_recent(**to, now)).collect();
        recent.sort_unstable_by_key(|(to, sent)| (std::cmp::Reverse(**sent), **to));
        recent.into_iter().map(|(to, _)| *to).collect()
    }

    /// Forgets what was used long ago.
    pub(crate) fn forget(&mut self, now: Instant) {
        self.sent.retain(|_, sent| now.saturating_duration_since(*sent) < RECENT);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::NodeId;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn g09_a_stream_is_told_of_once_after_each_time_it_goes_idle() {
        let now = Instant::now();
        let (one, two) = (Destination::Cluster, Destination::Inbox(NodeId::from_bytes([1; 16])));
        let mut tails = Tails::default();
        tails.sent(one, now);
        tails.sent(two, now + ms(100));
        tails.sent(one, now + ms(200)); // used again
        assert_eq!(tails.next(), Some(now + ms(250)));
        assert_eq!(tails.idle(now + ms(249)), []);
        assert_eq!(tails.idle(now + ms(349)), []);
        assert_eq!(tails.idle(now + ms(350)), [two]);
        assert_eq!(tails.idle(now + ms(450)), [one]);
        assert_eq!((tails.idle(now + ms(9000)), tails.next()), (vec![], None));
        tails.sent(two, now + ms(9000));
        assert_eq!(tails.recent(now + ms(9100)), [two]);
        tails.forget(now + ms(9100));
        assert_eq!(tails.idle(now + ms(9250)), [two]);
    }
}
