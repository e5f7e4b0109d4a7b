//! Numbered places that are used again.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Values at numbered places. The lowest free place is taken first and the free end is given back, so that its size
/// follows what it holds and not what it once held.
pub(super) struct Slab<T> {
    entries: Vec<Option<T>>,
    /// Every free place, and some that were cut off since. They grow again only when nothing is left in here, so
    /// no place in here is in use.
    free: BinaryHeap<Reverse<u32>>,
    len: usize,
}

impl<T> Slab<T> {
    pub(super) fn new() -> Self {
        Self { entries: Vec::new(), free: BinaryHeap::new(), len: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// One more than the highest place in use.
    pub(super) fn end(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn insert(&mut self, value: T) -> u32 {
        self.len += 1;
        while let Some(Reverse(place)) = self.free.pop() {
            if let Some(free) = self.entries.get_mut(place as usize) {
                *free = Some(value);
                return place;
            }
        }
        self.entries.push(Some(value));
        (self.entries.len() - 1) as u32 // four billion of them do not fit into memory
    }

    pub(super) fn remove(&mut self, place: u32) -> Option<T> {
        let value = self.entries.get_mut(place as usize)?.take()?;
        self.len -= 1;
        if self.len == 0 {
            *self = Self::new();
            return Some(value);
        }
        self.free.push(Reverse(place));
        while self.entries.last().is_some_and(Option::is_none) {
            self.entries.pop();
        }
        slim(&mut self.entries);
        let end = self.entries.len();
        if self.free.len() > end {
            self.free.retain(|Reverse(place)| (*place as usize) < end);
            self.free.shrink_to(end);
        }
        Some(value)
    }

    pub(super) fn get(&self, place: u32) -> Option<&T> {
        self.entries.get(place as usize)?.as_ref()
    }

    pub(super) fn get_mut(&mut self, place: u32) -> Option<&mut T> {
        self.entries.get_mut(place as usize)?.as_mut()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        self.entries.iter().enumerate().filter_map(|(place, entry)| Some((place as u32, entry.as_ref()?)))
    }
}

/// Gives memory back when three quarters of it are unused; what is left doubles before it grows again.
pub(super) fn slim<T>(list: &mut Vec<T>) {
    const KEPT: usize = 16;
    if list.capacity() > 4 * list.len() + KEPT {
        list.shrink_to(2 * list.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_free_place_is_taken_first() {
        let mut slab = Slab::new();
        let places: Vec<_> = (0..5).map(|value| slab.insert(value)).collect();
        assert_eq!(places, [0, 1, 2, 3, 4]);
        assert_eq!([3, 1].map(|place| slab.remove(place)), [Some(3), Some(1)]);
        assert_eq!([slab.insert(10), slab.insert(30), slab.insert(50)], [1, 3, 5]);
        assert_eq!(slab.remove(9), None);
    }

    #[test]
    fn a_place_that_was_cut_off_and_grew_again_is_not_given_twice() {
        let mut slab = Slab::new();
        let places: Vec<_> = (0..4).map(|value| slab.insert(value)).collect();
        slab.remove(places[3]); // cut off, yet still among the free ones
        slab.remove(places[0]);
        let mut again: Vec<_> = (10..14).map(|value| slab.insert(value)).collect();
        again.sort_unstable();
        assert_eq!((again, slab.len()), (vec![0, 3, 4, 5], 6));
    }

    #[test]
    fn its_size_follows_what_it_holds() {
        let mut slab = Slab::new();
        let places: Vec<_> = (0..10_000).map(|value| slab.insert(value)).collect();
        for place in places.iter().skip(10) {
            slab.remove(*place);
        }
        assert!(slab.end() == 10 && slab.entries.capacity() <= 64 && slab.free.capacity() <= 64);
        for place in 0..10 {
            slab.remove(place);
        }
        assert_eq!((slab.entries.capacity(), slab.free.capacity(), slab.len()), (0, 0, 0));
    }
}
