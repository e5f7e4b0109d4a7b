//! Which node a server id of socketioxide belongs to.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use roomcast_core::NodeId;
use socketioxide_core::{Sid, Uid};

/// How many are remembered. A forgotten one costs a question to all nodes instead of one.
const MAX: usize = 4096;

/// Remembers the nodes whose sockets were described to this one, so that what a `RemoteSocket` is asked to do goes to
/// its node alone.
#[derive(Debug, Default)]
pub(crate) struct Peers(Mutex<HashMap<Sid, NodeId>>);

impl Peers {
    pub(crate) fn remember(&self, server: Uid, node: NodeId) {
        let mut known = self.lock();
        if known.len() >= MAX && !known.contains_key(&*server) {
            known.clear();
        }
        known.insert(*server, node);
    }

    pub(crate) fn find(&self, server: Uid) -> Option<NodeId> {
        self.lock().get(&*server).copied()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Sid, NodeId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_is_bounded() {
        let (peers, node) = (Peers::default(), NodeId::from_bytes([1; 16]));
        let first = Uid::new();
        peers.remember(first, node);
        assert_eq!(peers.find(first), Some(node));
        assert_eq!(peers.find(Uid::new()), None);
        for _ in 0..2 * MAX {
            peers.remember(Uid::new(), node);
        }
        assert!(peers.lock().len() <= MAX);
    }
}
