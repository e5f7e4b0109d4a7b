//! Frames packed into messages for the broker, and cut where the link takes less.

use bytes::{Bytes, BytesMut};

use super::assembly::split;
use super::outbox::Destination;
use crate::wire::Head;

/// How much goes into one batch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Packing {
    /// The largest message that the link takes.
    pub(crate) max_frame: usize,
    /// How far frames are packed into one message.
    pub(crate) max_packed: usize,
    /// How far messages are gathered into one batch.
    pub(crate) max_batch: usize,
}

/// Messages being packed.
pub(super) struct Messages {
    list: Vec<Open>,
    packing: Packing,
}

struct Open {
    to: Destination,
    bytes: BytesMut,
    sealed: bool,
}

impl Messages {
    pub(super) fn new(packing: Packing) -> Self {
        Self { list: Vec::new(), packing }
    }

    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    /// Adds a frame to the last message if it fits there, or in as many messages as it takes. `more` frames follow, as
    /// long as this one for all that is known.
    pub(super) fn add(&mut self, to: Destination, head: &Head, body: &Bytes, packet: &Bytes, more: usize) {
        if let Some(pieces) = split(head, body, packet, self.packing.max_frame) {
            for (head, piece) in pieces {
                let mut bytes = BytesMut::new();
                head.write(&mut bytes, &[], &piece);
                self.list.push(Open { to, bytes, sealed: true });
            }
            return;
        }
        let len = head.len() + body.len() + packet.len();
        let room = self.packing.max_packed.min(self.packing.max_frame);
        let fits = |open: &&mut Open| !open.sealed && open.to == to && open.bytes.len() + len <= room;
        match self.list.last_mut().filter(fits) {
            Some(open) => head.write(&mut open.bytes, body, packet),
            None => {
                let mut bytes = BytesMut::with_capacity(len.saturating_mul(more + 1).min(room).max(len));
                head.write(&mut bytes, body, packet);
                self.list.push(Open { to, bytes, sealed: false });
            }
        }
    }

    /// Nothing more goes into the messages so far.
    pub(super) fn seal(&mut self) {
        if let Some(open) = self.list.last_mut() {
            open.sealed = true;
        }
    }

    /// The messages, with where they go.
    pub(super) fn finish(self) -> Vec<(Destination, Bytes)> {
        self.list.into_iter().map(|message| (message.to, message.bytes.freeze())).collect()
    }
}
