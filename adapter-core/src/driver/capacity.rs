//! How much the outgoing queue takes.

use std::time::Duration;

use super::core::{Core, now};
use crate::model::{Error, ErrorKind, MAX_NAME, Result, Room, Target};
use crate::wire::{Content, Operation};

/// What an encoded operation has beside its packet and the names of rooms, at the most: a namespace, and some numbers.
const BESIDE_NAMES: usize = MAX_NAME + 256;
/// What one name has beside its bytes.
const LENGTH: usize = 9;

/// What a queued message costs beside its bytes.
const OVERHEAD: usize = 128;

/// Reserved capacity in the outgoing queue, given back when dropped.
pub(crate) struct Capacity<'a>(tokio::sync::SemaphorePermit<'a>);

impl Capacity<'_> {
    /// Passes the reservation on to the queued message, which gives it back once it is sent. Returns its bytes.
    pub(crate) fn take(self) -> usize {
        let bytes = self.0.num_permits();
        self.0.forget();
        bytes
    }
}

impl Core {
    /// Whether the message may be sent at all.
    pub(crate) fn check_size(&self, content: &Content) -> Result<()> {
        let (len, max) = (content.len(), self.bounds.max_message);
        if content.packet.len() <= max && content.body.len() <= max {
            return Ok(());
        }
        let text = format!("a message of {len} bytes is over max_message, which is {max}");
        Err(Error::new(ErrorKind::TooLarge, text))
    }

    /// The same before the operation is made: it is encoded only if its packet or its names are so many bytes that this may be
    /// too large.
    pub(crate) fn check_names(
        &self,
        packet: usize,
        target: &Target,
        rooms: &[Room],
        operation: impl FnOnce() -> Operation,
    ) -> Result<()> {
        let all = target.rooms.iter().flatten().chain(&target.except).chain(rooms);
        let names = all.fold(BESIDE_NAMES, |sum, room| sum + room.as_str().len() + LENGTH);
        if packet <= self.bounds.max_message && names <= self.bounds.max_message {
            return Ok(());
        }
        self.check_size(&operation().encode())
    }

    /// Reserves capacity for a message in the outgoing queue. It is the caller's until `Capacity::take`.
    ///
    /// # Errors
    /// `Unavailable` at once when the link is down, or goes down meanwhile; `Timeout`; `Closed`.
    pub(crate) async fn reserve(&self, content: &Content, wait: Duration) -> Result<Capacity<'_>> {
        // A message larger than the whole queue takes all of it.
        let cost = (content.len() + OVERHEAD).min(self.bounds.queue);
        let permits = u32::try_from(cost).unwrap_or(u32::MAX);
        if !*self.link.borrow() && self.engine().unsent_for(now()) > self.bounds.queue_age {
            let text = "the broker is away, and the outgoing queue holds messages that are older than queue_age";
            return Err(Error::new(ErrorKind::Unavailable, text));
        }
        if let Ok(permit) = self.capacity.try_acquire_many(permits) {
            return Ok(Capacity(permit));
        }
        let mut link = self.link.subscribe();
        let down = link.wait_for(|up| !up);
        tokio::select! {
            biased;
            permit = self.capacity.acquire_many(permits) => permit.map(Capacity).map_err(|_| Error::closed()),
            _ = down => {
                let text = "the broker is away, and the outgoing queue is full";
                Err(Error::new(ErrorKind::Unavailable, text))
            }
            () = tokio::time::sleep(wait) => {
                Err(Error::new(ErrorKind::Timeout, "the outgoing queue was full until the timeout"))
            }
        }
    }

    /// The same for a message that may be lost: if there is capacity now, and a link.
    pub(crate) fn try_reserve(&self, content: &Content) -> Option<Capacity<'_>> {
        let cost = (content.len() + OVERHEAD).min(self.bounds.queue);
        let permits = u32::try_from(cost).unwrap_or(u32::MAX);
        if *self.link.borrow() { self.capacity.try_acquire_many(permits).ok().map(Capacity) } else { None }
    }

    pub(crate) fn release(&self, bytes: usize) {
        if bytes > 0 {
            self.capacity.add_permits(bytes);
        }
    }

    pub(crate) fn stop_reserving(&self) {
        self.capacity.close();
    }
}
