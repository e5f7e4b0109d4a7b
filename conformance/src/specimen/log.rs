//! What is logged in a process.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

/// Counts what is logged from INFO upwards, of the node's own code and of its client's, by the line of source. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(super) struct Log(Arc<Mutex<BTreeMap<String, u64>>>);

impl Log {
    /// One that hears everything of this process.
    pub(super) fn of_all() -> Result<Self, String> {
        let log = Self::default();
        tracing::subscriber::set_global_default(log.clone()).map_err(|error| error.to_string())?;
        Ok(log)
    }

    /// How many events there were by level and line of source.
    pub(super) fn counts(&self) -> BTreeMap<String, u64> {
        self.lock().clone()
    }

    // Guards one map; nothing awaits or calls out while it is held.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::INFO && metadata.is_event()
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::INFO)
    }

    fn event(&self, event: &Event<'_>) {
        let at = event.metadata();
        let line = format!("{} {}:{}", at.level(), at.target(), at.line().unwrap_or(0));
        *self.lock().entry(line).or_default() += 1;
    }

    // Spans are of no interest.
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[cfg(test)]
mod tests {
    use super::Log;

    #[test]
    fn events_are_counted_by_level_and_line() {
        let log = Log::default();
        tracing::subscriber::with_default(log.clone(), || {
            let _span = tracing::error_span!("a span").entered();
            for _ in 0..3 {
                tracing::warn!(target: "somebody", "trouble");
                tracing::debug!(target: "somebody", "detail");
            }
        });
        let counts: Vec<_> = log.counts().into_iter().collect();
        assert!(matches!(&counts[..], [(line, 3)] if line.starts_with("WARN somebody:")), "{counts:?}");
    }
}
