//! Panics in code of the application that the cluster has called.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// Different panics that are told apart between two looks; what comes beyond them is counted under one name.
const MAX_KINDS: usize = 64;

/// Panics in code of the application: how many there were, and those that were not told yet.
#[derive(Default)]
pub(crate) struct Panics {
    count: AtomicU64,
    untold: Mutex<BTreeMap<String, u64>>,
}

impl Panics {
    pub(crate) fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// Counts one. `what` was called; `said` is the panic's message.
    pub(crate) fn note(&self, what: &str, said: &str) {
        self.count.fetch_add(1, Ordering::Relaxed);
        let mut untold = self.untold.lock().unwrap_or_else(PoisonError::into_inner);
        let what = format!("{what}: {said}");
        let kind = if untold.len() < MAX_KINDS || untold.contains_key(&what) { what } else { "others".to_owned() };
        *untold.entry(kind).or_default() += 1;
    }

    /// Those since the last call, and how often each came.
    pub(crate) fn take(&self) -> BTreeMap<String, u64> {
        std::mem::take(&mut self.untold.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The message of a panic, cut to a line.
pub(crate) fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("a value that is no text").chars().take(200).collect()
}
