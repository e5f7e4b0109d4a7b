//! The parsers of socketioxide, and how what one has encoded is put into the words of another.

use bytes::Bytes;
use serde::Deserialize;
use serde::de::IgnoredAny;
use socketioxide_core::adapter::{CoreLocalAdapter, SocketEmitter};
use socketioxide_core::parser::Parse;
use socketioxide_core::{Str, Value};

/// How deep arrays and maps may be nested in what is translated; serde_json has the same limit.
const MAX_DEPTH: usize = 128;

/// What a namespace's parser encodes to, and all that it may be given: the common parser panics when it is given
/// msgpack, and the msgpack parser makes frames of text that cut its clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// JSON text, with binary attachments beside it.
    Common,
    /// msgpack.
    Msgpack,
}

impl Dialect {
    /// The one that these sockets speak.
    pub(crate) fn of<E: SocketEmitter>(local: &CoreLocalAdapter<E>) -> Self {
        match local.parser().encode_default(&()) {
            Ok(Value::Bytes(_)) => Self::Msgpack,
            _ => Self::Common,
        }
    }

    /// The same value in this dialect; `None` if it cannot be said in it. A value of this dialect is passed as it is.
    pub(crate) fn adopt(self, value: Value) -> Option<Value> {
        match (self, value) {
            (Self::Common, Value::Bytes(data)) => Some(Value::Str(to_text(&data)?.into(), None)),
            (Self::Msgpack, Value::Str(text, None)) => Some(Value::Bytes(to_msgpack(text.as_bytes())?)),
            (Self::Msgpack, Value::Str(_, Some(_))) => None,
            (_, own) => Some(own),
        }
    }

    /// An event of an emitter, in this dialect; `None` if it is not a JSON array that begins with the event's name.
    /// It may come from anybody who can write to the broker, so it is checked: one bad frame cuts every client.
    pub(crate) fn event(self, json: &Bytes) -> Option<Value> {
        let text = std::str::from_utf8(json).ok()?;
        let first = text.trim_start().strip_prefix('[')?.trim_start();
        serde_json::from_str::<IgnoredAny>(text).ok()?;
        if !first.starts_with('"') {
            return None;
        }
        match self {
            Self::Common => Some(Value::Str(Str::copy_from_slice(text), None)),
            Self::Msgpack => Some(Value::Bytes(to_msgpack(json)?)),
        }
    }
}

fn to_msgpack(json: &[u8]) -> Option<Bytes> {
    let list = serde_json::from_slice::<Vec<serde_json::Value>>(json).ok()?;
    rmp_serde::to_vec_named(&list).ok().map(Bytes::from)
}

/// Binary data and maps with keys that are no strings have no JSON form, so a value with them is `None`.
fn to_text(msgpack: &[u8]) -> Option<String> {
    let mut reader = rmp_serde::Deserializer::from_read_ref(msgpack);
    reader.set_max_depth(MAX_DEPTH);
    let list = Vec::<serde_json::Value>::deserialize(&mut reader).ok()?;
    serde_json::to_string(&list).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const JSON: &str = r#"["news",{"a":[1,-2,2.5,null,true],"b":"ü"}]"#;

    fn text(json: &str) -> Value {
        Value::Str(json.to_owned().into(), None)
    }

    fn msgpack(value: impl serde::Serialize) -> Value {
        Value::Bytes(rmp_serde::to_vec_named(&value).expect("encodes").into())
    }

    #[test]
    fn what_has_no_binary_is_translated_both_ways() {
        let there = Dialect::Msgpack.adopt(text(JSON)).expect("translated");
        assert!(matches!(there, Value::Bytes(_)));
        assert_eq!(Dialect::Common.adopt(there), Some(text(JSON)));
    }

    #[test]
    fn binary_is_refused_both_ways() {
        let binary = Value::Str(r#"["a",{"_placeholder":true,"num":0}]"#.into(), Some(vec![Bytes::new()].into()));
        assert_eq!(Dialect::Msgpack.adopt(binary.clone()), None);
        assert_eq!(Dialect::Common.adopt(msgpack(("a", Bytes::from_static(b"\xff")))), None);
        assert_eq!(Dialect::Common.adopt(binary.clone()), Some(binary));
    }

    #[test]
    fn an_event_is_a_json_array_that_begins_with_a_name() {
        for dialect in [Dialect::Common, Dialect::Msgpack] {
            for fine in [JSON, " [ \"a\" ] ", r#"["a",[[]]]"#] {
                let value = dialect.event(&Bytes::copy_from_slice(fine.as_bytes()));
                assert_eq!(matches!(value, Some(Value::Str(..))), dialect == Dialect::Common);
                assert!(value.is_some(), "{fine}");
            }
            for bad in ["", "[]", "[1]", "{}", "[\"a\"", "[\"a\"]x", "\"a\"", "[\"\\x\"]"] {
                assert_eq!(dialect.event(&Bytes::copy_from_slice(bad.as_bytes())), None, "{bad}");
            }
            assert_eq!(dialect.event(&Bytes::from_static(b"[\"\xff\"]")), None);
        }
    }

    #[test]
    fn depth_is_bounded() {
        let deep = [vec![0x91; 5_000], vec![0x90]].concat();
        assert_eq!(Dialect::Common.adopt(Value::Bytes(deep.into())), None);
        let deep = format!("{}{}", "[".repeat(5_000), "]".repeat(5_000));
        assert_eq!(Dialect::Msgpack.adopt(text(&deep)), None);
    }

    proptest! {
        #[test]
        fn hostile_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let bytes = Bytes::from(bytes);
            let translated = Dialect::Common.adopt(Value::Bytes(bytes.clone()));
            prop_assert!(!matches!(translated, Some(Value::Bytes(_))));
            let _ = (Dialect::Common.event(&bytes), Dialect::Msgpack.event(&bytes));
        }
    }
}
