//! How much is held back for senders: each account counts its own part, and all of them one sum.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The sum of what all accounts of a node hold back, in bytes. Clones are the same sum.
#[derive(Clone, Debug, Default)]
pub(crate) struct HeldInAll(Arc<AtomicUsize>);

impl HeldInAll {
    pub(crate) fn bytes(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// What one account holds back; it leaves the sum with the account.
#[derive(Debug)]
pub(super) struct HeldBytes {
    mine: usize,
    all: HeldInAll,
}

impl HeldBytes {
    pub(super) fn new(all: HeldInAll) -> Self {
        Self { mine: 0, all }
    }

    pub(super) fn get(&self) -> usize {
        self.mine
    }

    pub(super) fn all(&self) -> HeldInAll {
        self.all.clone()
    }

    pub(super) fn add(&mut self, bytes: usize) {
        self.mine += bytes;
        self.all.0.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn sub(&mut self, bytes: usize) {
        self.mine -= bytes;
        self.all.0.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Drop for HeldBytes {
    fn drop(&mut self) {
        self.sub(self.mine);
    }
}
