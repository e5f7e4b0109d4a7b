//! An event as data: JSON, with binary data beside it.

use bytes::{BufMut, Bytes, BytesMut};
use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};

use crate::model::{Error, Packet, PacketFormat};

/// An event that every kind of server can read: its JSON, and its binary data beside it.
///
/// [`Packet::event_data`] makes it of a packet, and [`Packet::from`] makes the packet.
///
/// # Examples
/// ```
/// use adapter_core::{Bytes, EventData, Packet};
///
/// let json = r#"["file",{"_placeholder":true,"num":0},"cat.png"]"#;
/// let packet = Packet::from(EventData { json: json.into(), attachments: vec![Bytes::from_static(b"\x89PNG")] });
/// assert_eq!(packet.event_data().expect("an event").attachments[0], b"\x89PNG"[..]);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventData {
    /// A JSON array of the event's name and its arguments. Where an argument is or holds binary data, the JSON has
    /// Socket.IO's placeholder `{"_placeholder":true,"num":0}`, in which `num` is the index in `attachments`.
    ///
    /// This type does not check it. A server checks the events that it receives from other nodes.
    pub json: Bytes,
    /// The binary data.
    pub attachments: Vec<Bytes>,
}

/// Bytes of a number.
const NUMBER: usize = size_of::<u64>();

impl EventData {
    /// An event with one argument. Whatever the argument serializes as bytes becomes an attachment.
    ///
    /// # Errors
    /// `Config` when the argument has no JSON form, such as a map whose keys are no strings.
    pub(super) fn new(name: &str, argument: impl Serialize) -> Result<Self, Error> {
        let (mut json, mut attachments) = (Vec::new(), Vec::new());
        let mut serializer = Serializer::with_formatter(&mut json, Attaching(&mut attachments));
        (name, argument)
            .serialize(&mut serializer)
            .map_err(|cause| Error::config("the event's argument has no JSON form").with_source(cause))?;
        Ok(Self { json: json.into(), attachments })
    }

    /// Reads the bytes of a [`PacketFormat::BinaryEvent`]. The parts are slices of them; nothing is allocated beyond what the
    /// bytes hold.
    pub(super) fn decode(data: &Bytes) -> Option<Self> {
        let mut rest = data.clone();
        let count = number(&mut rest)?;
        let json = piece(&mut rest)?;
        // Each attachment has at least its length, so no count can ask for more than the bytes themselves.
        if count == 0 || count > rest.len() / NUMBER {
            return None;
        }
        let attachments = (0..count).map(|_| piece(&mut rest)).collect::<Option<Vec<_>>>()?;
        rest.is_empty().then_some(Self { json, attachments })
    }

    fn encode(&self) -> Bytes {
        let pieces = || std::iter::once(&self.json).chain(&self.attachments);
        let size = pieces().map(|piece| NUMBER + piece.len()).sum::<usize>();
        let mut bytes = BytesMut::with_capacity(NUMBER + size);
        bytes.put_u64_le(self.attachments.len() as u64);
        for piece in pieces() {
            bytes.put_u64_le(piece.len() as u64);
            bytes.put_slice(piece);
        }
        bytes.freeze()
    }
}

impl From<EventData> for Packet {
    /// A [`PacketFormat::Event`], or a [`PacketFormat::BinaryEvent`] if there are attachments.
    fn from(event: EventData) -> Self {
        if event.attachments.is_empty() {
            return Self::new(PacketFormat::Event, event.json);
        }
        Self::new(PacketFormat::BinaryEvent, event.encode())
    }
}

fn number(rest: &mut Bytes) -> Option<usize> {
    let number = u64::from_le_bytes(*rest.first_chunk()?);
    *rest = rest.slice(NUMBER..);
    usize::try_from(number).ok()
}

fn piece(rest: &mut Bytes) -> Option<Bytes> {
    let length = number(rest)?;
    (length <= rest.len()).then(|| rest.split_to(length))
}

/// Writes compact JSON, with a placeholder for what is bytes.
struct Attaching<'a>(&'a mut Vec<Bytes>);

impl Formatter for Attaching<'_> {
    fn write_byte_array<W: ?Sized + std::io::Write>(&mut self, writer: &mut W, value: &[u8]) -> std::io::Result<()> {
        let index = self.0.len();
        self.0.push(Bytes::copy_from_slice(value));
        write!(writer, r#"{{"_placeholder":true,"num":{index}}}"#)
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    const PLACEHOLDERS: &str = r#"["file",[{"_placeholder":true,"num":0},"cat",{"_placeholder":true,"num":1}]]"#;

    #[test]
    fn what_serializes_as_bytes_is_attached() {
        let (one, two) = (Bytes::from_static(b"\0\xff"), Bytes::new());
        let packet = Packet::event("file", (&one, "cat", &two)).expect("JSON");
        assert_eq!(packet.format, PacketFormat::BinaryEvent);
        let event = packet.event_data().expect("an event");
        assert_eq!(event, EventData { json: PLACEHOLDERS.into(), attachments: vec![one, two] });
        assert_eq!(Packet::from(event), packet);
    }

    /// PROTOCOL.md says the same.
    #[test]
    fn the_bytes_of_a_binary_event() {
        let packet = Packet::from(EventData { json: "[\"a\"]".into(), attachments: vec![Bytes::from_static(b"\xff")] });
        let expected =
            [&[1, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0][..], b"[\"a\"]", &[1, 0, 0, 0, 0, 0, 0, 0, 0xff]];
        assert_eq!(packet.data, expected.concat());
    }

    #[test]
    fn only_events_have_event_data() {
        let event = Packet::new(PacketFormat::Event, "[\"a\"]").event_data().expect("an event");
        assert_eq!((&event.json[..], event.attachments.len()), (&b"[\"a\"]"[..], 0));
        assert_eq!(Packet::opaque("[\"a\"]").event_data(), None);
        assert_eq!(Packet::new(PacketFormat::Other(9), "[\"a\"]").event_data(), None);
    }

    #[test]
    fn a_count_that_the_bytes_cannot_hold_allocates_nothing() {
        let hostile = [u64::MAX.to_le_bytes(), 0_u64.to_le_bytes()].concat();
        assert_eq!(EventData::decode(&hostile.into()), None);
    }

    proptest! {
        #[test]
        fn every_event_reads_back(json in ".*", attachments in vec(vec(any::<u8>(), 0..64), 0..5)) {
            let event = EventData { json: json.into(), attachments: attachments.into_iter().map(Bytes::from).collect() };
            prop_assert_eq!(Packet::from(event.clone()).event_data(), Some(event));
        }

        #[test]
        fn hostile_bytes_are_refused_or_mean_one_event(bytes in vec(any::<u8>(), 0..80)) {
            let bytes = Bytes::from(bytes);
            if let Some(event) = EventData::decode(&bytes) {
                prop_assert_eq!(event.encode(), bytes);
            }
        }

        #[test]
        fn an_event_cut_or_lengthened_is_refused(binary in vec(any::<u8>(), 0..64), cut in any::<prop::sample::Index>()) {
            let bytes = EventData { json: "[]".into(), attachments: vec![binary.into()] }.encode();
            prop_assert_eq!(EventData::decode(&bytes.slice(..cut.index(bytes.len()))), None);
            prop_assert_eq!(EventData::decode(&Bytes::from([&bytes[..], &[0]].concat())), None);
        }
    }
}
