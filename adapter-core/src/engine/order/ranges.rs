//! A few ranges of numbers.

use crate::wire::Range;

/// No more ranges than this are kept of one account.
const MOST: usize = 64;

/// Numbers that will not come, in ranges that do not touch, lowest first.
#[derive(Clone, Debug, Default)]
pub(super) struct Ranges(Vec<(u64, u64)>);

impl Ranges {
    /// Adds the numbers from `first` up to, and without, `end`. Returns whether there was room.
    pub(super) fn add(&mut self, first: u64, end: u64) -> bool {
        if first >= end {
            return true;
        }
        let from = self.0.partition_point(|(_, before)| *before < first);
        let to = self.0.partition_point(|(after, _)| *after <= end);
        if from == to && self.0.len() >= MOST {
            return false;
        }
        let touching = self.0.get(from..to).unwrap_or_default();
        let first = touching.first().map_or(first, |(least, _)| first.min(*least));
        let end = touching.last().map_or(end, |(_, most)| end.max(*most));
        self.0.splice(from..to, [(first, end)]);
        true
    }

    /// If this number is among them: the first one behind that is not.
    pub(super) fn end_of(&self, n: u64) -> Option<u64> {
        let at = self.0.partition_point(|(_, end)| *end <= n);
        self.0.get(at).filter(|(first, _)| *first <= n).map(|(_, end)| *end)
    }

    /// Forgets what is below a number.
    pub(super) fn forget_below(&mut self, n: u64) {
        if self.0.first().is_some_and(|(first, _)| *first < n) {
            self.0.retain(|(_, end)| *end > n);
        }
    }

    /// The numbers from `first` up to, and without, `end` that are not among them.
    pub(super) fn without(&self, first: u64, end: u64) -> impl Iterator<Item = Range> {
        let mut at = first;
        let inside = self.0.iter().filter(move |(begin, stop)| *stop > first && *begin < end).copied();
        inside.chain([(end, end)]).filter_map(move |(begin, stop)| {
            let range = Range { first: at, count: begin.saturating_sub(at) };
            at = at.max(stop);
            (range.count > 0).then_some(range)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(list: &[(u64, u64)]) -> Ranges {
        let mut ranges = Ranges::default();
        list.iter().for_each(|(first, end)| assert!(ranges.add(*first, *end)));
        ranges
    }

    #[test]
    fn ranges_that_touch_become_one() {
        assert_eq!(of(&[(5, 7), (1, 3)]).0, [(1, 3), (5, 7)]);
        assert_eq!(of(&[(5, 7), (1, 3), (3, 5)]).0, [(1, 7)]);
        assert_eq!(of(&[(1, 9), (2, 3), (4, 4)]).0, [(1, 9)]);
        assert_eq!(of(&[(1, 3), (5, 7), (9, 11), (2, 10)]).0, [(1, 11)]);
    }

    #[test]
    fn numbers_are_found_and_forgotten() {
        let mut ranges = of(&[(1, 3), (5, 7)]);
        assert_eq!(
            [0, 1, 2, 3, 5, 6, 7].map(|n| ranges.end_of(n)),
            [None, Some(3), Some(3), None, Some(7), Some(7), None]
        );
        ranges.forget_below(6);
        assert_eq!(ranges.0, [(5, 7)]);
        ranges.forget_below(7);
        assert_eq!(ranges.0, []);
    }

    #[test]
    fn what_is_not_among_them_is_listed() {
        let ranges = of(&[(3, 5), (8, 9)]);
        let without =
            |first, end| ranges.without(first, end).map(|range| (range.first, range.count)).collect::<Vec<_>>();
        assert_eq!(without(1, 12), [(1, 2), (5, 3), (9, 3)]);
        assert_eq!(without(3, 5), []);
        assert_eq!(without(4, 9), [(5, 3)]);
        assert_eq!(without(9, 9), []);
    }

    #[test]
    fn g12_there_are_no_more_than_a_few() {
        let mut ranges = Ranges::default();
        let taken = (0..1_000).filter(|n| ranges.add(3 * n, 3 * n + 1)).count();
        assert_eq!((taken, ranges.0.len()), (MOST, MOST));
        assert!(ranges.add(0, 9_000), "what joins others takes no more room");
    }
}
