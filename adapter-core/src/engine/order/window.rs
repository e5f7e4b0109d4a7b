//! Unnumbered frames: one copy at the most, whole ones only, in bounded memory.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use super::assembly::{Assembly, Whole};
use super::held::compact;
use crate::model::NodeId;
use crate::wire::{Frame, Part};

/// How many senders are remembered; the one silent for longest is forgotten first.
const SENDERS: usize = 1024;
/// How far behind its sender's newest a frame is still told from a copy; older ones count as copies.
pub(crate) const SPAN: u64 = 1024;
const WORDS: usize = (SPAN / 64) as usize;
/// How many large messages may be in pieces at a time; the oldest makes room.
const ASSEMBLIES: usize = 64;
/// For how long the next piece of one is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// Tells first copies of unnumbered frames from later ones, and puts their pieces together.
#[derive(Debug, Default)]
pub(crate) struct Window {
    senders: HashMap<NodeId, Seen>,
    /// Senders by last use, oldest first; one that was used again stands here more than once.
    order: VecDeque<(NodeId, u64)>,
    uses: u64,
    assemblies: VecDeque<Open>,
    bytes: usize,
}

/// A large message of which pieces are missing.
#[derive(Debug)]
struct Open {
    id: (NodeId, u64),
    assembly: Assembly,
    /// When a piece came last.
    at: Instant,
}

/// What became of an unnumbered frame.
#[derive(Debug)]
pub(crate) enum Accepted {
    Whole(Whole),
    Piece,
    Copy,
}

#[derive(Debug)]
struct Seen {
    newest: u64,
    /// Bit `counter % SPAN`, for the counters within `SPAN` of the newest.
    bits: [u64; WORDS],
    used: u64,
}

impl Window {
    /// Takes a frame: whole, as a copy, or as a piece of something that is not whole yet.
    ///
    /// `message` is how long the message is that it is a slice of: a piece does not keep the whole of a large one.
    pub(crate) fn accept(&mut self, frame: Frame, message: usize, max_message: usize, now: Instant) -> Accepted {
        let id = (frame.head.sender, frame.head.counter);
        let Some(part) = frame.head.part else {
            return if self.first(id.0, id.1) { Accepted::Whole(Whole::AsItCame(frame)) } else { Accepted::Copy };
        };
        if self.senders.get(&id.0).is_some_and(|seen| !seen.is_new(id.1)) {
            return Accepted::Copy; // a late copy of a piece must not begin the whole again
        }
        self.piece(id, part, compact(frame, message), max_message, now).map_or(Accepted::Piece, Accepted::Whole)
    }

    fn piece(
        &mut self,
        id: (NodeId, u64),
        part: Part,
        frame: Frame,
        max_message: usize,
        now: Instant,
    ) -> Option<Whole> {
        let at = match self.assemblies.iter().position(|open| open.id == id) {
            Some(at) => at,
            None => {
                let assembly = Assembly::begin(frame.head, part, max_message)?;
                if self.assemblies.len() >= ASSEMBLIES {
                    self.drop_oldest();
                }
                self.bytes += assembly.bytes();
                self.assemblies.push_back(Open { id, assembly, at: now });
                self.assemblies.len() - 1
            }
        };
        self.assemblies[at].at = now;
        let assembly = &mut self.assemblies[at].assembly;
        self.bytes -= assembly.begin_anew_if_cut_differently(part);
        self.bytes += assembly.add(part, frame.packet);
        if !assembly.is_complete() {
            while self.bytes > 2 * max_message && self.assemblies.len() > 1 {
                self.drop_oldest();
            }
            return None;
        }
        let Open { assembly, .. } = self.assemblies.remove(at)?;
        self.bytes -= assembly.bytes();
        self.first(id.0, id.1).then_some(Whole::InPieces(assembly))
    }

    fn drop_oldest(&mut self) {
        if let Some(dropped) = self.assemblies.pop_front() {
            self.bytes -= dropped.assembly.bytes();
        }
    }

    /// Gives up large messages of which no piece has come for a while: whoever came in the middle of one gets no more.
    pub(crate) fn forget(&mut self, now: Instant) {
        let bytes = &mut self.bytes;
        self.assemblies.retain(|open| {
            let keep = now.saturating_duration_since(open.at) < PATIENCE;
            *bytes -= if keep { 0 } else { open.assembly.bytes() };
            keep
        });
    }

    #[cfg(test)]
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    fn first(&mut self, sender: NodeId, counter: u64) -> bool {
        self.uses += 1;
        let used = self.uses;
        let seen = self.senders.entry(sender).or_insert(Seen { newest: 0, bits: [0; WORDS], used });
        seen.used = used;
        let first = seen.first(counter);
        self.order.push_back((sender, used));
        while self.senders.len() > SENDERS || self.order.len() > 4 * SENDERS {
            let Some((sender, used)) = self.order.pop_front() else { break };
            match self.senders.get(&sender) {
                Some(seen) if seen.used == used && self.senders.len() > SENDERS => {
                    self.senders.remove(&sender);
                }
                // Still remembered although its mention is gone: mention it again, as the oldest of the new round.
                Some(seen) if seen.used == used => self.order.push_back((sender, used)),
                _ => {}
            }
        }
        first
    }
}

impl Seen {
    fn first(&mut self, counter: u64) -> bool {
        if counter > self.newest {
            if counter - self.newest >= SPAN {
                self.bits = [0; WORDS];
            } else {
                (self.newest + 1..=counter).for_each(|passed| self.set(passed, false));
            }
            self.newest = counter;
        } else if self.newest - counter >= SPAN || self.is_set(counter) {
            return false;
        }
        self.set(counter, true);
        true
    }

    fn is_new(&self, counter: u64) -> bool {
        counter > self.newest || self.newest - counter < SPAN && !self.is_set(counter)
    }

    fn is_set(&self, counter: u64) -> bool {
        let bit = counter % SPAN;
        self.bits[(bit / 64) as usize] & 1 << (bit % 64) != 0
    }

    fn set(&mut self, counter: u64, on: bool) {
        let bit = counter % SPAN;
        let (word, mask) = (&mut self.bits[(bit / 64) as usize], 1 << (bit % 64));
        if on { *word |= mask } else { *word &= !mask }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sender(n: u64) -> NodeId {
        NodeId::from_bytes(u128::from(n).to_be_bytes())
    }

    #[test]
    fn g10_one_copy_in_any_order() {
        let mut window = Window::default();
        for counter in [1, 3, 2, 900, 40, 1025, 5000, 4000, 3976] {
            let within = counter != 3976;
            assert_eq!(window.first(sender(1), counter), within, "{counter}");
            assert!(!window.first(sender(1), counter), "the copy of {counter}");
        }
        assert!(!window.first(sender(1), 1), "too old to tell");
        assert!(window.first(sender(2), 1), "another sender");
    }

    #[test]
    fn g12_remembers_a_bounded_number_of_senders_and_keeps_the_busy_ones() {
        let mut window = Window::default();
        assert!(window.first(sender(u64::MAX), 1));
        for n in 0..50_000 {
            window.first(sender(n), 1);
            assert!(!window.first(sender(u64::MAX), 1));
        }
        assert!(window.senders.len() <= SENDERS && window.order.len() <= 4 * SENDERS + 1);
    }
}
