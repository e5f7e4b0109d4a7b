//! What an engine is configured with.

use std::time::Duration;

use super::membership::Waits;
use super::sending::{Keep, Packing};
use crate::model::{Limits, Node};

/// The numbers that a cluster may be tuned with; the defaults are those of the promises.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) node: Node,
    pub(crate) max_message: usize,
    pub(crate) max_packed: usize,
    pub(crate) max_batch: usize,
    pub(crate) max_answers: usize,
    pub(crate) max_nodes: usize,
    pub(crate) held_bytes: usize,
    /// How long a sender may take to say where its messages begin for this node, where the backend does not keep order.
    pub(crate) beginning: Duration,
    /// How long what is missing is waited for since something of it came last. 0: nobody is asked for it.
    pub(crate) repair: Duration,
    /// What is kept for others.
    pub(crate) keep_sent: Keep,
    pub(crate) ordered: bool,
    /// Between two heartbeats of a node in a small cluster.
    pub(crate) heartbeat: Duration,
    /// Above so many nodes the cluster is a ring: each node is watched by a few, and heard by all only now and then.
    pub(crate) ring: usize,
    /// So many nodes watch each node of a ring.
    pub(crate) watchers: usize,
    /// So many heartbeats arrive on the cluster channel of a ring, in all, in the time of one.
    pub(crate) beats: usize,
    pub(crate) tick: Duration,
    pub(crate) silence: Duration,
    pub(crate) fresh_echo: Duration,
    pub(crate) alone: Duration,
    pub(crate) named: Duration,
    pub(crate) greet_again: Duration,
    /// For so long one that has fallen silent may come back with what is missing of it; then that is lost.
    pub(crate) absence: Duration,
    /// How long the state of a node that is gone is kept.
    pub(crate) keep: Duration,
}

impl Settings {
    pub(crate) fn new(node: Node) -> Self {
        Self {
            node,
            max_message: 16 << 20,
            max_packed: 64 << 10,
            max_batch: 1 << 20,
            max_answers: 32 << 20,
            max_nodes: 4096,
            held_bytes: 48 << 20,
            beginning: Duration::from_secs(1),
            repair: Duration::from_secs(5),
            keep_sent: Keep { bytes: 16 << 20, age: Duration::from_secs(30) },
            ordered: false,
            heartbeat: Duration::from_secs(1),
            ring: 64,
            watchers: 3,
            beats: 8,
            tick: Duration::from_millis(250),
            silence: Duration::from_millis(2500),
            fresh_echo: Duration::from_millis(1500),
            alone: Duration::from_millis(250),
            named: Duration::from_secs(1),
            greet_again: Duration::from_millis(250),
            absence: Duration::from_secs(10),
            keep: Duration::from_secs(60),
        }
    }

    /// How long a newcomer waits for what.
    pub(super) fn waits(&self) -> Waits {
        Waits { alone: self.alone, named: self.named, again: self.greet_again }
    }

    /// How messages are made for a link.
    pub(super) fn packing(&self, limits: Limits) -> Packing {
        Packing { max_frame: limits.max_frame, max_packed: self.max_packed.min(limits.packed) }
    }

    /// The largest body and packet that is put together from pieces: a body may stand beside the largest packet.
    pub(super) fn limit(&self) -> usize {
        self.max_message.saturating_mul(2)
    }
}
