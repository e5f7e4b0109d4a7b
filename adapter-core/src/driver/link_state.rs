//! How the link to the broker stands, and how it stood.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::model::Event;

/// How the link stands, as the events have told it.
pub(super) struct LinkState(Mutex<State>);

/// What is known of the link.
#[derive(Clone)]
pub(super) struct State {
    /// Why the link is down or silent, if it is.
    pub(super) degraded: Option<String>,
    /// Since when.
    pub(super) since: Instant,
    /// Why it was down last, or why connecting was refused.
    pub(super) last_error: Option<String>,
    /// How often it was down or silent.
    pub(super) outages: u64,
    /// The node has been closed: its state is that from then on.
    over: bool,
}

impl LinkState {
    pub(super) fn new(now: Instant) -> Self {
        Self(Mutex::new(State { degraded: None, since: now, last_error: None, outages: 0, over: false }))
    }

    /// Takes note of what an event says about the link.
    pub(super) fn note(&self, event: &Event, now: Instant) {
        let mut state = self.lock();
        match event {
            Event::Degraded(reason) => {
                if state.degraded.replace(reason.clone()).is_none() && !state.over {
                    (state.since, state.outages) = (now, state.outages + 1);
                }
                state.last_error = Some(reason.clone());
            }
            Event::Refused { reason, .. } => state.last_error = Some(reason.clone()),
            Event::Recovered if !state.over => (state.degraded, state.since) = (None, now),
            _ => {}
        }
    }

    /// The node has been closed.
    pub(super) fn ends(&self, now: Instant) {
        let mut state = self.lock();
        if !std::mem::replace(&mut state.over, true) {
            state.since = now;
        }
    }

    pub(super) fn now(&self) -> State {
        self.lock().clone()
    }

    // All fields change together; nothing awaits or calls out while it is held.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
