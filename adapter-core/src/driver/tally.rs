//! What was sent, delivered and dropped in each namespace.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use crate::model::{LocalDropped, Namespace};

/// So many namespaces are told apart: a client may be free to choose their names.
const NAMESPACES: usize = 100;

/// Counts for each namespace, which outlive the sockets in it.
#[derive(Default)]
pub(crate) struct Tally {
    counts: RwLock<HashMap<Namespace, Arc<Counts>>>,
    /// Those of all namespaces beyond the first [`NAMESPACES`].
    other: Arc<Counts>,
}

/// What was counted in one namespace, or in all others together.
#[derive(Default)]
pub(crate) struct Counts {
    sent: AtomicU64,
    delivered: AtomicU64,
    /// What sockets that are detached had dropped until then.
    dropped_before: Mutex<LocalDropped>,
}

impl Tally {
    /// Where to count what happens in this namespace.
    pub(crate) fn of(&self, namespace: &Namespace) -> Arc<Counts> {
        if let Some(counts) = self.counts.read().unwrap_or_else(PoisonError::into_inner).get(namespace) {
            return Arc::clone(counts);
        }
        let mut all = self.counts.write().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= NAMESPACES && !all.contains_key(namespace) {
            return Arc::clone(&self.other);
        }
        Arc::clone(all.entry(namespace.clone()).or_default())
    }

    /// All that is counted: by namespace, `None` for the others together. In the order of their names.
    pub(crate) fn all(&self) -> Vec<(Option<Namespace>, Arc<Counts>)> {
        let counts = self.counts.read().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<_> = counts.iter().map(|(name, counts)| (Some(name.clone()), Arc::clone(counts))).collect();
        let full = counts.len() >= NAMESPACES;
        drop(counts);
        all.sort_unstable_by(|(one, _), (two, _)| one.cmp(two));
        all.extend(full.then(|| (None, Arc::clone(&self.other))));
        all
    }
}

impl Counts {
    pub(crate) fn count_sent(&self) {
        self.sent.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count_delivered(&self) {
        self.delivered.fetch_add(1, Ordering::Relaxed);
    }

    /// Keeps what sockets that are detached have dropped.
    pub(crate) fn keep_dropped(&self, dropped: LocalDropped) {
        *self.dropped_before.lock().unwrap_or_else(PoisonError::into_inner) += dropped;
    }

    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    pub(crate) fn delivered(&self) -> u64 {
        self.delivered.load(Ordering::Relaxed)
    }

    pub(crate) fn dropped_before(&self) -> LocalDropped {
        *self.dropped_before.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn namespaces_beyond_the_bound_are_counted_together() {
        let tally = Tally::default();
        let name = |n: usize| Namespace::new(format!("/{n}")).expect("valid");
        (0..NAMESPACES + 5).for_each(|n| tally.of(&name(n)).count_sent());
        tally.of(&name(0)).count_sent();
        let all = tally.all();
        let sent = |wanted: Option<Namespace>| all.iter().find(|(name, _)| *name == wanted).map(|(_, c)| c.sent());
        assert_eq!((all.len(), sent(Some(name(0))), sent(None)), (NAMESPACES + 1, Some(2), Some(5)));
    }
}
