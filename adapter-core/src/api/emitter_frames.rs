//! An emitter's frames, for backends whose broker lets others emit in a form of its own.

use bytes::Bytes;

use crate::model::{Namespace, NodeId, Packet, Result, Target};
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
}
