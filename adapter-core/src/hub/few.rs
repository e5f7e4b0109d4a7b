//! A short list that allocates nothing.

/// A list whose first `N` items lie in place: nearly always there are no more.
pub(super) struct Few<T, const N: usize> {
    first: [T; N],
    len: usize,
    /// All of them, once there are more than `N`.
    all: Vec<T>,
}

impl<T: Default, const N: usize> Few<T, N> {
    pub(super) fn push(&mut self, item: T) {
        if self.all.is_empty() && self.len < N {
            self.first[self.len] = item;
            self.len += 1;
            return;
        }
        if self.all.is_empty() {
            self.all.extend(self.first.iter_mut().map(std::mem::take));
        }
        self.all.push(item);
    }

    pub(super) fn as_mut_slice(&mut self) -> &mut [T] {
        if self.all.is_empty() { &mut self.first[..self.len] } else { &mut self.all }
    }

    pub(super) fn as_slice(&self) -> &[T] {
        if self.all.is_empty() { &self.first[..self.len] } else { &self.all }
    }
}

impl<T: Default + Ord, const N: usize> Few<T, N> {
    /// Sorts it, and leaves each item once.
    pub(super) fn sort(&mut self) {
        self.as_mut_slice().sort_unstable();
        if self.all.is_empty() {
            let mut kept = 0;
            for at in 0..self.len {
                if kept == 0 || self.first[at] != self.first[kept - 1] {
                    self.first.swap(kept, at);
                    kept += 1;
                }
            }
            self.len = kept;
        } else {
            self.all.dedup();
        }
    }
}

impl<T: Default, const N: usize> Default for Few<T, N> {
    fn default() -> Self {
        Self { first: std::array::from_fn(|_| T::default()), len: 0, all: Vec::new() }
    }
}

impl<T: Default, const N: usize> Extend<T> for Few<T, N> {
    fn extend<I: IntoIterator<Item = T>>(&mut self, items: I) {
        items.into_iter().for_each(|item| self.push(item));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_a_list_whatever_its_length() {
        for len in 0..8_u32 {
            let mut few = Few::<u32, 3>::default();
            few.extend((0..len).rev().chain(0..len));
            assert_eq!(few.as_slice(), Vec::from_iter((0..len).rev().chain(0..len)));
            few.sort();
            assert_eq!(few.as_slice(), Vec::from_iter(0..len));
            few.push(len);
            assert_eq!(few.as_slice(), Vec::from_iter(0..=len));
        }
    }

    #[test]
    fn a_few_allocate_nothing() {
        let info = allocation_counter::measure(|| {
            let mut few = Few::<u32, 3>::default();
            few.extend([3, 1, 3]);
            few.sort();
            assert_eq!(few.as_slice(), [1, 3]);
        });
        assert_eq!(info.count_total, 0);
    }
}
