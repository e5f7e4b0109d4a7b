//! What this node has in each namespace: local sockets, and where server-side events go.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use crate::{
    Acks, AttachmentId, Change, LocalDropped, LocalSocket, LocalSockets, Namespace, Packet, Projection, Result, Room,
    Scope, ServerEvent, ServerEvents, Target,
};

/// What this node has in each namespace. Namespaces without anything are not kept.
#[derive(Default)]
pub(super) struct Registry {
    namespaces: RwLock<HashMap<Namespace, Arc<Entry>>>,
    newest: AtomicU64,
    panics: AtomicU64,
    /// What local sockets that are detached had dropped until then.
    dropped_before: Mutex<LocalDropped>,
}

/// One namespace.
#[derive(Default)]
pub(super) struct Entry {
    /// Held while an operation of ours gets its number and is carried out here: the same order everywhere.
    order: Mutex<()>,
    attached: RwLock<Arc<[Attached]>>,
    events: Mutex<Option<ServerEvents>>,
}

type Attached = (AttachmentId, Arc<dyn LocalSockets>);

/// What an operation meets on this node: the local sockets of its namespace, as far as its scope goes.
pub(super) struct Here<'a> {
    entry: Option<Arc<Entry>>,
    scope: Scope,
    panics: &'a AtomicU64,
}

impl Registry {
    pub(super) fn attach(&self, namespace: &Namespace, local: Arc<dyn LocalSockets>) -> AttachmentId {
        let id = AttachmentId(self.newest.fetch_add(1, Ordering::Relaxed));
        self.change(namespace, |entry| {
            let mut attached = entry.attached.write().unwrap_or_else(PoisonError::into_inner);
            *attached = attached.iter().cloned().chain([(id, local)]).collect();
        });
        id
    }

    pub(super) fn detach(&self, id: AttachmentId) {
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
        // Foreign code may run: not under our lock.
        dropped.iter().flat_map(|entry| entry.iter()).filter(|(other, _)| *other == id).for_each(|a| self.retire(a));
        drop(dropped);
    }

    pub(super) fn on_server_event(&self, namespace: &Namespace, events: ServerEvents) {
        self.change(namespace, |entry| *entry.events() = Some(events));
    }

    fn change(&self, namespace: &Namespace, change: impl FnOnce(&Entry)) {
        let mut namespaces = self.namespaces.write().unwrap_or_else(PoisonError::into_inner);
        change(namespaces.entry(namespace.clone()).or_default());
    }

    pub(super) fn here(&self, namespace: &Namespace, scope: Scope) -> Here<'_> {
        let namespaces = self.namespaces.read().unwrap_or_else(PoisonError::into_inner);
        Here { entry: namespaces.get(namespace).cloned(), scope, panics: &self.panics }
    }

    /// Everything is let go.
    pub(super) fn clear(&self) {
        let namespaces = std::mem::take(&mut *self.namespaces.write().unwrap_or_else(PoisonError::into_inner));
        namespaces.values().for_each(|entry| entry.attached().iter().for_each(|attached| self.retire(attached)));
        drop(namespaces);
    }

    /// What all local sockets have dropped, those that are detached included.
    pub(super) fn local_dropped(&self) -> LocalDropped {
        let entries: Vec<_> = {
            let namespaces = self.namespaces.read().unwrap_or_else(PoisonError::into_inner);
            namespaces.values().cloned().collect()
        };
        let mut sum = *self.dropped_before.lock().unwrap_or_else(PoisonError::into_inner);
        entries.iter().for_each(|entry| entry.attached().iter().for_each(|attached| sum += self.dropped_by(attached)));
        sum
    }

    /// Keeps what local sockets have dropped, for when they are gone.
    fn retire(&self, attached: &Attached) {
        let dropped = self.dropped_by(attached);
        *self.dropped_before.lock().unwrap_or_else(PoisonError::into_inner) += dropped;
    }

    fn dropped_by(&self, (_, local): &Attached) -> LocalDropped {
        catch_unwind(AssertUnwindSafe(|| local.dropped())).unwrap_or_else(|_| {
            self.panics.fetch_add(1, Ordering::Relaxed);
            LocalDropped::default()
        })
    }

    pub(super) fn panics(&self) -> u64 {
        self.panics.load(Ordering::Relaxed)
    }
}

impl Entry {
    fn attached(&self) -> Arc<[Attached]> {
        Arc::clone(&self.attached.read().unwrap_or_else(PoisonError::into_inner))
    }

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
    pub(super) fn in_order(&self) -> Option<MutexGuard<'_, ()>> {
        self.entry.as_ref().map(|entry| entry.order.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether any of the local sockets can read the packet; without local sockets, nothing is known against it.
    ///
    /// # Errors
    /// `Config`, as the last one gave it.
    pub(super) fn check(&self, packet: &Packet) -> Result<()> {
        let (mut readable, mut refused) = (false, None);
        self.each(|local| match local.check(packet) {
            Ok(()) => readable = true,
            Err(error) => refused = Some(error),
        });
        refused.filter(|_| !readable).map_or(Ok(()), Err)
    }

    pub(super) fn broadcast(&self, target: &Target, packet: &Packet) {
        self.each(|local| local.broadcast(target, packet));
    }

    pub(super) fn broadcast_with_ack(&self, target: &Target, packet: &Packet, timeout: Duration, acks: Acks) {
        acks.expect(Vec::new()); // whoever is here or not: this node has understood the question
        self.each(|local| local.broadcast_with_ack(target, packet, timeout, acks.clone()));
    }

    pub(super) fn change(&self, target: &Target, change: &Change) {
        self.each(|local| match change {
            Change::Join(rooms) => local.join(target, rooms),
            Change::Leave(rooms) => local.leave(target, rooms),
            Change::Disconnect => local.disconnect(target),
        });
    }

    pub(super) fn sockets(&self, target: &Target, projection: Projection) -> Vec<LocalSocket> {
        let mut sockets = Vec::new();
        self.each(|local| sockets.append(&mut local.sockets(target, projection)));
        sockets
    }

    pub(super) fn count(&self, target: &Target) -> u64 {
        let mut count = 0;
        self.each(|local| count += local.count(target));
        count
    }

    pub(super) fn rooms(&self, target: &Target) -> Vec<Room> {
        let mut rooms = Vec::new();
        self.each(|local| rooms.append(&mut local.rooms(target)));
        rooms
    }

    /// Hands a server-side event over; gives it back when nobody takes it.
    pub(super) fn server_event(&self, event: ServerEvent) -> Result<(), ServerEvent> {
        let events = self.entry.as_ref().and_then(|entry| entry.events().clone());
        match events {
            Some(events) => events.try_send(event).map_err(|refused| refused.into_inner()),
            None => Err(event),
        }
    }

    /// Calls into the local sockets; one that panics is counted, and stops nobody else.
    fn each(&self, mut call: impl FnMut(&dyn LocalSockets)) {
        let Some(entry) = &self.entry else { return };
        for (id, local) in entry.attached().iter() {
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
