//! The parsers of socketioxide, and how what one has encoded is put into the words of another.

use bytes::Bytes;
use roomcast_core::EventData;
use serde::de::IgnoredAny;
use serde::ser::Error;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value as Json;
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
            (Self::Msgpack, Value::Str(text, binaries)) => {
                Some(Value::Bytes(to_msgpack(text.as_bytes(), &Vec::from(binaries.unwrap_or_default()))?))
            }
            (_, own) => Some(own),
        }
    }

    /// An event, in this dialect; `None` if it is not a JSON array that begins with the event's name, or has a placeholder for
    /// an attachment that is not there. Anybody who can publish on the broker can send one, so it is checked: a bad one
    /// disconnects every client.
    pub(crate) fn event(self, EventData { json, attachments }: EventData) -> Option<Value> {
        let text = std::str::from_utf8(&json).ok()?;
        let first = text.trim_start().strip_prefix('[')?.trim_start();
        serde_json::from_str::<IgnoredAny>(text).ok()?;
        if !first.starts_with('"') {
            return None;
        }
        match self {
            Self::Common if attachments.is_empty() => Some(Value::Str(Str::copy_from_slice(text), None)),
            Self::Common => {
                let complete = complete(&serde_json::from_str(text).ok()?, &attachments);
                complete.then(|| Value::Str(Str::copy_from_slice(text), Some(attachments.into())))
            }
            Self::Msgpack => Some(Value::Bytes(to_msgpack(&json, &attachments)?)),
        }
    }
}

/// Without attachments nothing is a placeholder.
fn to_msgpack(json: &[u8], attachments: &[Bytes]) -> Option<Bytes> {
    let list = Json::Array(serde_json::from_slice(json).ok()?);
    let bytes = match attachments {
        [] => rmp_serde::to_vec_named(&list),
        some => rmp_serde::to_vec_named(&Attached(&list, some)),
    };
    bytes.ok().map(Bytes::from)
}

/// Whether every placeholder has its attachment.
fn complete(json: &Json, attachments: &[Bytes]) -> bool {
    match json {
        placeholder if is_placeholder(placeholder) => attachment(placeholder, attachments).is_some(),
        Json::Array(items) => items.iter().all(|item| complete(item, attachments)),
        Json::Object(fields) => fields.values().all(|field| complete(field, attachments)),
        _ => true,
    }
}

fn is_placeholder(json: &Json) -> bool {
    json.get("_placeholder") == Some(&Json::Bool(true))
}

fn attachment<'a>(placeholder: &Json, attachments: &'a [Bytes]) -> Option<&'a Bytes> {
    attachments.get(usize::try_from(placeholder.get("num")?.as_u64()?).ok()?)
}

/// JSON with the attachments in the places of their placeholders.
struct Attached<'a>(&'a Json, &'a [Bytes]);

impl Serialize for Attached<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(json, attachments) = *self;
        match json {
            placeholder if is_placeholder(placeholder) => match attachment(placeholder, attachments) {
                Some(binary) => serializer.serialize_bytes(binary),
                None => Err(S::Error::custom("a placeholder without its attachment")),
            },
            Json::Array(items) => serializer.collect_seq(items.iter().map(|item| Self(item, attachments))),
            Json::Object(fields) => {
                serializer.collect_map(fields.iter().map(|(name, field)| (name, Attached(field, attachments))))
            }
            plain => plain.serialize(serializer),
        }
    }
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

    fn plain(json: impl AsRef<[u8]>) -> EventData {
        EventData { json: Bytes::copy_from_slice(json.as_ref()), attachments: Vec::new() }
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
    fn binary_is_translated_to_msgpack_and_refused_from_it() {
        let data = Bytes::from_static(b"\xff");
        let binary = Value::Str(r#"["a",{"_placeholder":true,"num":0}]"#.into(), Some(vec![data.clone()].into()));
        assert_eq!(Dialect::Msgpack.adopt(binary.clone()), Some(msgpack(("a", &data))));
        assert_eq!(Dialect::Common.adopt(msgpack(("a", &data))), None);
        assert_eq!(Dialect::Common.adopt(binary.clone()), Some(binary));
    }

    #[test]
    fn an_event_has_all_that_its_placeholders_stand_for() {
        let data = Bytes::from_static(b"\xff");
        for dialect in [Dialect::Common, Dialect::Msgpack] {
            let event = |json: &str| {
                dialect.event(EventData { json: json.to_owned().into(), attachments: vec![Bytes::new(), data.clone()] })
            };
            assert!(event(r#"["a",{"b":[{"_placeholder":true,"num":1}]}]"#).is_some());
            assert!(event(r#"["a",{"_placeholder":false,"num":7}]"#).is_some());
            for bad in [r#"["a",{"_placeholder":true,"num":2}]"#, r#"["a",[{"_placeholder":true}]]"#] {
                assert_eq!(event(bad), None, "{bad}");
            }
            let none = EventData { json: r#"["a",{"_placeholder":true,"num":2}]"#.into(), attachments: Vec::new() };
            assert!(dialect.event(none).is_some(), "an event without binary data has no placeholders");
        }
        let event =
            EventData { json: r#"["a",{"_placeholder":true,"num":0}]"#.into(), attachments: vec![data.clone()] };
        assert_eq!(Dialect::Msgpack.event(event), Some(msgpack(("a", &data))));
    }

    #[test]
    fn an_event_is_a_json_array_that_begins_with_a_name() {
        for dialect in [Dialect::Common, Dialect::Msgpack] {
            for fine in [JSON, " [ \"a\" ] ", r#"["a",[[]]]"#] {
                let value = dialect.event(plain(fine));
                assert_eq!(matches!(value, Some(Value::Str(..))), dialect == Dialect::Common);
                assert!(value.is_some(), "{fine}");
            }
            for bad in ["", "[]", "[1]", "{}", "[\"a\"", "[\"a\"]x", "\"a\"", "[\"\\x\"]"] {
                assert_eq!(dialect.event(plain(bad)), None, "{bad}");
            }
            assert_eq!(dialect.event(plain(b"[\"\xff\"]")), None);
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
            let event = || EventData { json: bytes.clone(), attachments: vec![bytes.clone()] };
            let _ = (Dialect::Common.event(event()), Dialect::Msgpack.event(event()));
        }
    }
}
