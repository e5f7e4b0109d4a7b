//! The messages of one sender that came too early, or of which pieces are missing.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::time::Instant;

use super::assembly::{Assembly, Whole};
use super::held::{HeldBytes, HeldInAll};
use crate::wire::{Frame, Part};

/// Messages by their number, and the bytes that they take.
#[derive(Debug)]
pub(super) struct HeldMessages {
    messages: BTreeMap<u64, Held>,
    bytes: HeldBytes,
}

#[derive(Debug)]
struct Held {
    at: Instant,
    what: Message,
}

#[derive(Debug)]
enum Message {
    Whole(Frame),
    Pieces(Assembly),
}

impl Held {
    fn bytes(&self) -> usize {
        match &self.what {
            Message::Whole(frame) => size(frame),
            Message::Pieces(assembly) => assembly.bytes(),
        }
    }

    /// The pieces that have come, if some are missing.
    fn incomplete(&self) -> Option<&Assembly> {
        match &self.what {
            Message::Pieces(assembly) if !assembly.is_complete() => Some(assembly),
            _ => None,
        }
    }
}

impl HeldMessages {
    /// `all` counts what is held of every sender.
    pub(super) fn new(all: HeldInAll) -> Self {
        Self { messages: BTreeMap::new(), bytes: HeldBytes::new(all) }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes.get()
    }

    pub(super) fn all(&self) -> HeldInAll {
        self.bytes.all()
    }

    /// Holds a message. Returns false if it is held already.
    pub(super) fn hold(&mut self, n: u64, frame: Frame, now: Instant) -> bool {
        let more = size(&frame);
        let whole = Message::Whole(frame);
        match self.messages.entry(n) {
            Entry::Vacant(place) => {
                place.insert(Held { at: now, what: whole });
            }
            Entry::Occupied(held) if matches!(held.get().what, Message::Whole(_)) => return false,
            // It takes the place of its pieces: sent again, it may fit into one message.
            Entry::Occupied(mut held) => {
                self.bytes.sub(held.get().bytes());
                held.get_mut().what = whole;
            }
        }
        self.bytes.add(more);
        true
    }

    /// Holds a piece of a message, which may have `max_message` bytes; a longer one is not held. Returns false if the piece, or
    /// the whole, is held already.
    pub(super) fn hold_part(&mut self, n: u64, part: Part, frame: Frame, now: Instant, max_message: usize) -> bool {
        let held = match self.messages.entry(n) {
            Entry::Occupied(held) => held.into_mut(),
            Entry::Vacant(place) => {
                let Some(assembly) = Assembly::begin(frame.head, part, max_message) else { return true };
                self.bytes.add(assembly.bytes());
                place.insert(Held { at: now, what: Message::Pieces(assembly) })
            }
        };
        let Message::Pieces(assembly) = &mut held.what else { return false };
        self.bytes.sub(assembly.begin_anew_if_cut_differently(part));
        let more = assembly.add(part, frame.packet);
        self.bytes.add(more);
        more > 0
    }

    /// Takes this message out, if nothing of it is missing.
    pub(super) fn take(&mut self, n: u64) -> Option<Whole> {
        let first = self.messages.first_entry().filter(|first| *first.key() == n)?;
        if first.get().incomplete().is_some() {
            return None;
        }
        let held = first.remove();
        self.bytes.sub(held.bytes());
        Some(match held.what {
            Message::Whole(frame) => Whole::AsItCame(frame),
            Message::Pieces(assembly) => Whole::InPieces(assembly),
        })
    }

    /// Drops this message.
    pub(super) fn drop_one(&mut self, n: u64) {
        if let Some(dropped) = self.messages.remove(&n) {
            self.bytes.sub(dropped.bytes());
        }
    }

    /// Drops all messages below this number.
    pub(super) fn drop_below(&mut self, n: u64) {
        let rest = self.messages.split_off(&n);
        for earlier in std::mem::replace(&mut self.messages, rest).into_values() {
            self.bytes.sub(earlier.bytes());
        }
    }

    /// The lowest number that is held.
    pub(super) fn first(&self) -> Option<u64> {
        self.messages.keys().next().copied()
    }

    /// The lowest number behind this one that is held, and since when.
    pub(super) fn first_behind(&self, n: u64) -> Option<(u64, Instant)> {
        self.messages.range(n.saturating_add(1)..).next().map(|(n, held)| (*n, held.at))
    }

    /// The newest number that is known to have been sent as a whole: of the last message that came, pieces may still be under
    /// way.
    pub(super) fn newest(&self) -> Option<u64> {
        let (n, held) = self.messages.last_key_value()?;
        Some(match held.what {
            Message::Whole(_) => *n,
            Message::Pieces(_) => n.saturating_sub(1),
        })
    }

    /// Whether this message is held, and whole.
    pub(super) fn has_whole(&self, n: u64) -> Option<bool> {
        self.messages.get(&n).map(|held| held.incomplete().is_none())
    }

    /// The numbers that are held from one to another, with the pieces of those of which some are missing.
    pub(super) fn between(&self, from: u64, to: u64) -> impl Iterator<Item = (u64, Option<&Assembly>)> {
        self.messages.range(from..).take_while(move |(n, _)| **n <= to).map(|(n, held)| (*n, held.incomplete()))
    }
}

/// What a held frame counts for: an empty one takes room, too.
fn size(frame: &Frame) -> usize {
    const HELD: usize = 320;
    HELD + frame.body.len() + frame.packet.len()
}
