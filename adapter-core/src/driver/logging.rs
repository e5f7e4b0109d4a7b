//! What an operator reads in the log: who joins and leaves, and what is lost. Most applications never read
//! `events()`.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::core::Core;
use crate::model::{Event, NodeId, Stats};

/// Between two lines about losses of one kind.
const PAUSE: Duration = Duration::from_secs(1);

/// What was logged so far.
#[derive(Default)]
pub(crate) struct Log(Mutex<State>);

#[derive(Default)]
struct State {
    joined: bool,
    /// When the counters were looked at last.
    looked: Option<Instant>,
    /// What they were then.
    before: Stats,
    gaps: Gaps,
}

/// The gaps since the last look.
#[derive(Default)]
struct Gaps {
    /// Those whose size is not known, which no counter has.
    unknown: u64,
    /// Whose messages were lost last.
    node: Option<NodeId>,
}

impl Log {
    // Guards all fields of `State`, which change together; nothing awaits or calls out while it is held.
    fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Core {
    pub(crate) fn log_joined(&self) {
        self.log.with(|state| state.joined = true);
        let (cluster, node, name) = (&self.channels.name, self.node.id, &self.node.name);
        let others = self.engine().peers().len();
        tracing::info!(%cluster, %node, name, others, "joined the cluster");
    }

    /// Logs what is still to be logged, and the end.
    pub(crate) fn log_left(&self, now: Instant) {
        self.log.with(|state| state.looked = None);
        self.log_losses(now);
        self.publish_all();
        tracing::info!(cluster = %self.channels.name, node = %self.node.id, "left the cluster");
    }

    pub(crate) fn log_event(&self, event: &Event) {
        let (cluster, node) = (&self.channels.name, self.node.id);
        match event {
            // Those that a newcomer meets are counted in its own line.
            Event::NodeUp(_) if !self.log.with(|state| state.joined) => {}
            Event::NodeUp(other) => {
                tracing::info!(%cluster, %node, other = %other.id, name = other.name, "a node is up");
            }
            Event::NodeDown(other, departure) => {
                tracing::info!(%cluster, %node, other = %other.id, name = other.name, %departure, "a node is down");
            }
            Event::Gap { node, count, .. } => self.log.with(|state| {
                state.gaps.node = Some(*node);
                state.gaps.unknown += u64::from(count.is_none());
            }),
            Event::Degraded(reason) => tracing::warn!(%cluster, %node, %reason, "the broker is away"),
            Event::Refused { kind, reason } => {
                tracing::error!(%cluster, %node, ?kind, %reason, "the login or the connection is refused; trying again");
            }
            Event::Recovered => tracing::info!(%cluster, %node, "the broker is back"),
            _ => {}
        }
    }

    /// Logs what was lost since the last look, one line for each cause, at most once a second.
    pub(crate) fn log_losses(&self, now: Instant) {
        let due = self.log.with(|state| {
            let due = state.looked.is_none_or(|looked| now.saturating_duration_since(looked) >= PAUSE);
            state.looked = if due { Some(now) } else { state.looked };
            due
        });
        if !due {
            return;
        }
        let stats = self.stats();
        let (before, gaps) =
            self.log.with(|state| (std::mem::replace(&mut state.before, stats), std::mem::take(&mut state.gaps)));
        self.log_gaps(stats.lost - before.lost, &gaps);
        if stats.repaired > before.repaired {
            let (cluster, node, count) = (&self.channels.name, self.node.id, stats.repaired - before.repaired);
            tracing::info!(%cluster, %node, count, "messages of other nodes that were lost have been sent again");
        }
        for (what, now, before) in [
            ("malformed messages were dropped", stats.malformed, before.malformed),
            ("messages of a newer wire version were dropped", stats.too_new, before.too_new),
            ("messages of a kind that this build does not know were dropped", stats.unknown_kind, before.unknown_kind),
            (
                "messages of unknown nodes were dropped: too many nodes",
                stats.strangers_dropped,
                before.strangers_dropped,
            ),
            ("replies to other nodes were dropped: their queue is full", stats.answers_dropped, before.answers_dropped),
            (
                "server events were dropped: there is no handler, or its queue is full",
                stats.events_dropped,
                before.events_dropped,
            ),
        ] {
            if now > before {
                let (cluster, node) = (&self.channels.name, self.node.id);
                tracing::warn!(%cluster, %node, count = now - before, "{what}");
            }
        }
        for (what, count) in self.registry.panics().take() {
            let (cluster, node) = (&self.channels.name, self.node.id);
            tracing::error!(%cluster, %node, what, count, "code of the application panicked; the cluster goes on");
            self.send_event(Event::Panicked { what, count });
        }
    }

    fn log_gaps(&self, count: u64, Gaps { unknown, node: sender }: &Gaps) {
        let (cluster, node) = (&self.channels.name, self.node.id);
        if count > 0 {
            let sender = sender.map(tracing::field::display);
            tracing::warn!(%cluster, %node, sender, count, "messages of other nodes were lost");
        }
        if *unknown > 0 {
            tracing::warn!(%cluster, %node, nodes = unknown, "nodes died, and what they sent last may be lost");
        }
    }
}
