//! What sockets of this node have not taken of other nodes' packets, by cause.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use roomcast_core::adapter::LocalDropped;
use socketioxide_core::Str;

/// A cause is logged no more often than this.
const PAUSE: Duration = Duration::from_secs(1);

/// Counts what was not delivered, and says so in the log: for each cause one line in a second, with how many.
#[derive(Debug)]
pub(crate) struct Losses {
    namespace: Str,
    full: Cause,
    gone: AtomicU64,
    unreadable: Cause,
}

/// One cause that is logged.
#[derive(Debug, Default)]
struct Cause {
    total: AtomicU64,
    /// When it was logged last, and the total then.
    logged: Mutex<(Option<Instant>, u64)>,
}

impl Losses {
    pub(crate) fn new(namespace: Str) -> Self {
        Self { namespace, full: Cause::default(), gone: AtomicU64::new(0), unreadable: Cause::default() }
    }

    pub(crate) fn count(&self) -> LocalDropped {
        let mut count = LocalDropped::default();
        count.full = self.full.total.load(Relaxed);
        count.gone = self.gone.load(Relaxed);
        count.unreadable = self.unreadable.total.load(Relaxed);
        count
    }

    /// So many deliveries found their queue full.
    pub(crate) fn full(&self, deliveries: u64) {
        self.full.total.fetch_add(deliveries, Relaxed);
        self.report(Instant::now());
    }

    /// So many deliveries were for sockets whose connection is gone. That is everyday life, so it is only counted.
    pub(crate) fn gone(&self, deliveries: u64) {
        self.gone.fetch_add(deliveries, Relaxed);
    }

    /// One packet or answer cannot be read here, for this reason.
    pub(crate) fn unreadable(&self, reason: &str) {
        self.unreadable.total.fetch_add(1, Relaxed);
        if let Some(count) = self.unreadable.due(Instant::now()) {
            let total = self.unreadable.total.load(Relaxed);
            tracing::warn!(namespace = %self.namespace, reason, count, total, "dropped what another node sent");
        }
    }

    /// Logs what was counted since the last line, if that is a second ago.
    pub(crate) fn report(&self, now: Instant) {
        if let Some(count) = self.full.due(now) {
            let total = self.full.total.load(Relaxed);
            tracing::warn!(
                namespace = %self.namespace, count, total,
                "sockets did not take packets of other nodes: their buffers are full, and so is what is kept behind them; \
                 a larger `max_buffer_size` on `SocketIo::builder()` gives slow clients more time"
            );
        }
    }

    /// When there will be something to report; `None` if all that was counted is in the log.
    pub(crate) fn next_report(&self) -> Option<Instant> {
        let (logged, told) = *self.full.lock();
        (self.full.total.load(Relaxed) > told).then(|| logged.map_or_else(Instant::now, |at| at + PAUSE))
    }
}

impl Cause {
    /// How many are to be logged now; they then are.
    fn due(&self, now: Instant) -> Option<u64> {
        let mut logged = self.lock();
        let (last, told) = *logged;
        let total = self.total.load(Relaxed);
        if total == told || last.is_some_and(|last| now < last + PAUSE) {
            return None;
        }
        *logged = (Some(now), total);
        Some(total - told)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, (Option<Instant>, u64)> {
        self.logged.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_logged_once_a_second_with_how_many() {
        let cause = Cause::default();
        let start = Instant::now();
        assert_eq!(cause.due(start), None);
        cause.total.fetch_add(1, Relaxed);
        assert_eq!(cause.due(start), Some(1));
        cause.total.fetch_add(7, Relaxed);
        assert_eq!(cause.due(start + PAUSE / 2), None);
        assert_eq!(cause.due(start + PAUSE), Some(7));
        assert_eq!(cause.due(start + 2 * PAUSE), None);
    }
}
