//! Whose an inbox is.

use crate::model::{ClusterName, NodeId};

/// Whose inbox it is.
#[derive(Clone, Debug)]
pub(crate) struct Owner {
    pub(crate) cluster: ClusterName,
    /// What this node published itself, control aside, needs no more than to be counted.
    pub(crate) node: Option<NodeId>,
    /// The node's name.
    pub(crate) name: String,
}

impl Owner {
    /// What its connections are called on the broker.
    pub(super) fn client_name(owner: Option<&Self>) -> String {
        const MOST: usize = 63;
        let name = match owner {
            Some(Self { name, node: Some(node), .. }) if name.is_empty() => node.to_string()[..8].to_owned(),
            Some(Self { name, node: Some(_), .. }) => name.clone(),
            _ => "emitter".to_owned(),
        };
        let plain = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' };
        format!("roomcast-{name}").chars().map(plain).take(MOST).collect()
    }
}
