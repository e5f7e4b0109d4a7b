//! What the engine tells its driver.

use crate::engine::{ReplyTo, Whole};
use crate::model::{Event, MissingNode, NodeId};

/// What the node has to do, in this order.
#[derive(Debug)]
pub(crate) enum Output {
    /// Carry out what a node asks, and answer if it says where to. What cannot be read goes back to
    /// [`unreadable`](Engine::unreadable).
    Perform {
        reply: Option<ReplyTo>,
        whole: Whole,
    },
    /// A node has answered a question of ours. What cannot be read goes back to [`unreadable`](Engine::unreadable), and the node
    /// has answered what nobody understands.
    Answer {
        request: u64,
        node: NodeId,
        whole: Whole,
    },
    /// A node will say nothing (more) to it.
    Missing {
        request: u64,
        missing: MissingNode,
    },
    /// No node will say anything (more) to it.
    Ended {
        request: u64,
        missing: Vec<MissingNode>,
    },
    Event(Event),
    /// Whether the backend has a link.
    Link(bool),
    /// The backend's link is dead, and the backend does not know: it is to make a new one.
    Reset(String),
    /// Connecting is complete.
    Ready,
}

/// A question that was queued.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) request: u64,
    /// The nodes that it asks.
    pub(crate) nodes: Vec<NodeId>,
    /// The nodes that were to be asked, and cannot be.
    pub(crate) missing: Vec<MissingNode>,
}

/// How an operation is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Delivery {
    /// With a number: in order, once, and what is lost is found.
    Numbered,
    /// On arrival, once at the most.
    Volatile,
}
