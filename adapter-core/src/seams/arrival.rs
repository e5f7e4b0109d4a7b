//! What has arrived, until it is taken out of the inbox.

use std::collections::VecDeque;
use std::time::Instant;

use bytes::Bytes;

use crate::model::{ErrorKind, Limits};
use crate::seams::{Channel, Reason};
use crate::wire::{Glance, Kind};

/// What a message counts beside its bytes: its place in the queue, which doubles when it grows.
pub(crate) const PLACE: usize = 128;

/// A message as it came.
#[derive(Clone, Debug)]
pub(crate) struct Arrival {
    pub(crate) channel: Channel,
    pub(crate) payload: Bytes,
    pub(crate) at: Instant,
    /// The broker has kept it while this node was away: its sender may be dead by now.
    pub(crate) replayed: bool,
}

impl Arrival {
    pub(super) fn cost(&self) -> usize {
        PLACE + self.payload.len()
    }

    /// Whether it is dropped when this node is too far behind: messages, and heartbeats, which come again. All other control
    /// messages are said once.
    pub(crate) fn may_be_skipped(&self) -> bool {
        let is_message = |glance: Glance| !glance.control || glance.kind == Some(Kind::HEARTBEAT);
        Glance::at(&self.payload).is_none_or(is_message)
    }
}

#[derive(Clone, Debug)]
pub(crate) enum LinkChange {
    Down(Reason),
    /// Down since this node was too slow.
    Dropped(Reason),
    Up(Limits),
    /// Still down, for a reason that waiting alone may not mend.
    Refused(ErrorKind, Reason),
}

/// What waited, taken in one go.
#[derive(Default)]
pub(crate) struct Taken {
    pub(crate) link: VecDeque<LinkChange>,
    pub(crate) control: VecDeque<Arrival>,
    pub(crate) messages: VecDeque<Arrival>,
}
