//! How what passed is written.

use roomcast::{Event, Room};
use serde_json::{Map, Value, json};

use super::observer::{Sighted, What};
use crate::emit::to_whom;
use crate::nodes::Names;
use crate::packet::bytes_field;
use crate::text::{clock, shown, shown_bytes};

/// So many characters of a packet are shown to people.
const MOST: usize = 2000;

impl Sighted {
    /// A line for people.
    pub(crate) fn text(&self, names: &Names) -> String {
        let whom = match &self.target {
            None => "to the servers".to_owned(),
            Some(target) => {
                let rooms = target.rooms.as_deref().map(|rooms| rooms.iter().map(Room::as_str).collect::<Vec<_>>());
                let except: Vec<_> = target.except.iter().map(Room::as_str).collect();
                let whom = match rooms {
                    Some(rooms) if rooms.is_empty() => "nobody".to_owned(),
                    rooms => to_whom(&rooms.unwrap_or_default(), &except),
                };
                let node = target.node.map(|node| format!(" on {}", names.label(node))).unwrap_or_default();
                format!("to {whom}{node}")
            }
        };
        let what = match &self.what {
            What::Emit { content, ack } => content.text() + if *ack { " (asks for acks)" } else { "" },
            What::Join(rooms) => format!("join {}", list(rooms)),
            What::Leave(rooms) => format!("leave {}", list(rooms)),
            What::Disconnect => "disconnect".to_owned(),
            What::ServerEvent { name, data } => format!("server event {} {}", shown(name), shown_bytes(data)),
        };
        let (from, namespace) = (names.label(self.from), shown(self.namespace.as_str()));
        format!("{}  {from:<10}  {namespace:<6}  {whom:<22}  {}", clock(self.at), cut(what))
    }

    /// An object for scripts.
    pub(crate) fn json(&self, names: &Names) -> Value {
        let mut object = Map::new();
        let mut put = |name: &str, value: Value| object.insert(name.to_owned(), value);
        put("at", json!(self.at));
        put("from", json!(self.from.to_string()));
        put("node", json!(names.name(self.from)));
        put("namespace", json!(self.namespace.as_str()));
        if let Some(target) = &self.target {
            let strings = |rooms: &[Room]| rooms.iter().map(|room| json!(room.as_str())).collect::<Value>();
            put("to", target.rooms.as_deref().map_or(Value::Null, strings));
            put("except", strings(&target.except));
            if let Some(node) = target.node {
                put("on", json!(node.to_string()));
            }
        }
        let kind = match &self.what {
            What::Emit { content, ack } => {
                content.fields(&mut object);
                object.insert("ack".to_owned(), json!(ack));
                "emit"
            }
            What::Join(rooms) | What::Leave(rooms) => {
                let rooms = rooms.iter().map(|room| json!(room.as_str())).collect();
                object.insert("rooms".to_owned(), rooms);
                if matches!(self.what, What::Join(_)) { "join" } else { "leave" }
            }
            What::Disconnect => "disconnect",
            What::ServerEvent { name, data } => {
                object.insert("event".to_owned(), json!(name));
                bytes_field(&mut object, "data", data);
                "server_event"
            }
        };
        object.insert("type".to_owned(), json!(kind));
        object.into()
    }
}

fn list(rooms: &[Room]) -> String {
    shown(&rooms.iter().map(Room::as_str).collect::<Vec<_>>().join(", "))
}

fn cut(text: String) -> String {
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}.. ({} bytes in all)", &text[..end], text.len()),
        None => text,
    }
}

/// An event of the cluster, for people.
pub(crate) fn event_text(at: u64, event: &Event) -> String {
    format!("{}  {:<10}  cluster  {}", clock(at), "", shown(&event.to_string()))
}

/// An event of the cluster, for scripts.
pub(crate) fn event_json(at: u64, event: &Event) -> Value {
    let mut object = json!(event);
    object["type"] = json!("event");
    object["at"] = json!(at);
    object["text"] = json!(event.to_string());
    object
}
