//! What is emitted and answered, as other nodes get it.
//!
//! What the common parser makes of an event is an event to the core, too, so every kind of server can read it. What the
//! msgpack parser makes of one is opaque to all but socketioxide: the tag 1, then its bytes.
//!
//! An answer has no format beside it. The text of the common parser is sent as it is, a JSON array of the answer's arguments. The
//! tag 1 is before the bytes of the msgpack parser; the tag 2 is before text with attachments, which are as in an event.

use std::collections::VecDeque;

use bytes::{BufMut, Bytes, BytesMut};
use roomcast_core::{EventData, Packet, PacketFormat};
use socketioxide_core::{Str, Value};

const MSGPACK: u8 = 1;
const ATTACHMENTS: u8 = 2;

/// The packet of an event.
pub(crate) fn packet(value: &Value) -> Packet {
    match value {
        Value::Bytes(data) => Packet::opaque(tagged(MSGPACK, data)),
        Value::Str(text, binaries) => event(text, binaries.as_ref()).into(),
    }
}

/// The value of an opaque packet that [`packet`] has made; `None` for another one.
pub(crate) fn of_opaque(data: &Bytes) -> Option<Value> {
    (data.first() == Some(&MSGPACK)).then(|| Value::Bytes(data.slice(1..)))
}

/// Writes an answer.
pub(crate) fn answer(value: &Value) -> Bytes {
    match value {
        Value::Bytes(data) => tagged(MSGPACK, data),
        Value::Str(text, Some(binaries)) if !binaries.is_empty() => {
            tagged(ATTACHMENTS, &Packet::from(event(text, Some(binaries))).data)
        }
        Value::Str(text, _) => text.clone().into(),
    }
}

/// Reads what [`answer`] has written, or another server's JSON array; `None` for anything else. Binary data is a slice of
/// the given bytes, text is copied once.
pub(crate) fn of_answer(data: &Bytes) -> Option<Value> {
    match *data.first()? {
        MSGPACK => Some(Value::Bytes(data.slice(1..))),
        ATTACHMENTS => {
            let EventData { json, attachments } =
                Packet::new(PacketFormat::BinaryEvent, data.slice(1..)).event_data()?;
            Some(Value::Str(list(&json)?, Some(attachments.into())))
        }
        _ => Some(Value::Str(list(data)?, None)),
    }
}

fn event(text: &Str, binaries: Option<&VecDeque<Bytes>>) -> EventData {
    let attachments = binaries.into_iter().flatten().cloned().collect();
    EventData { json: text.clone().into(), attachments }
}

fn tagged(tag: u8, data: &[u8]) -> Bytes {
    let mut bytes = BytesMut::with_capacity(1 + data.len());
    bytes.put_u8(tag);
    bytes.put_slice(data);
    bytes.freeze()
}

/// A JSON array, as far as a glance can tell: the parser that decodes it finds out the rest.
fn list(text: &Bytes) -> Option<Str> {
    let text = std::str::from_utf8(text).ok()?;
    (text.starts_with('[') && text.ends_with(']')).then(|| Str::copy_from_slice(text))
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn values() -> impl Strategy<Value = Value> {
        let bytes = || vec(any::<u8>(), 0..64).prop_map(Bytes::from);
        let attachments = prop_oneof![Just(None), vec(bytes(), 1..5).prop_map(|all| Some(all.into()))];
        prop_oneof![
            bytes().prop_map(Value::Bytes),
            (".*", attachments).prop_map(|(text, binaries)| Value::Str(format!("[{text}]").into(), binaries)),
        ]
    }

    proptest! {
        #[test]
        fn every_answer_reads_back(value in values()) {
            prop_assert_eq!(of_answer(&answer(&value)), Some(value));
        }

        #[test]
        fn every_packet_is_an_event_or_of_msgpack(value in values()) {
            let packet = packet(&value);
            match value {
                Value::Bytes(_) => prop_assert_eq!(of_opaque(&packet.data), Some(value)),
                Value::Str(text, binaries) => {
                    let event = packet.event_data().expect("an event");
                    prop_assert_eq!(&event.json[..], text.as_bytes());
                    prop_assert_eq!(event.attachments, Vec::from(binaries.unwrap_or_default()));
                }
            }
        }

        #[test]
        fn hostile_bytes_are_refused_or_mean_one_answer(tag in 0_u8..4, body in vec(any::<u8>(), 0..80)) {
            let bytes = Bytes::from([vec![tag], body].concat());
            if let Some(value) = of_answer(&bytes) {
                prop_assert_eq!(answer(&value), bytes);
            }
        }
    }

    #[test]
    fn an_empty_list_of_attachments_is_none() {
        let value = Value::Str("[]".into(), Some(VecDeque::new()));
        assert_eq!(of_answer(&answer(&value)), Some(Value::Str("[]".into(), None)));
    }

    #[test]
    fn an_answer_of_another_server_is_a_json_array() {
        assert_eq!(of_answer(&Bytes::from_static(b"[1]")), Some(Value::Str("[1]".into(), None)));
        for bad in ["", "1", "{}", "[1", "\0[1]"] {
            assert_eq!(of_answer(&Bytes::from_static(bad.as_bytes())), None, "{bad:?}");
        }
    }
}
