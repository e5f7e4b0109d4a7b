//! What happens to the cluster, as seen by one node.

use std::fmt;

use crate::model::{ErrorKind, Node, NodeId};

/// Something that happened to the cluster, as this node sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A node was seen for the first time, or again after it was thought dead.
    NodeUp(Node),
    /// A node said goodbye, or has been silent for too long.
    NodeDown(Node, Departure),
    /// Messages of a node were lost and cannot be had any more. They will never be delivered later. For a node that died it comes
    /// ten seconds after its `NodeDown`, by a clock that stands still while this node's own link is in doubt: until then the node may come
    /// back with what is missing, within the bounds of what is held back.
    Gap {
        /// Whose messages.
        node: NodeId,
        /// Sent to whom.
        channel: GapChannel,
        /// How many; `None` when that cannot be known (a node died, and what it sent last was not heard).
        count: Option<u64>,
    },
    /// The link to the broker is down or silent: remote sockets get what is sent from now on later, or not.
    Degraded(String),
    /// The link is there again; for a node that began without its broker: it has joined the cluster.
    Recovered,
    /// This node cannot connect now for a reason that waiting alone may not mend: a name or a password that the broker refuses,
    /// say. It tries again all the same, in the end every 5 to 10 s. Told once for each cause in one outage, and also by a node that began
    /// without its broker ([`WhenUnreachable::ServeLocally`](crate::WhenUnreachable::ServeLocally)).
    Refused {
        /// What kind of error it was.
        kind: ErrorKind,
        /// The error, for people.
        reason: String,
    },
    /// Code of the application that the cluster called has panicked: a handler of server events, or local sockets. The
    /// cluster went on. At most one event a second for each `what`; [`Stats::panics`](crate::Stats::panics) counts all.
    Panicked {
        /// What was called, in which namespace, and what the panic said.
        what: String,
        /// How often since the event before.
        count: u64,
    },
    /// Somebody publishes frames in this node's name: a stranger who can write to the broker. This node says at once that it
    /// lives, and the others believe that. Told at most every ten seconds; [`Stats::impersonated`](crate::Stats::impersonated) counts the frames.
    Impersonated,
    /// The reader of these events was too slow, and this many were dropped.
    Missed(u64),
}

/// How a node went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Departure {
    /// It closed.
    Left,
    /// It fell silent.
    Died,
}

/// On which channel messages were lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum GapChannel {
    /// The channel of the whole cluster: broadcasts, joins, leaves, disconnects, questions.
    Cluster,
    /// This node's inbox: answers.
    Inbox,
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NodeUp(node) => write!(f, "{node} is up"),
            Self::NodeDown(node, departure) => write!(f, "{node} is down: {departure}"),
            Self::Gap { node, channel, count: Some(count) } => {
                write!(f, "messages lost: {count} from node {node} {channel}")
            }
            Self::Gap { node, channel, count: None } => {
                write!(f, "messages lost: an unknown number from node {node} {channel}")
            }
            Self::Degraded(reason) => write!(f, "the link to the broker is down: {reason}"),
            Self::Refused { reason, .. } => write!(f, "connecting to the broker is refused: {reason}"),
            Self::Recovered => f.write_str("the link to the broker is up again"),
            Self::Panicked { what, count } => write!(f, "panicked {count} times: {what}"),
            Self::Impersonated => f.write_str("somebody publishes in the name of this node"),
            Self::Missed(count) => write!(f, "events dropped: {count}, since their reader was too slow"),
        }
    }
}

impl fmt::Display for Departure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Left => "it left",
            Self::Died => "it died",
        })
    }
}

impl fmt::Display for GapChannel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cluster => "to the cluster",
            Self::Inbox => "to this node",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_reads_as_a_sentence() {
        let id = NodeId::from_bytes([7; 16]);
        let node = Node { id, name: "web-2".to_owned() };
        assert_eq!(Event::NodeUp(node.clone()).to_string(), format!("node {id} (web-2) is up"));
        let down = Event::NodeDown(Node { name: String::new(), ..node }, Departure::Died);
        assert_eq!(down.to_string(), format!("node {id} is down: it died"));
        let gap = Event::Gap { node: id, channel: GapChannel::Inbox, count: Some(3) };
        assert_eq!(gap.to_string(), format!("messages lost: 3 from node {id} to this node"));
    }
}
