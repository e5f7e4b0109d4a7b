//! What this node has in each namespace: local sockets, and where server-side events go.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use crate::model::{Change, LocalSocket, Namespace, Packet, Projection, Room, Target};
use crate::seams::{Acks, AttachmentId, LocalSockets, Scope, ServerEvent, ServerEvents};

/// What this node has in each namespace. Namespaces without anything are not kept.
#[derive(Default)]
pub(crate) struct Registry {
    namespaces: RwLock<HashMap<Namespace, Arc<Entry>>>,
    newest: AtomicU64,
    panics: AtomicU64,
}

/// One namespace.
#[derive(Default)]
pub(crate) struct Entry {
    /// Held while an operation of ours gets its number and is carried out here: the same order everywhere.
    order: Mutex<()>,
    attached: RwLock<Arc<[Attached]>>,
    events: Mutex<Option<ServerEvents>>,
}

type Attached = (AttachmentId, Arc<dyn LocalSockets>);

/// What an operation meets on this node: the local sockets of its namespace, as far as its scope goes.
pub(crate) struct Here<'a> {
    entry: Option<Arc<Entry>>,
    scope: Scope,
    panics: &'a AtomicU64,
}

impl Registry {
    pub(crate) fn attach(&self, namespace: &Namespace, local: Arc<dyn LocalSockets>) -> AttachmentId {
        let id = AttachmentId(self.newest.fetch_add(1, Ordering::Relaxed));
        self.change(namespace, |entry| {
            let mut attached = entry.attached.write().unwrap_or_else(PoisonError::into_inner);
            *attached = attached.iter().cloned().chain([(id, local)]).collect();
        });
        id
    }

    pub(crate) fn detach(&self, id: AttachmentId) {
        let mut namespaces = self.namespaces.write().unwrap_or_else(PoisonError::into_inner);
        let mut dropped = Vec::new();
        namespaces.retain(|_, entry| {
            let mut attached = entry.attached.write().unwrap_or_else(PoisonError::into_inner);
            if attached.iter().any(|(other, _)| *other == id) {
                let left = attached.iter().filter(|(other, _)| *other != id).cloned().collect();
                dropped.push(std::mem::replace(&mut *attached, left));
            }
            drop(attached);
            !entry.is_empty()
        });
        drop(namespaces);
        drop(dropped); // foreign code may run: not under our lock
    }

    pub(crate) fn on_server_event(&self, namespace: &Namespace, events: ServerEvents) {
        self.change(namespace, |entry| *entry.events() = Some(events));
    }

    fn change(&self, namespace: &Namespace, change: impl FnOnce(&Entry)) {
        let mut namespaces = self.namespaces.write().unwrap_or_else(PoisonError::into_inner);
        change(namespaces.entry(namespace.clone()).or_default());
    }

    pub(crate) fn here(&self, namespace: &Namespace, scope: Scope) -> Here<'_> {
        let namespaces = self.namespaces.read().unwrap_or_else(PoisonError::into_inner);
        Here { entry: namespaces.get(namespace).cloned(), scope, panics: &self.panics }
    }

    /// Everything is let go.
    pub(crate) fn clear(&self) {
        let namespaces = std::mem::take(&mut *self.namespaces.write().unwrap_or_else(PoisonError::into_inner));
        drop(namespaces);
    }

    pub(crate) fn panics(&self) -> u64 {
        self.panics.load(Ordering::Relaxed)
    }
}

impl Entry {
    fn events(&self) -> MutexGuard<'_, Option<ServerEvents>> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_empty(&self) -> bool {
        let mut events = self.events();
        if events.as_ref().is_some_and(|events| events.is_closed()) {
            *events = None;
        }
        events.is_none() && self.attached.read().unwrap_or_else(PoisonError::into_inner).is_empty()
    }
}

impl Here<'_> {
    /// Keeps others from giving out numbers in this namespace until it is dropped.
    pub(crate) fn in_order(&self) -> Option<MutexGuard<'_, ()>> {
        self.entry.as_ref().map(|entry| entry.order.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn broadcast(&self, target: &Target, packet: &Packet) {
        self.each(|local| local.broadcast(target, packet));
    }

    pub(crate) fn broadcast_with_ack(&self, target: &Target, packet: &Packet, timeout: Duration, acks: Acks) {
        acks.expect(Vec::new()); // whoever is here or not: this node has understood the question
        self.each(|local| local.broadcast_with_ack(target, packet, timeout, acks.clone()));
    }

    pub(crate) fn change(&self, target: &Target, change: &Change) {
        self.each(|local| match change {
            Change::Join(rooms) => local.join(target, rooms),
            Change::Leave(rooms) => local.leave(target, rooms),
            Change::Disconnect => local.disconnect(target),
        });
    }

    pub(crate) fn sockets(&self, target: &Target, projection: Projection) -> Vec<LocalSocket> {
        let mut sockets = Vec::new();
        self.each(|local| sockets.append(&mut local.sockets(target, projection)));
        sockets
    }

    pub(crate) fn count(&self, target: &Target) -> u64 {
        let mut count = 0;
        self.each(|local| count += local.count(target));
        count
    }

    pub(crate) fn rooms(&self, target: &Target) -> Vec<Room> {
        let mut rooms = Vec::new();
        self.each(|local| rooms.append(&mut local.rooms(target)));
        rooms
    }

    /// Hands a server-side event over; gives it back when nobody takes it.
    pub(crate) fn server_event(&self, event: ServerEvent) -> Result<(), ServerEvent> {
        let events = self.entry.as_ref().and_then(|entry| entry.events().clone());
        match events {
            Some(events) => events.try_send(event).map_err(|refused| refused.into_inner()),
            None => Err(event),
        }
    }

    /// Calls into the local sockets; one that panics is counted, and stops nobody else.
    fn each(&self, mut call: impl FnMut(&dyn LocalSockets)) {
        let Some(entry) = &self.entry else { return };
        let attached = Arc::clone(&entry.attached.read().unwrap_or_else(PoisonError::into_inner));
        for (id, local) in attached.iter() {
            if self.scope == Scope::Beyond(*id) {
                continue;
            }
            if catch_unwind(AssertUnwindSafe(|| call(&**local))).is_err() {
                self.panics.fetch_add(1, Ordering::Relaxed);
                tracing::error!("local sockets panicked; the cluster goes on without their part");
            }
        }
    }
}
