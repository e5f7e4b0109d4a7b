//! What is heard of a connection beside its messages.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_nats::{Event, ServerError};
use roomcast_core::backend::Breaker;
use tokio::sync::Notify;

use crate::error::{self, Violation};

/// What the client tells, by its event callback, and what the intake does.
#[derive(Default)]
pub(crate) struct Signals {
    /// Why the connection ended.
    pub(crate) over: Breaker,
    /// The server is going to shut down.
    pub(crate) leaving: Breaker,
    /// Messages were dropped because too many waited for the node, or for the task that takes them.
    pub(crate) dropped: AtomicBool,
    /// A message was dropped, or something was denied.
    pub(crate) told: Notify,
    pub(crate) denied: Mutex<Denied>,
}

/// What the server does not permit, as it said on this connection.
#[derive(Default)]
pub(crate) struct Denied {
    pub(crate) publish: HashSet<String>,
    pub(crate) subscribe: HashSet<String>,
}

impl Signals {
    /// A message was dropped.
    pub(crate) fn dropped(&self) {
        self.dropped.store(true, Ordering::Release);
        self.told.notify_one();
    }

    pub(crate) fn event(&self, event: Event) {
        match event {
            Event::Disconnected => self.over.trip("the server closed the connection, or was silent for too long"),
            Event::Closed => self.over.trip("closed"),
            Event::LameDuckMode => return self.leaving.trip("the server is going to shut down"),
            Event::SlowConsumer(_) => return self.dropped(),
            Event::ServerError(ServerError::Other(text)) => match error::violation(&text) {
                Some(Violation::Publish(subject)) => {
                    tracing::error!(subject, "the NATS server does not permit publishing");
                    lock(&self.denied).publish.insert(subject.to_owned());
                }
                Some(Violation::Subscribe(subject)) => {
                    lock(&self.denied).subscribe.insert(subject.to_owned());
                }
                None => self.over.trip(text), // the server closes the connection behind any other
            },
            Event::ServerError(error) => self.over.trip(error.to_string()),
            _ => return,
        }
        self.told.notify_one();
    }
}

// Nothing awaits or calls out while one of these locks is held.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
