//! What is broken now, and what was counted.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::watch;

use super::Counts;

/// The faults of a proxy. A link compares the two counters with those at its birth.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Faults {
    /// How often everything was cut.
    pub(super) cut: u64,
    /// How often everything was black-holed.
    pub(super) hole: u64,
    pub(super) hole_all: bool,
    pub(super) refuse: bool,
    pub(super) drop_replies: bool,
    pub(super) drop_requests: bool,
    pub(super) freeze_after: Option<u64>,
    pub(super) delay: Duration,
    pub(super) throttle: Option<u64>,
}

/// The counters of a proxy, and how many bytes may still go to the clients.
#[derive(Debug, Default)]
pub(super) struct Meter {
    pub(super) to_broker: AtomicU64,
    pub(super) to_client: AtomicU64,
    pub(super) accepted: AtomicU64,
    pub(super) open: AtomicU64,
    allowed: Mutex<Option<u64>>,
}

/// What each link needs of its proxy.
#[derive(Clone, Debug)]
pub(super) struct Ways {
    pub(super) upstream: SocketAddr,
    pub(super) faults: watch::Receiver<Faults>,
    /// To cut every link. Weak, for its end tells the links that the proxy is gone.
    pub(super) all: Weak<watch::Sender<Faults>>,
    pub(super) meter: Arc<Meter>,
}

/// How many bytes of a chunk may go to the client, and whether all is cut behind them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Grant {
    All,
    CutAfter(usize),
}

impl Meter {
    /// From now on so many bytes to the clients, then a cut.
    pub(super) fn allow(&self, bytes: u64) {
        let mut allowed = self.allowed.lock().unwrap_or_else(PoisonError::into_inner);
        *allowed = (bytes > 0).then_some(bytes);
    }

    /// Takes a chunk to the client from what is allowed.
    pub(super) fn take(&self, bytes: usize) -> Grant {
        let mut allowed = self.allowed.lock().unwrap_or_else(PoisonError::into_inner);
        match *allowed {
            None => Grant::All,
            Some(left) if left > bytes as u64 => {
                *allowed = Some(left - bytes as u64);
                Grant::All
            }
            Some(left) => {
                *allowed = None;
                Grant::CutAfter(usize::try_from(left).unwrap_or(bytes))
            }
        }
    }

    pub(super) fn counts(&self) -> Counts {
        Counts {
            to_broker: self.to_broker.load(Ordering::Relaxed),
            to_client: self.to_client.load(Ordering::Relaxed),
            accepted: self.accepted.load(Ordering::Relaxed),
            open: self.open.load(Ordering::Relaxed),
        }
    }
}
