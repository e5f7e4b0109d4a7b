//! An emitter's frames, for backends whose broker lets others emit in a form of its own.

use bytes::Bytes;
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::model::{Namespace, NodeId, Packet, PacketFormat, Result, Room, Target};
use crate::wire::{Head, Message, Operation};

/// Makes an emitter's frames, for a backend whose broker lets others emit in a form of its own, as PostgreSQL does in SQL. The
/// backend reads that form, and hands the frame to its [`Inbox`](crate::backend::Inbox) on the cluster's channel.
///
/// The frames are for this node alone: every node that receives such an operation makes its own, and sends none on. The core
/// treats each as an emitter's: it delivers it on arrival, once.
#[derive(Debug)]
pub struct EmitterFrames {
    id: NodeId,
    counter: u64,
}

impl EmitterFrames {
    /// A new emitter, with a random id.
    ///
    /// # Errors
    /// `Unexpected` when the system has no random numbers.
    pub fn new() -> Result<Self> {
        Ok(Self { id: NodeId::random()?, counter: 0 })
    }

    /// Makes the frame of the next broadcast.
    pub fn broadcast(&mut self, namespace: Namespace, target: Target, packet: Packet) -> Bytes {
        self.counter += 1;
        let content = Operation::Broadcast { namespace, target, packet }.encode();
        let head = Head::new(content.kind, self.id, self.counter);
        Message::of(&head, &content.body, &content.packet)
    }

    /// Makes the frame of the next broadcast from two lines of JSON: where to, then the packet, an event with its data if there is any. Without
    /// `rooms`, or with `null`, it goes to everyone in the namespace. `None` if the text is not of this form.
    ///
    /// # Examples
    /// ```
    /// let mut frames = roomcast_core::backend::EmitterFrames::new()?;
    /// let text = "{\"namespace\": \"/chat\", \"rooms\": [\"lobby\"]}\n[\"news\", {\"title\": \"we open at nine\"}]";
    /// assert!(frames.broadcast_json(text).is_some());
    /// assert!(frames.broadcast_json("hello").is_none());
    /// # Ok::<_, roomcast_core::Error>(())
    /// ```
    pub fn broadcast_json(&mut self, text: &str) -> Option<Bytes> {
        let (address, packet) = text.split_once('\n')?;
        let Address { namespace, rooms } = serde_json::from_str(address).ok()?;
        let rooms = rooms.map(|rooms| rooms.into_iter().map(Room::new).collect::<Result<Vec<_>>>());
        let target = rooms.transpose().ok()?.map_or_else(Target::everyone, Target::rooms);
        let with_data = serde_json::from_str::<(String, IgnoredAny)>(packet).is_ok();
        if !with_data && serde_json::from_str::<(String,)>(packet).is_err() {
            return None;
        }
        let packet = Packet::new(PacketFormat::Event, Bytes::copy_from_slice(packet.as_bytes()));
        Some(self.broadcast(Namespace::new(namespace).ok()?, target, packet))
    }
}

/// Where to.
#[derive(Deserialize)]
struct Address {
    namespace: String,
    rooms: Option<Vec<String>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_event_for_rooms_is_no_frame() {
        let mut frames = EmitterFrames::new().expect("random numbers");
        for text in [
            "{\"namespace\":\"/\"}\n[\"a\"]",
            "{\"namespace\":\"/\",\"rooms\":null}\n[\"a\", [1, null]]",
            "{\"namespace\":\"/\",\"rooms\":[]}\n[\"a\"]",
            "{\"namespace\":\"/\",\"rooms\":[\"b\", \"c\"]}\n[\"a\"]",
        ] {
            let frame = frames.broadcast_json(text).expect(text);
            assert!(frame.ends_with(text.split_once('\n').expect("two lines").1.as_bytes()), "{text}");
        }
        for text in [
            "",
            "hello",
            "{}\n[\"a\"]",
            "{\"namespace\":\"/\"}",
            "{\"namespace\":\"/\"}\n{\"a\":1}",
            "{\"namespace\":\"/\"}\n[]",
            "{\"namespace\":\"/\"}\n[1]",
            "{\"namespace\":\"/\"}\n[\"a\", 1, 2]",
            "{\"namespace\":\"/\"}\n[\"a\"] more",
            "{\"namespace\":\"\"}\n[\"a\"]",
            "{\"namespace\":\"/\",\"rooms\":[\"\"]}\n[\"a\"]",
        ] {
            assert_eq!(frames.broadcast_json(text), None, "{text}");
        }
    }
}
