//! A bound for what may be done in a time.

use std::time::Instant;

/// So many of something in each second, and in one go.
#[derive(Debug)]
pub(super) struct Bucket {
    most: u32,
    left: f64,
    filled: Instant,
}

impl Bucket {
    pub(super) fn new(most: u32, now: Instant) -> Self {
        Self { most, left: f64::from(most), filled: now }
    }

    /// Takes so many, if there are.
    pub(super) fn take(&mut self, count: u32, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.filled).as_secs_f64();
        self.left = (self.left + passed * f64::from(self.most)).min(f64::from(self.most));
        self.filled = self.filled.max(now);
        let some = self.left >= f64::from(count);
        if some {
            self.left -= f64::from(count);
        }
        some
    }
}
