//! What is told to the readers of events.

use std::sync::{MutexGuard, PoisonError};

use tokio::sync::broadcast;

use super::core::{Core, now};
use crate::model::Event;

impl Core {
    /// What happens from now on, and what a reader has to know before.
    pub(crate) fn read_events(&self) -> (Option<Event>, broadcast::Receiver<Event>) {
        // First: between the two, something may be told twice but not be missed. Of a node that is closed there is nothing to tell.
        let receiver = match &*self.events() {
            Some(events) => events.subscribe(),
            None => broadcast::channel(1).1,
        };
        (self.link_state.now().degraded.map(Event::Degraded), receiver)
    }

    pub(super) fn tell(&self, event: Event) {
        self.link_state.note(&event, now());
        self.log_event(&event);
        self.measure_event(&event);
        self.send_event(event);
    }

    pub(super) fn send_event(&self, event: Event) {
        let events = self.events().clone(); // readers wake: not under our lock
        let _ = events.map(|events| events.send(event)); // nobody listens: nothing to do
    }

    /// Nothing more will be told.
    pub(crate) fn end_events(&self) {
        let events = self.events().take();
        drop(events); // readers wake: not under our lock
    }

    fn events(&self) -> MutexGuard<'_, Option<broadcast::Sender<Event>>> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
