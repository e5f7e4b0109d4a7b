//! What happens to the cluster, as seen by one node.

use std::fmt;

use serde::ser::{Serialize, Serializer};

use crate::model::node::digits;
use crate::model::{ErrorKind, Node, NodeId};

/// Something that happened to the cluster, as this node sees it.
///
/// Serialised, it is its name and its fields: `{"event": "gap", "node": "32 hexadecimal digits", "channel": "cluster", "count": 3}`. It has
/// no secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A node was seen for the first time, or again after it was taken for dead.
    NodeUp(Node),
    /// A node has left, or was silent for too long.
    NodeDown(Node, Departure),
    /// Messages of a node were lost for good: they will never be delivered. For a node that died, this event comes
    /// ten seconds after its `NodeDown`: until then the node may come back with what is missing, within the bounds of what is held back.
    /// The ten seconds stand still while this node's own link is in doubt.
    #[non_exhaustive]
    Gap {
        /// The node that sent the messages.
        node: NodeId,
        /// The channel that they were sent on.
        channel: GapChannel,
        /// How many messages; `None` when that cannot be known (a node died, and its last messages were not received).
        count: Option<u64>,
    },
    /// The link to the broker is down or silent, for this reason. Sockets of other nodes get what is emitted from now on later, or not at all.
    Degraded(String),
    /// The link is up again. A node that began without its broker has joined the cluster.
    Recovered,
    /// This node cannot connect for a reason that waiting may not mend, such as a name or a password that the broker refuses, or
    /// cannot renew a login that is going to end. It tries again every 5 to 10 s. The event comes once for each cause in one outage, also for a node that began
    /// without its broker ([`WhenUnreachable::ServeLocally`](crate::WhenUnreachable::ServeLocally)).
    #[non_exhaustive]
    Refused {
        /// The kind of the error.
        kind: ErrorKind,
        /// The error, for people.
        reason: String,
    },
    /// A panic was caught: in a handler of server events, in local sockets, in a backend, or in the core itself. The
    /// cluster went on. There is at most one event a second for each `what`; [`Stats::panics`](crate::Stats::panics) counts all panics.
    #[non_exhaustive]
    Panicked {
        /// What was called, in which namespace, and what the panic said.
        what: String,
        /// How many panics since the event before.
        count: u64,
    },
    /// Another client of the broker publishes frames in this node's name. This node says at once that it
    /// lives, and the others believe that. The event comes at most every ten seconds; [`Stats::impersonated`](crate::Stats::impersonated) counts the frames.
    Impersonated,
    /// The reader of these events was too slow, and this many were dropped.
    Missed(u64),
}

/// How a node went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Departure {
    /// It closed its cluster.
    Left,
    /// It was silent for too long.
    Died,
}

/// On which channel messages were lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum GapChannel {
    /// The channel of the whole cluster: broadcasts, joins, leaves, disconnects, requests.
    Cluster,
    /// This node's inbox: replies.
    Inbox,
}

impl Event {
    /// A [`Gap`](Self::Gap), for tests of what handles events.
    pub const fn gap(node: NodeId, channel: GapChannel, count: Option<u64>) -> Self {
        Self::Gap { node, channel, count }
    }
}

impl Serialize for Event {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(serde::Serialize)]
        #[serde(tag = "event", rename_all = "snake_case")]
        enum Named<'a> {
            NodeUp {
                node: &'a Node,
            },
            NodeDown {
                node: &'a Node,
                departure: Departure,
            },
            Gap {
                #[serde(serialize_with = "digits")]
                node: &'a NodeId,
                channel: GapChannel,
                count: Option<u64>,
            },
            Degraded {
                reason: &'a str,
            },
            Recovered,
            Refused {
                kind: ErrorKind,
                reason: &'a str,
            },
            Panicked {
                what: &'a str,
                count: u64,
            },
            Impersonated,
            Missed {
                count: u64,
            },
        }
        let named = match self {
            Self::NodeUp(node) => Named::NodeUp { node },
            &Self::NodeDown(ref node, departure) => Named::NodeDown { node, departure },
            &Self::Gap { ref node, channel, count } => Named::Gap { node, channel, count },
            Self::Degraded(reason) => Named::Degraded { reason },
            Self::Recovered => Named::Recovered,
            &Self::Refused { kind, ref reason } => Named::Refused { kind, reason },
            &Self::Panicked { ref what, count } => Named::Panicked { what, count },
            Self::Impersonated => Named::Impersonated,
            &Self::Missed(count) => Named::Missed { count },
        };
        named.serialize(serializer)
    }
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
            Self::Refused { reason, .. } => write!(f, "the login or the connection is refused: {reason}"),
            Self::Recovered => f.write_str("the link to the broker is up again"),
            Self::Panicked { what, count } => write!(f, "panicked {count} times: {what}"),
            Self::Impersonated => f.write_str("someone else publishes in the name of this node"),
            Self::Missed(count) => write!(f, "events dropped: {count}, because their reader was too slow"),
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

    #[test]
    fn an_event_is_an_object_by_name_for_logs() {
        let json = |event: Event| serde_json::to_string(&event).expect("JSON");
        let id = NodeId::from_bytes([7; 16]);
        let down = Event::NodeDown(Node::new(id, "web-2"), Departure::Died);
        let node = format!(r#"{{"id":"{id}","name":"web-2"}}"#);
        assert_eq!(json(down), format!(r#"{{"event":"node_down","node":{node},"departure":"died"}}"#));
        let gap = Event::gap(id, GapChannel::Cluster, None);
        assert_eq!(json(gap), format!(r#"{{"event":"gap","node":"{id}","channel":"cluster","count":null}}"#));
        let refused = Event::Refused { kind: ErrorKind::Denied, reason: "no".to_owned() };
        assert_eq!(json(refused), r#"{"event":"refused","kind":"denied","reason":"no"}"#);
        assert_eq!(json(Event::Recovered), r#"{"event":"recovered"}"#);
        assert_eq!(json(Event::Missed(2)), r#"{"event":"missed","count":2}"#);
    }
}
