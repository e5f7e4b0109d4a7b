//! An emitter's calls under way.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::engine::SPAN;

/// Gives each call its counter. Receivers take a frame that is far behind a sender's newest for a duplicate, and a call that is
/// repeated keeps its counter. So new calls wait while the oldest falls behind.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    state: Mutex<State>,
    /// Held by the one call that waits; the others stand behind it.
    turn: tokio::sync::Mutex<()>,
    /// The oldest has ended.
    moved: Notify,
}

#[derive(Debug, Default)]
struct State {
    newest: u64,
    /// The calls that have not ended.
    open: BTreeSet<u64>,
}

/// A call, until it is dropped.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    calls: &'a Calls,
    pub(crate) counter: u64,
}

impl Calls {
    /// Begins a call, once the oldest is near enough.
    ///
    /// # Cancel safety
    /// Safe: no counter is used up.
    pub(crate) async fn begin(&self) -> Call<'_> {
        let _turn = self.turn.lock().await;
        loop {
            if let Some(counter) = self.next() {
                return Call { calls: self, counter };
            }
            self.moved.notified().await;
        }
    }

    fn next(&self) -> Option<u64> {
        let mut state = self.lock();
        let oldest = state.open.first().copied().unwrap_or(state.newest);
        if state.newest - oldest >= SPAN / 2 {
            return None;
        }
        state.newest += 1;
        let counter = state.newest;
        state.open.insert(counter);
        Some(counter)
    }

    // Both fields change together; nothing awaits or calls out while it is held.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        let mut state = self.calls.lock();
        let oldest = state.open.first() == Some(&self.counter);
        state.open.remove(&self.counter);
        drop(state);
        if oldest {
            self.calls.moved.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use tokio::task::unconstrained;

    use super::*;

    #[tokio::test]
    async fn a_call_that_lasts_is_never_far_behind() {
        let calls = Calls::default();
        let slow = calls.begin().await;
        while let Some(call) = unconstrained(calls.begin()).now_or_never() {
            assert!(call.counter - slow.counter <= SPAN / 2);
        }
        let (mut one, mut two) = (Box::pin(calls.begin()), Box::pin(calls.begin()));
        assert!(one.as_mut().now_or_never().is_none() && two.as_mut().now_or_never().is_none());
        drop(one); // given up: the next in the row waits in its place
        assert!(two.as_mut().now_or_never().is_none());
        drop(slow);
        assert_eq!(two.await.counter, SPAN / 2 + 2);
    }
}
