//! What is notified, on its way into the inbox.

use std::sync::Arc;

use roomcast_core::Bytes;
use roomcast_core::backend::{Inbox, Pulse, SevenBit};

use crate::emitted::Emitted;

/// So many characters stand before a frame's own.
pub(crate) const HEAD: usize = 4;
/// The first of them.
const FRAME: char = 'F';

/// The text of the frame in this place of a transaction. PostgreSQL delivers one of equal texts, so its head counts the places.
pub(crate) fn encode(place: usize, frame: &[u8]) -> String {
    let digit = |place: usize| char::from((place % 127 + 1) as u8);
    let mut text = String::with_capacity(HEAD + frame.len() * 6 / 5 + 8);
    text.extend([FRAME, digit(place), digit(place / 127), digit(place / (127 * 127))]);
    SevenBit::encode(frame, &mut text);
    text
}

/// The frame of a text; `None` for what is none of a node's.
fn decode(text: &str) -> Option<Bytes> {
    SevenBit::decode(text.strip_prefix(FRAME)?.get(HEAD - 1..)?)
}

/// Takes what one connection hears.
pub(crate) struct Intake {
    inbox: Inbox,
    pulse: Arc<Pulse>,
    emitted: Emitted,
}

impl Intake {
    pub(crate) fn new(inbox: Inbox, pulse: Arc<Pulse>) -> Self {
        Self { inbox, pulse, emitted: Emitted::default() }
    }

    /// Hands over a notification; waits while the inbox is full.
    pub(crate) async fn take(&mut self, channel: &str, text: &str) {
        self.pulse.arrived(text.len().max(1));
        let frame = decode(text).or_else(|| self.emitted.take(text));
        // Something that is none of ours, for a message that was begun and is not completed: the core counts it.
        let given_up = std::mem::take(&mut self.emitted.given_up).then(|| Bytes::from_static(b"P"));
        for frame in given_up.into_iter().chain(frame) {
            while self.inbox.frame(channel, frame.clone()).is_err() {
                self.pulse.pause();
                self.inbox.ready().await;
                self.pulse.resume();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_frames_differ_by_their_place_and_come_back() {
        let texts: std::collections::HashSet<_> = (0..50_000).map(|place| encode(place, b"same")).collect();
        assert_eq!(texts.len(), 50_000);
        assert!(texts.iter().all(|text| decode(text).as_deref() == Some(b"same")));
        let largest = SevenBit::capacity(7_999 - HEAD);
        assert_eq!((largest, encode(usize::MAX, &vec![0xff; largest]).len() <= 7_999), (6_940, true));
    }

    #[test]
    fn what_is_none_of_ours_is_nothing() {
        for text in ["", "F", "Fabc", "Fabü", "Fabc\u{5}", "Gabc\u{1}", "Fabc\u{2}ü"] {
            assert_eq!(decode(text), None, "{text:?}");
        }
        assert_eq!(decode("Fabc\u{1}").as_deref(), Some(&[][..]));
    }
}
