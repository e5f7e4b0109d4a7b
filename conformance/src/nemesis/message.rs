//! What nodes send each other.

use super::history::Run;

/// What a packet says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Message {
    /// The number, to all.
    ToAll(Run, u64),
    /// To the room of this round, whose guest has joined it.
    Inside(Run, u64),
    /// To the same room, which the guest has left.
    Outside(Run, u64),
    /// The sender's last message to all.
    End(Run),
    /// The sender's last message to guests.
    EndToGuests(Run),
}

impl Message {
    /// As text of this many bytes, or a few more.
    pub(crate) fn padded(self, size: usize) -> Vec<u8> {
        let mut text = match self {
            Self::ToAll(from, n) => format!("all {from} {n} "),
            Self::Inside(from, round) => format!("in {from} {round} "),
            Self::Outside(from, round) => format!("out {from} {round} "),
            Self::End(from) => format!("end {from} 0 "),
            Self::EndToGuests(from) => format!("end-guests {from} 0 "),
        }
        .into_bytes();
        text.resize(text.len().max(size), b'.');
        text
    }

    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        // The padding may be long, and is not looked at.
        let mut words = bytes.splitn(4, |byte| *byte == b' ').map_while(|word| std::str::from_utf8(word).ok());
        let (kind, from) = (words.next()?, words.next()?.parse().ok()?);
        let number = words.next()?.parse().ok()?;
        Some(match kind {
            "all" => Self::ToAll(from, number),
            "in" => Self::Inside(from, number),
            "out" => Self::Outside(from, number),
            "end" => Self::End(from),
            "end-guests" => Self::EndToGuests(from),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Message, Run};

    #[test]
    fn it_is_read_as_it_was_written() {
        let run = Run { node: 3, start: 1 };
        let ends = [Message::End(run), Message::EndToGuests(run)];
        let others = [Message::ToAll(run, 17), Message::Inside(run, 0), Message::Outside(run, 9)];
        for message in others.into_iter().chain(ends) {
            for size in [0, 64, 100_000] {
                let bytes = message.padded(size);
                assert!(bytes.len() >= size);
                assert_eq!(Message::parse(&bytes), Some(message));
            }
        }
        assert_eq!(Message::parse(b"all 3.1"), None);
        assert_eq!(Message::parse(b"\xff"), None);
    }
}
