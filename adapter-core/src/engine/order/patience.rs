//! How long and how much is held back behind a hole.

use std::time::Duration;

/// How long and how much may be held back behind a hole.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// The backend keeps the order of each sender's messages.
    pub(crate) ordered: bool,
    /// How long a sender may take to say where its messages begin for this node.
    pub(crate) beginning: Duration,
    /// How long a hole is waited for since something that fills it came last. Where this is none, nobody is asked: a hole is a
    /// loss as soon as it is seen.
    pub(crate) repair: Duration,
    pub(crate) bytes: usize,
    pub(crate) max_message: usize,
    /// The counter of the newest probe of this node that has come back in its place.
    pub(crate) probed: u64,
}

/// However much comes of it meanwhile, a hole is waited for no longer than so many times its patience.
pub(super) const LONGEST: u32 = 3;
