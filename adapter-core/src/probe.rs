//! What the benchmarks, the conformance suite and the command need of the inside. Not part of the API.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use crate::model::{ClusterName, ErrorKind, Limits, Namespace, NodeId, Packet, Room, Target};
use crate::seams::Owner;
use crate::seams::inbox::{Bounds, LinkChange};
use crate::seams::{Channel, Inbox, Reason};
use crate::wire::{Frames, Head, Message, Number, Operation};

/// An operation of usual size: two rooms, one except, a packet of 200 bytes.
#[derive(Debug)]
pub struct Typical(Operation);

impl Typical {
    /// Makes it.
    ///
    /// # Errors
    /// None that happen: its names are valid.
    pub fn new() -> crate::model::Result<Self> {
        let rooms = [Room::new("lobby")?, Room::new("team:42")?];
        let target = Target::rooms(rooms).except([Room::new("muted")?]);
        let packet = Packet::opaque(vec![b'x'; 200]);
        Ok(Self(Operation::Broadcast { namespace: Namespace::new("/")?, target, packet }))
    }

    /// Encodes it as a numbered frame behind what is in `out`.
    pub fn encode(&self, out: &mut BytesMut) {
        let content = self.0.encode();
        let number = Some(Number { epoch: 1, n: 1000 });
        let sender = NodeId::from_bytes([7; 16]);
        let head = Head { number, ..Head::new(content.kind, sender, 1000) };
        out.extend_from_slice(&Message::of(&head, &content.body, &content.packet));
    }
}

/// Decodes every frame of a message; returns how many operations there were.
pub fn decode(message: Bytes) -> usize {
    Frames::new(message).flatten().filter_map(|frame| Operation::decode(frame).ok()).count()
}

/// What a backend hands over, as it is: an inbox without a node behind it.
#[derive(Debug)]
pub struct Tap {
    inbox: Inbox,
    bounds: Bounds,
    waiting: VecDeque<Tapped>,
}

/// One thing that a backend handed over.
#[derive(Clone, Debug)]
pub enum Tapped {
    /// A message.
    Frame(Channel, Bytes),
    /// The link went down.
    Down(Reason),
    /// The link is up again.
    Up(Limits),
    /// It cannot be made, for a reason that waiting alone may not mend.
    Refused(ErrorKind, Reason),
}

impl Tap {
    /// Holds so many messages of so many bytes, then it is full.
    pub fn new(messages: usize, bytes: usize) -> Self {
        let bounds = Bounds { messages, bytes, control: messages };
        Self { inbox: Inbox::new(bounds, None), bounds, waiting: VecDeque::new() }
    }

    /// The same in the cluster of this name.
    ///
    /// # Errors
    /// `Config` when it is no name.
    pub fn in_cluster(mut self, name: &str) -> crate::model::Result<Self> {
        let owner = Owner { cluster: ClusterName::new(name)?, node: None, name: String::new() };
        self.inbox = Inbox::new(self.bounds, Some(owner));
        Ok(self)
    }

    /// What a backend is given.
    pub fn inbox(&self) -> Inbox {
        self.inbox.clone()
    }

    /// Says which channels it takes.
    pub fn wants(&self) -> Wants {
        Wants(self.inbox.clone())
    }

    /// The next thing that was handed over.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn next(&mut self) -> Tapped {
        loop {
            if let Some(tapped) = self.waiting.pop_front() {
                return tapped;
            }
            // What is control is also in the lane of the others, which is the one that is read here.
            let taken = self.inbox.take(true);
            self.waiting.extend(taken.link.into_iter().map(|change| match change {
                LinkChange::Down(reason) | LinkChange::Dropped(reason) => Tapped::Down(reason),
                LinkChange::Refused(kind, reason) => Tapped::Refused(kind, reason),
                LinkChange::Up(limits) => Tapped::Up(limits),
            }));
            let frames = taken.messages.into_iter().map(|arrival| Tapped::Frame(arrival.channel, arrival.payload));
            self.waiting.extend(frames);
            if self.waiting.is_empty() {
                self.inbox.arrived().await;
            }
        }
    }
}

/// Says which channels a [`Tap`] takes.
#[derive(Clone, Debug)]
pub struct Wants(Inbox);

impl Wants {
    /// Takes messages of these channels from now on; to be called before they are subscribed to.
    pub fn add(&self, channels: &[Channel]) {
        self.0.want(channels);
    }

    /// Takes no more of them.
    pub fn remove(&self, channels: &[Channel]) {
        self.0.unwant(channels);
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.inbox.close();
    }
}
