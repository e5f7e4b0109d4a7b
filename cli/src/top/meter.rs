//! How much passes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use roomcast::NodeId;
use roomcast::adapter::{Observer, Passed, Sight};

/// So many senders are told apart between two looks: emitters have a new id each time. The others are one.
const SENDERS: usize = 4096;

/// What one sender has sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Amount {
    pub(crate) packets: u64,
    pub(crate) bytes: u64,
}

impl std::ops::AddAssign for Amount {
    fn add_assign(&mut self, other: Self) {
        self.packets += other.packets;
        self.bytes += other.bytes;
    }
}

/// Counts what passes, for each sender. Clones count together.
#[derive(Clone, Debug, Default)]
pub(crate) struct Meter(Arc<Mutex<HashMap<NodeId, Amount>>>);

impl Meter {
    /// What was counted since the last call.
    pub(crate) fn take(&self) -> HashMap<NodeId, Amount> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Observer for Meter {
    fn saw(&self, passed: &Passed<'_>) {
        let bytes = match passed.what {
            Sight::Broadcast(packet) | Sight::BroadcastWithAck(packet) => packet.data.len(),
            Sight::ServerEvent { data, .. } => data.len(),
            _ => 0,
        };
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let from = if all.len() < SENDERS || all.contains_key(&passed.from) { passed.from } else { NodeId::UNKNOWN };
        *all.entry(from).or_default() += Amount { packets: 1, bytes: bytes as u64 };
    }
}
