//! Packets, from the command line and for people.

use roomcast::{Bytes, EventData, Packet, PacketFormat};
use serde_json::{Map, Value, json};

use crate::exit::Failure;
use crate::text::{hex, shown, shown_bytes};

/// The packet of an event whose arguments are JSON.
///
/// # Errors
/// Usage, for an argument that is not JSON.
pub(crate) fn event(name: &str, arguments: &[String]) -> Result<Packet, Failure> {
    let mut array = vec![Value::from(name)];
    for argument in arguments {
        let value = serde_json::from_str(argument).map_err(|error| {
            let argument = shown(argument);
            Failure::usage(format!(
                "{argument} is not JSON ({error}); a string has quotes of its own: '\"{argument}\"'"
            ))
        })?;
        array.push(value);
    }
    let json = Value::from(array).to_string();
    Ok(EventData { json: json.into(), attachments: Vec::new() }.into())
}

/// What a packet holds.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Content {
    /// An event: its name, its arguments, and the sizes of its binary data.
    Event { name: String, arguments: Vec<Value>, attachments: Vec<usize> },
    /// Text for clients of WebSocket servers.
    Text(String),
    /// Bytes that only one kind of server reads.
    Opaque(Bytes),
}

impl Content {
    /// Reads a packet. What is no event, or claims to be one and is not, is opaque.
    pub(crate) fn of(packet: &Packet) -> Self {
        let opaque = || Self::Opaque(packet.data.clone());
        if packet.format == PacketFormat::Text {
            return std::str::from_utf8(&packet.data).map_or_else(|_| opaque(), |text| Self::Text(text.to_owned()));
        }
        let Some(EventData { json, attachments }) = packet.event_data() else { return opaque() };
        let Ok(Value::Array(mut arguments)) = serde_json::from_slice(&json) else { return opaque() };
        if !arguments.first().is_some_and(Value::is_string) {
            return opaque();
        }
        let Value::String(name) = arguments.remove(0) else { return opaque() };
        Self::Event { name, arguments, attachments: attachments.iter().map(Bytes::len).collect() }
    }

    /// The name of the event.
    pub(crate) fn event(&self) -> Option<&str> {
        match self {
            Self::Event { name, .. } => Some(name),
            Self::Text(_) | Self::Opaque(_) => None,
        }
    }

    /// For people.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Event { name, arguments, attachments } => {
                let arguments: String = arguments.iter().map(|argument| format!(" {argument}")).collect();
                let sizes: String = attachments.iter().map(|size| format!(" +{size} bytes")).collect();
                shown(&format!("{name}{arguments}{sizes}"))
            }
            Self::Text(text) => format!("text {}", shown(text)),
            Self::Opaque(data) => format!("opaque {}", shown_bytes(data)),
        }
    }

    /// For scripts: the fields of an object.
    pub(crate) fn fields(&self, object: &mut Map<String, Value>) {
        match self {
            Self::Event { name, arguments, attachments } => {
                object.insert("event".to_owned(), json!(name));
                object.insert("args".to_owned(), json!(arguments));
                if !attachments.is_empty() {
                    object.insert("attachments".to_owned(), json!(attachments));
                }
            }
            Self::Text(text) => drop(object.insert("text".to_owned(), json!(text))),
            Self::Opaque(data) => bytes_field(object, "opaque", data),
        }
    }
}

/// Bytes as a field of this name if they are text, else as `hex`.
pub(crate) fn bytes_field(object: &mut Map<String, Value>, name: &str, data: &[u8]) {
    match std::str::from_utf8(data) {
        Ok(text) => object.insert(name.to_owned(), json!(text)),
        Err(_) => object.insert("hex".to_owned(), json!(hex(data))),
    };
}

/// What a socket or a server replied, or says of itself: JSON if it is, else text or bytes.
pub(crate) fn value_of(data: &[u8]) -> Value {
    serde_json::from_slice(data).unwrap_or_else(|_| match std::str::from_utf8(data) {
        Ok(text) => json!(text),
        Err(_) => json!({ "hex": hex(data) }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_reads_back() {
        let packet = event("news", &["[1]".to_owned(), "\"a\"".to_owned()]).expect("JSON");
        assert_eq!(packet.format, PacketFormat::Event);
        let content = Content::of(&packet);
        assert_eq!((content.event(), content.text().as_str()), (Some("news"), "news [1] \"a\""));
        assert_eq!(event("news", &["a".to_owned()]).expect_err("no JSON").code(), 2);
    }

    #[test]
    fn what_is_no_event_is_opaque_and_harmless() {
        for (format, data) in [
            (PacketFormat::Opaque, "\u{1b}[2J"),
            (PacketFormat::Event, "{}"),
            (PacketFormat::Event, "[1]"),
            (PacketFormat::Event, "[]"),
            (PacketFormat::BinaryEvent, "x"),
            (PacketFormat::Other(9), "[\"a\"]"),
            (PacketFormat::Text, "\u{1b}[2J"),
        ] {
            let content = Content::of(&Packet::new(format, data));
            assert_eq!(matches!(content, Content::Text(_)), format == PacketFormat::Text);
            assert!(format == PacketFormat::Text || matches!(content, Content::Opaque(_)), "{format:?} {data:?}");
            assert!(!content.text().contains('\u{1b}'));
        }
    }
}
