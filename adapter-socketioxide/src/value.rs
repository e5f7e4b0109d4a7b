//! What is emitted, as bytes for other nodes.
//!
//! One tag byte, then: 0, the text of the common parser; 1, the bytes of the msgpack parser; 2, the text of the common
//! parser with binary attachments: how many, then the text and each attachment, each with its length before it
//! (64 bits, little endian). Upstream's serde form of a value writes and reads it byte by byte, for 20 times the time.

use std::collections::VecDeque;

use bytes::{BufMut, Bytes, BytesMut};
use socketioxide_core::{Str, Value};

const TEXT: u8 = 0;
const MSGPACK: u8 = 1;
const ATTACHMENTS: u8 = 2;

/// Bytes of a number.
const NUMBER: usize = size_of::<u64>();

/// Writes a value.
pub(crate) fn encode(value: &Value) -> Bytes {
    match value {
        Value::Bytes(data) => tagged(MSGPACK, data),
        Value::Str(text, Some(binaries)) if !binaries.is_empty() => with_attachments(text, binaries),
        Value::Str(text, _) => tagged(TEXT, text.as_bytes()),
    }
}

/// Reads what [`encode`] has written; `None` for anything else. Binary data is a slice of the given bytes, text is
/// copied once; nothing is allocated beyond what the bytes hold.
pub(crate) fn decode(bytes: &Bytes) -> Option<Value> {
    let (&tag, _) = bytes.split_first()?;
    let mut rest = bytes.slice(1..);
    match tag {
        TEXT => Some(Value::Str(text(&rest)?, None)),
        MSGPACK => Some(Value::Bytes(rest)),
        ATTACHMENTS => {
            let count = number(&mut rest)?;
            let first = text(&piece(&mut rest)?)?;
            // Each attachment has at least its length, so no count can ask for more room than the bytes themselves.
            if count == 0 || count > rest.len() / NUMBER {
                return None;
            }
            let binaries = (0..count).map(|_| piece(&mut rest)).collect::<Option<VecDeque<_>>>()?;
            rest.is_empty().then_some(Value::Str(first, Some(binaries)))
        }
        _ => None,
    }
}

/// Whether this is what a parser makes of an event or an answer, as far as a glance can tell. The common parser always
/// makes a JSON array, and any other text would be a frame that cuts every client.
pub(crate) fn is_list(value: &Value) -> bool {
    match value {
        Value::Str(text, _) => text.starts_with('[') && text.ends_with(']'),
        Value::Bytes(_) => true,
    }
}

fn tagged(tag: u8, data: &[u8]) -> Bytes {
    let mut bytes = BytesMut::with_capacity(1 + data.len());
    bytes.put_u8(tag);
    bytes.put_slice(data);
    bytes.freeze()
}

fn with_attachments(text: &Str, binaries: &VecDeque<Bytes>) -> Bytes {
    let pieces = || std::iter::once(text.as_bytes()).chain(binaries.iter().map(|binary| &binary[..]));
    let size = pieces().map(|piece| NUMBER + piece.len()).sum::<usize>();
    let mut bytes = BytesMut::with_capacity(1 + NUMBER + size);
    bytes.put_u8(ATTACHMENTS);
    bytes.put_u64_le(binaries.len() as u64);
    for piece in pieces() {
        bytes.put_u64_le(piece.len() as u64);
        bytes.put_slice(piece);
    }
    bytes.freeze()
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

fn text(bytes: &Bytes) -> Option<Str> {
    Some(Str::copy_from_slice(std::str::from_utf8(bytes).ok()?))
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
            (".*", attachments).prop_map(|(text, binaries): (String, _)| Value::Str(text.into(), binaries)),
        ]
    }

    proptest! {
        #[test]
        fn every_value_reads_back(value in values()) {
            prop_assert_eq!(decode(&encode(&value)), Some(value));
        }

        #[test]
        fn hostile_bytes_are_refused_or_mean_one_value(tag in 0_u8..4, body in vec(any::<u8>(), 0..80)) {
            let bytes = Bytes::from([vec![tag], body].concat());
            if let Some(value) = decode(&bytes) {
                prop_assert_eq!(encode(&value), bytes);
            }
        }

        #[test]
        fn a_value_cut_or_lengthened_is_refused(value in values(), cut in any::<prop::sample::Index>()) {
            let bytes = encode(&value);
            prop_assume!(bytes[0] == ATTACHMENTS);
            prop_assert_eq!(decode(&bytes.slice(..cut.index(bytes.len()))), None);
            prop_assert_eq!(decode(&Bytes::from([&bytes[..], &[0]].concat())), None);
        }
    }

    #[test]
    fn a_count_that_the_bytes_cannot_hold_allocates_nothing() {
        let hostile = [&[ATTACHMENTS][..], &u64::MAX.to_le_bytes(), &0_u64.to_le_bytes()].concat();
        assert_eq!(decode(&hostile.into()), None);
    }

    #[test]
    fn an_empty_list_of_attachments_is_none() {
        let value = Value::Str("[]".into(), Some(VecDeque::new()));
        assert_eq!(decode(&encode(&value)), Some(Value::Str("[]".into(), None)));
    }
}
