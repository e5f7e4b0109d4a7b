//! A question to all nodes, so that those who do not answer can be named.

use roomcast_core::{MissingNode, Node};
use socketioxide_core::Str;

/// What was asked, where, and the nodes that were alive then: one that dies is no longer among the cluster's.
///
/// socketioxide's types cannot carry who is missing, so it goes to the log, once for each question.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) operation: &'static str,
    pub(crate) namespace: Str,
    pub(crate) nodes: Vec<Node>,
}

impl Asked {
    pub(crate) fn log(&self, missing: &[MissingNode]) {
        if missing.is_empty() {
            return;
        }
        let missing: Vec<_> = missing.iter().map(|missing| self.describe(missing)).collect();
        tracing::warn!(
            namespace = %self.namespace, operation = self.operation, ?missing,
            "nodes did not reply to a request"
        );
    }

    fn describe(&self, missing: &MissingNode) -> String {
        let name = self.nodes.iter().find(|node| node.id == missing.node).map_or("", |node| &node.name);
        format!("{name} {}: {}", missing.node, missing.reason)
    }
}

#[cfg(test)]
mod tests {
    use roomcast_core::{MissingReason, NodeId};

    use super::*;

    #[test]
    fn missing_peer_is_named() {
        let id = NodeId::from_bytes([7; 16]);
        let nodes = vec![Node::new(id, "web-2")];
        let asked = Asked { operation: "rooms", namespace: "/".into(), nodes };
        assert_eq!(asked.describe(&MissingNode::new(id, MissingReason::Died)), format!("web-2 {id}: the node died"));
    }
}
