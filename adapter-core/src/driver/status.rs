//! What a node says of itself.

use std::sync::atomic::Ordering;

use super::core::{Core, now};
use crate::model::{NodeState, NodeStatus, QueueStatus, Stats, Status};

impl Core {
    pub(crate) fn stats(&self) -> Stats {
        let stats = self.engine().stats();
        let events_dropped = self.events_dropped.load(Ordering::Relaxed);
        Stats {
            panics: self.registry.panics().count(),
            own: stats.own + self.inbox.own(),
            sent_bytes: self.sent_bytes.load(Ordering::Relaxed),
            received_bytes: self.inbox.received_bytes(),
            events_dropped,
            local_dropped: self.registry.local_dropped(),
            ..stats
        }
    }

    pub(crate) fn status(&self) -> Status {
        let (now, link) = (now(), self.link_state.now());
        let free = self.capacity.available_permits();
        let broker = self.backend.broker(); // foreign code: before the engine is held
        let (joining, health, round_trip, nodes, oldest) = {
            let engine = self.engine();
            let nodes = engine.heard(now);
            (engine.is_joining(), engine.health(now), engine.round_trip(), nodes, engine.unsent_for(now))
        };
        let state = match () {
            () if self.closed.load(Ordering::Acquire) => NodeState::Closed,
            () if joining => NodeState::Joining,
            () if link.degraded.is_some() => NodeState::Degraded,
            () => NodeState::Up,
        };
        let stats = self.stats();
        let (bytes, max_bytes) = (self.bounds.queue.saturating_sub(free) as u64, self.bounds.queue as u64);
        Status {
            cluster: self.channels.name.to_string(),
            node: self.node.clone(),
            state,
            state_for: now.saturating_duration_since(link.since),
            broker,
            outages: link.outages,
            connect_attempts: self.inbox.attempts(),
            last_error: link.last_error,
            health: (!joining).then_some(health),
            round_trip,
            nodes: nodes.into_iter().map(|(node, heard)| NodeStatus { node, heard }).collect(),
            queue: QueueStatus { messages: stats.queued, bytes, max_bytes, oldest },
            namespaces: self.registry.namespaces(),
            stats,
        }
    }
}
