//! What is held back for senders, and how much it is: each account counts its own part, and all of them one sum.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;

use crate::wire::Frame;

/// A frame to be held back: it keeps no message in memory that is half as large again as itself. `message` is how long the one
/// is that it is a slice of.
pub(super) fn compact(frame: Frame, message: usize) -> Frame {
    if 3 * (frame.body.len() + frame.packet.len()) >= 2 * message {
        return frame;
    }
    let copy = |bytes: &Bytes| Bytes::copy_from_slice(bytes);
    Frame { body: copy(&frame.body), packet: copy(&frame.packet), ..frame }
}

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
