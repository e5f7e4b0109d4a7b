//! Nodes of the cluster.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize, Serializer};

use crate::model::Error;

/// Identifies one run of one server process: 128 random bits, new at each start.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct NodeId([u8; 16]);

impl NodeId {
    /// The id of no node. It stands for the nodes that a node has not met yet, before it has reached its broker
    /// ([`WhenUnreachable::ServeLocally`](crate::WhenUnreachable::ServeLocally)).
    pub const UNKNOWN: Self = Self([0; 16]);

    /// A new id from the operating system's random source.
    ///
    /// # Errors
    /// `Unexpected` when the operating system has no random numbers to give.
    pub fn random() -> Result<Self, Error> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).map_err(|cause| {
            Error::unexpected("the operating system gave no random numbers for a node id").with_source(cause)
        })?;
        Ok(Self(bytes))
    }

    /// The id made of these bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The id's bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

/// 32 hexadecimal digits.
impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for NodeId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let bad = || Error::config("a node id is 32 hexadecimal digits");
        if text.len() != 32 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(bad());
        }
        let number = u128::from_str_radix(text, 16).map_err(|_| bad())?;
        Ok(Self(number.to_be_bytes()))
    }
}

/// The longest name of a node, in bytes.
pub(crate) const MAX_NODE_NAME: usize = 255;

/// A node: its id and the name that people gave it. Serialised, it is `{"id": "32 hexadecimal digits", "name": ".."}`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[non_exhaustive]
pub struct Node {
    /// The node's id, which is never used again.
    #[serde(serialize_with = "digits")]
    pub id: NodeId,
    /// The node's name, for people and logs. It may be empty, and need not be unique.
    pub name: String,
}

impl Node {
    /// A node with this id and this name. Nodes of a cluster come from the cluster; this is for implementations of
    /// [`Adapter`](crate::adapter::Adapter), and for tests.
    pub fn new(id: NodeId, name: impl Into<String>) -> Self {
        Self { id, name: name.into() }
    }
}

/// An id as people write it. On the wire it is bytes, as [`NodeId`] itself serializes.
pub(super) fn digits<S: Serializer>(id: &NodeId, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(id)
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "node {}", self.id)?;
        if self.name.is_empty() { Ok(()) } else { write!(f, " ({})", self.name) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_from_its_text() {
        let id = NodeId::random().expect("random");
        assert_eq!(id.to_string().parse::<NodeId>().expect("parses"), id);
        assert!("+0000000000000000000000000000000".parse::<NodeId>().is_err());
        assert!("00".parse::<NodeId>().is_err());
    }
}
