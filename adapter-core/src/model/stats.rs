//! What was counted.

use serde::Serialize;

use crate::model::LocalDropped;

/// What this node has counted since it connected. Every message that is dropped is counted here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Stats {
    /// Messages in the outgoing queue now, waiting for the broker.
    pub queued: u64,
    /// Requests that wait for replies now.
    pub open_requests: u64,
    /// Messages of ours that the broker has taken.
    pub sent: u64,
    /// Bytes that were published, with those of what was published again.
    pub sent_bytes: u64,
    /// Frames of other nodes that were received.
    pub received: u64,
    /// Bytes that the backend has handed over, this node's own messages among them.
    pub received_bytes: u64,
    /// This node's own frames that came back through the broker: its echoes.
    pub own: u64,
    /// Messages that do not follow the protocol, and frames whose body does not fit their kind.
    pub malformed: u64,
    /// Frames of a wire version that this build cannot read.
    pub too_new: u64,
    /// Frames of a kind that this build does not know.
    pub unknown_kind: u64,
    /// Frames of unknown nodes, dropped because the cluster has more nodes than this one remembers (4,096).
    pub strangers_dropped: u64,
    /// Greetings of newcomers that got one heartbeat together instead of a reply each, because there were too many.
    pub greetings_dropped: u64,
    /// Frames in this node's name that it did not send.
    pub impersonated: u64,
    /// Duplicates: frames that had been carried out already. They were dropped.
    pub duplicates: u64,
    /// Messages of other nodes that were lost, and that their senders have sent again.
    pub repaired: u64,
    /// Messages of this node that it sent again, to nodes that missed them.
    pub resent: u64,
    /// Bytes of sent messages that are kept now, for nodes that miss some.
    pub history_bytes: u64,
    /// Bytes of received messages that are held back now, because an earlier message is missing and was asked for.
    pub held_bytes: u64,
    /// Messages of other nodes that were lost, as reported by [`Event::Gap`](crate::Event::Gap).
    pub lost: u64,
    /// Replies that came after their request had ended.
    pub late_answers: u64,
    /// Replies of this node that found their queue full: the asker sees this node as missing.
    pub answers_dropped: u64,
    /// Messages of this node that the broker refused for good.
    pub refused: u64,
    /// Volatile packets that were not sent because the link was down.
    pub volatile_dropped: u64,
    /// Server-side events that found no handler, or its queue full.
    pub events_dropped: u64,
    /// Deliveries to this node's own sockets that were lost, by cause. A [`Hub`](crate::Hub) counts
    /// those of local emits, too; socketioxide returns those as errors of the `emit`.
    pub local_dropped: LocalDropped,
    /// Panics in local sockets, handlers of server events, backends and the core itself; the cluster went on.
    pub panics: u64,
}
