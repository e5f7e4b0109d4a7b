//! What SQL emits: JSON that becomes an emitter's frame here, so that installed functions outlive changes of the protocol.
//!
//! A text is `E`, an id of 32 characters, a line end, and the message: a line of JSON that says where to, then the packet.
//! A message too long for one notification comes in parts: `P`, the id, and on lines of their own the part's index, how many
//! there are, and a piece of the message in base64. The parts of one message stand together in the server's queue, since
//! they are of one transaction, so there is never more than one message in pieces.

use std::mem;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use roomcast_core::adapter::Target;
use roomcast_core::backend::EmitterFrames;
use roomcast_core::{Bytes, Namespace, Packet, Room};
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::intake::foreign;

/// The largest message that the function sends.
const LARGEST: usize = 16 << 20;

/// Turns what SQL emits into frames.
#[derive(Debug, Default)]
pub(crate) struct Emitted {
    frames: Option<EmitterFrames>,
    open: Option<Open>,
    /// A message in pieces was given up since the last text.
    given_up: bool,
}

/// A message in pieces.
#[derive(Debug)]
struct Open {
    id: String,
    next: usize,
    of: usize,
    message: Vec<u8>,
}

/// Where to.
#[derive(Deserialize)]
struct Head {
    namespace: String,
    rooms: Option<Vec<String>>,
}

impl Emitted {
    /// The frame of a text, or the text as it is if it is none of ours; nothing while a message is not complete. Before it,
    /// something foreign for a message that was begun and not completed.
    pub(crate) fn take(&mut self, text: &str) -> impl Iterator<Item = Bytes> + use<> {
        let message = self.message(text);
        let given_up = mem::take(&mut self.given_up).then(|| foreign("P"));
        given_up.into_iter().chain(message)
    }

    fn message(&mut self, text: &str) -> Option<Bytes> {
        let message = match text.split_at_checked(1) {
            Some(("E", rest)) => rest.split_once('\n').map(|(_, message)| message.as_bytes().to_vec()),
            Some(("P", rest)) => match self.part(rest) {
                Some(None) => return None,
                other => other.flatten(),
            },
            _ => None,
        };
        Some(message.and_then(|message| self.frame(&message)).unwrap_or_else(|| foreign(text)))
    }

    /// The message when this was its last part, else nothing; `None` when there is no such part.
    fn part(&mut self, text: &str) -> Option<Option<Vec<u8>>> {
        let mut lines = text.splitn(4, '\n');
        let id = lines.next()?;
        let (index, of): (usize, usize) = (lines.next()?.parse().ok()?, lines.next()?.parse().ok()?);
        let piece = STANDARD.decode(lines.next()?).ok()?;
        // Whatever does not go on where it stopped ends it: the rest is not coming any more.
        let goes_on = |open: &Open| {
            open.id == id && open.next == index && open.of == of && open.message.len() + piece.len() <= LARGEST
        };
        let before = self.open.take();
        let begun = (index == 0).then(|| Open { id: id.to_owned(), next: 0, of, message: Vec::new() });
        let going = before.is_some();
        let open = begun.or(before).filter(|open| !piece.is_empty() && goes_on(open));
        self.given_up = going && (index == 0 || open.is_none());
        let mut open = open?;
        open.message.extend_from_slice(&piece);
        open.next += 1;
        if open.next >= of {
            return Some(Some(open.message));
        }
        self.open = Some(open);
        Some(None)
    }

    fn frame(&mut self, message: &[u8]) -> Option<Bytes> {
        let (head, packet) = std::str::from_utf8(message).ok()?.split_once('\n')?;
        let Head { namespace, rooms } = serde_json::from_str(head).ok()?;
        let rooms = rooms.map(|rooms| rooms.into_iter().map(Room::new).collect::<Result<Vec<_>, _>>());
        let target = rooms.transpose().ok()?.map_or_else(Target::everyone, Target::rooms);
        serde_json::from_str::<(String, IgnoredAny)>(packet)
            .map(drop)
            .or_else(|_| serde_json::from_str::<(String,)>(packet).map(drop))
            .ok()?;
        if self.frames.is_none() {
            self.frames = EmitterFrames::new().ok();
        }
        let packet = Packet::new(roomcast_core::PacketFormat::Event, Bytes::copy_from_slice(packet.as_bytes()));
        Some(self.frames.as_mut()?.broadcast(Namespace::new(namespace).ok()?, target, packet))
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
        let whole = Emitted::default().take(&format!("Eid\n{MESSAGE}")).next().expect("a frame");
        assert!(whole.starts_with(b"RC") && whole.ends_with(b"[\"news\", {\"a\": 1}]"));
        for of in [1, 2, 5, MESSAGE.len()] {
            let mut emitted = Emitted::default();
            let size = MESSAGE.len().div_ceil(of);
            let pieces: Vec<_> =
                MESSAGE.as_bytes().chunks(size).map(|piece| std::str::from_utf8(piece).expect("ASCII")).collect();
            for (index, piece) in pieces.iter().enumerate() {
                let taken: Vec<_> = emitted.take(&part("id", index, pieces.len(), piece)).collect();
                assert_eq!(taken.len(), usize::from(index + 1 == pieces.len()));
                assert!(taken.iter().all(|frame| frame.len() == whole.len()));
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
            "Pid\n0\n2\n",
            "Pid\n1\n2\nYQ==",
            "Pid\n0\n99999999999999999999\nYQ==",
            "Pid\n0\n1\nYQ",
        ];
        for text in bad {
            assert_eq!(Emitted::default().take(text).collect::<Vec<_>>(), [text], "{text:?}");
        }
    }

    #[test]
    fn parts_that_do_not_go_on_are_given_up_counted_and_bounded() {
        let mut emitted = Emitted::default();
        let mut foreign = |id, index, of, piece: &str| emitted.take(&part(id, index, of, piece)).count();
        assert_eq!(foreign("a", 0, 3, "x"), 0);
        assert_eq!(foreign("a", 0, 3, "x"), 1, "the first");
        assert_eq!(foreign("a", 1, 3, "x"), 0);
        assert_eq!(foreign("b", 1, 3, "x"), 2, "of another message, and that which it ended");
        assert_eq!(foreign("a", 1, 3, "x"), 1, "of the one that was ended");
        let megabyte = "x".repeat(1 << 20);
        let kept = (0..100).take_while(|index| foreign("c", *index, 1000, &megabyte) == 0).count();
        assert_eq!((kept, emitted.open.is_none()), (16, true));
    }
}
