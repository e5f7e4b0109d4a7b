//! What was counted.

use serde::Serialize;

use crate::model::LocalDropped;

/// What this node has counted since it connected. Nothing is dropped without being counted here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Stats {
    /// Messages for the broker that wait now.
    pub queued: u64,
    /// Questions that wait for answers now.
    pub open_requests: u64,
    /// Messages of ours that the broker has taken.
    pub sent: u64,
    /// Bytes that were published, with those of what was published again.
    pub sent_bytes: u64,
    /// Frames of other nodes that were received.
    pub received: u64,
    /// Bytes that the backend has handed over, this node's own messages among them.
    pub received_bytes: u64,
    /// Own frames that came back, as they must.
    pub own: u64,
    /// Messages that are not of the protocol, and frames whose body is not what their kind says.
    pub malformed: u64,
    /// Frames of a wire version that this build cannot read.
    pub too_new: u64,
    /// Frames of a kind that this build does not know.
    pub unknown_kind: u64,
    /// Frames of nodes that are not kept, because the cluster has more nodes than this one remembers.
    pub strangers_dropped: u64,
    /// Greetings that were answered by one heartbeat together, because there were too many.
    pub greetings_dropped: u64,
    /// Frames in this node's name that it did not send.
    pub impersonated: u64,
    /// Duplicates of frames that had been carried out already. They were dropped.
    pub duplicates: u64,
    /// Messages of others that had been lost, and that their senders have sent again.
    pub repaired: u64,
    /// Messages of ours that were sent again, to nodes that missed them.
    pub resent: u64,
    /// Bytes of what was sent that are kept now, for nodes that miss it.
    pub history_bytes: u64,
    /// Bytes that are held back now: what they follow is missing, and was asked for.
    pub held_bytes: u64,
    /// Messages of others that were lost, as reported by [`Event::Gap`](crate::Event::Gap).
    pub lost: u64,
    /// Answers to questions that had ended.
    pub late_answers: u64,
    /// Answers of ours that found their queue full: the asker sees this node missing.
    pub answers_dropped: u64,
    /// Messages of ours that the broker refused for good.
    pub refused: u64,
    /// Volatile packets that were not sent since the link was down.
    pub volatile_dropped: u64,
    /// Server-side events that found no handler, or its queue full.
    pub events_dropped: u64,
    /// Deliveries that this node's own sockets have not taken, by cause, whoever emitted. A [`Hub`](crate::Hub) counts
    /// those of local emits too; socketioxide returns those as errors of the `emit`.
    pub local_dropped: LocalDropped,
    /// Calls into local sockets and handlers of server events that panicked; the cluster went on.
    pub panics: u64,
}
