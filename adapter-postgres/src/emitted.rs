//! What SQL emits: JSON that becomes an emitter's frame here, so that installed functions outlive changes of the protocol.
//!
//! A text is `E`, an id of 32 characters, a line end, and the message: a line of JSON that says where to, then the packet.
//! A message too long for one notification comes in parts: `P`, the id, and on lines of their own the part's index, how many
//! there are, and a piece of the message in base64. The parts of one message stand together in the server's queue, since
//! they are of one transaction, so there is never more than one message in pieces.

use base64::prelude::{BASE64_STANDARD as STANDARD, Engine};
use roomcast_core::Bytes;
use roomcast_core::backend::EmitterFrames;

/// The largest message that the function sends.
const LARGEST: usize = 16 << 20;

/// Turns what SQL emits into frames.
#[derive(Debug, Default)]
pub(crate) struct Emitted {
    frames: Option<EmitterFrames>,
    open: Option<Open>,
    /// A message in pieces was given up by the last text.
    pub(crate) given_up: bool,
}

/// A message in pieces, as far as it has come.
#[derive(Debug)]
struct Open {
    id: String,
    next: usize,
    of: usize,
    message: Vec<u8>,
}

impl Emitted {
    /// The frame of a text; nothing while a message is not complete. What is none of ours goes on as it is: the core counts it.
    pub(crate) fn take(&mut self, text: &str) -> Option<Bytes> {
        let message = match text.split_at_checked(1) {
            Some(("E", rest)) => rest.split_once('\n').map(|(_, message)| message.as_bytes().to_vec()),
            Some(("P", rest)) => match self.part(rest) {
                Some(open) if open.next < open.of => {
                    self.open = Some(open);
                    return None;
                }
                complete => complete.map(|complete| complete.message),
            },
            _ => None,
        };
        let frame = message.and_then(|message| self.frame(&message));
        Some(frame.unwrap_or_else(|| Bytes::copy_from_slice(text.as_bytes())))
    }

    /// The message with this part, if the part begins one or goes on where the last one stopped. Any other ends the message that
    /// was open: its rest is not coming any more.
    fn part(&mut self, text: &str) -> Option<Open> {
        let before = self.open.take();
        self.given_up = before.is_some();
        let mut lines = text.splitn(4, '\n');
        let id = lines.next()?;
        let (index, of): (usize, usize) = (lines.next()?.parse().ok()?, lines.next()?.parse().ok()?);
        let piece = STANDARD.decode(lines.next()?).ok().filter(|piece| !piece.is_empty())?;
        let mut open = match index {
            0 => Open { id: id.to_owned(), next: 0, of, message: Vec::new() },
            _ => before.filter(|open| open.id == id && open.of == of && open.next == index)?,
        };
        self.given_up &= index == 0;
        open.message.extend(piece);
        open.next += 1;
        Some(open).filter(|open| open.message.len() <= LARGEST)
    }

    fn frame(&mut self, message: &[u8]) -> Option<Bytes> {
        if self.frames.is_none() {
            self.frames = EmitterFrames::new().ok();
        }
        self.frames.as_mut()?.broadcast_json(std::str::from_utf8(message).ok()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MESSAGE: &str = "{\"namespace\": \"/chat\", \"rooms\": [\"a\"]}\n[\"news\", {\"a\": 1}]";

    fn part(id: &str, index: usize, of: usize, piece: &str) -> String {
        format!("P{id}\n{index}\n{of}\n{}", STANDARD.encode(piece))
    }

    #[test]
    fn a_message_is_a_frame_however_it_is_cut() {
        let whole = Emitted::default().take(&format!("Eid\n{MESSAGE}")).expect("a frame");
        assert!(whole.starts_with(b"RC") && whole.ends_with(b"[\"news\", {\"a\": 1}]"));
        for of in [1, 2, 5, MESSAGE.len()] {
            let mut emitted = Emitted::default();
            let size = MESSAGE.len().div_ceil(of);
            let pieces: Vec<_> =
                MESSAGE.as_bytes().chunks(size).map(|piece| std::str::from_utf8(piece).expect("ASCII")).collect();
            for (index, piece) in pieces.iter().enumerate() {
                let taken = emitted.take(&part("id", index, pieces.len(), piece)).map(|frame| frame.len());
                assert_eq!(taken, (index + 1 == pieces.len()).then_some(whole.len()));
            }
        }
    }

    #[test]
    fn what_is_none_of_ours_goes_on_as_it_is() {
        let bad = [
            "",
            "hello",
            "ü",
            "E",
            "Eid",
            "Eid\n{}\n[\"a\"]",
            "Eid\n{\"namespace\":\"/\"}\n{\"a\":1}",
            "Eid\n{\"namespace\":\"/\"}\n[]",
            "Eid\n{\"namespace\":\"/\"}\n[1]",
            "Eid\n{\"namespace\":\"\"}\n[\"a\"]",
            "Eid\n{\"namespace\":\"/\",\"rooms\":[\"\"]}\n[\"a\"]",
            "P",
            "Pid\n1\n2\nYQ==",
            "Pid\n0\n99999999999999999999\nYQ==",
            "Pid\n0\n1\nYQ",
        ];
        for text in bad {
            assert_eq!(Emitted::default().take(text).as_deref(), Some(text.as_bytes()), "{text:?}");
        }
    }

    #[test]
    fn parts_that_do_not_go_on_are_given_up_counted_and_bounded() {
        let mut emitted = Emitted::default();
        let mut foreign = |id, index, of, piece: &str| {
            let taken = emitted.take(&part(id, index, of, piece));
            usize::from(taken.is_some()) + usize::from(emitted.given_up)
        };
        assert_eq!(foreign("a", 0, 3, "x"), 0);
        assert_eq!(foreign("a", 0, 3, "x"), 1, "the first");
        assert_eq!(foreign("a", 1, 3, "x"), 0);
        assert_eq!(foreign("b", 2, 3, "x"), 2, "of another message, and that which it ended");
        assert_eq!(foreign("a", 2, 3, "x"), 1, "of the one that was ended");
        assert_eq!(foreign("a", 0, 3, "x"), 0);
        assert_eq!(foreign("a", 1, 4, "x"), 2, "of as many as before");
        assert_eq!(foreign("a", 0, 3, ""), 1, "an empty one");
        let megabyte = "x".repeat(1 << 20);
        let kept = (0..100).take_while(|index| foreign("c", *index, 1000, &megabyte) == 0).count();
        assert_eq!((kept, emitted.open.is_none()), (16, true));
    }
}
