//! What this node has in each namespace: local sockets, and where server-side events go.

use std::collections::HashMap;
use std::hash::Hash;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockWriteGuard};
use std::time::Duration;

use super::listeners::{self, HandedOver, Listeners};
use super::panics::{self, Panics};
use super::tally::{Counts, Tally};
use crate::model::{
    Error, LocalDropped, LocalSocket, Namespace, NamespaceStatus, Packet, Projection, Result, Room, SocketChange,
    Target,
};
use crate::seams::{Acks, AttachmentId, LocalSockets, Scope, ServerEvent, ServerEvents};

/// What this node has in each namespace. Namespaces without anything are not kept.
#[derive(Default)]
pub(crate) struct Registry {
    names: RwLock<Names>,
    /// Counts the changes of `names`.
    version: AtomicU64,
    newest: AtomicU64,
    panics: Panics,
    tally: Tally,
}

/// The namespaces and the attachments, which change together. Every change looks at one namespace, however many
/// there are: all that is received waits for it.
#[derive(Default)]
struct Names {
    entries: HashMap<Namespace, Arc<Entry>>,
    /// Where each attachment is.
    attachments: HashMap<AttachmentId, Namespace>,
}

/// One namespace.
struct Entry {
    counts: Arc<Counts>,
    /// Held while an operation of ours gets its number and is carried out here: the same order everywhere.
    order: Mutex<()>,
    attached: RwLock<Arc<[Attached]>>,
    events: Mutex<Listeners>,
}

#[derive(Clone)]
struct Attached {
    id: AttachmentId,
    counts: Arc<Counts>,
    key: Option<usize>,
    local: Arc<dyn LocalSockets>,
    /// What they had dropped before.
    dropped: LocalDropped,
}

/// What an operation meets on this node: the local sockets of its namespace, as far as its scope goes.
pub(crate) struct Here<'a> {
    entry: Option<Arc<Entry>>,
    scope: Scope,
    namespace: &'a Namespace,
    registry: &'a Registry,
}

/// The namespace that was looked up last, and the version of the registry at that time.
#[derive(Default)]
pub(crate) struct Found(Option<(u64, Namespace, Option<Arc<Entry>>)>);

impl Registry {
    /// # Errors
    /// `Config` when these sockets are attached to the namespace already.
    pub(crate) fn attach(&self, namespace: &Namespace, local: Arc<dyn LocalSockets>) -> Result<AttachmentId> {
        let id = AttachmentId(self.newest.fetch_add(1, Ordering::Relaxed));
        let (counts, key) = (self.tally.of(namespace), local.key());
        let mut new = Attached { id, counts, key, local, dropped: LocalDropped::default() };
        new.dropped = self.dropped_by(&new);
        let mut names = self.write();
        let entry = names.entry(namespace, &self.tally);
        let mut attached = entry.attached.write().unwrap_or_else(PoisonError::into_inner);
        if attached.iter().any(|other| other.is(&new)) {
            let text = format!(
                "these sockets are already attached to {namespace}: a second attachment would deliver everything twice"
            );
            return Err(Error::config(text));
        }
        *attached = attached.iter().cloned().chain([new]).collect();
        drop(attached);
        names.attachments.insert(id, namespace.clone());
        Ok(id)
    }

    pub(crate) fn detach(&self, id: AttachmentId) {
        let mut names = self.write();
        let Some(namespace) = names.attachments.remove(&id) else { return };
        let dropped = names.entries.get(&namespace).map(|entry| {
            let mut attached = entry.attached.write().unwrap_or_else(PoisonError::into_inner);
            let left = attached.iter().filter(|other| other.id != id).cloned().collect();
            std::mem::replace(&mut *attached, left)
        });
        let gone = names.tidy(&namespace);
        drop(names);
        // Foreign code may run: not under our lock.
        dropped.iter().flat_map(|all| all.iter()).filter(|other| other.id == id).for_each(|other| self.retire(other));
        drop((dropped, gone));
    }

    pub(crate) fn on_server_event(&self, namespace: &Namespace, event: Option<&str>, events: ServerEvents) {
        let mut names = self.write();
        let before = names.entry(namespace, &self.tally).events().add(event, events);
        drop(names);
        drop(before); // its reader wakes: not under our lock
    }

    /// These events go nowhere any more, unless others have taken their place.
    pub(crate) fn forget_server_events(&self, namespace: &Namespace, events: &ServerEvents) {
        self.forget_listeners(namespace, |listeners| listeners.remove(|_, other| other.same_channel(events)));
    }

    pub(crate) fn forget_server_events_named(&self, namespace: &Namespace, event: &str) {
        self.forget_listeners(namespace, |listeners| listeners.remove(|name, _| name == Some(event)));
    }

    fn forget_listeners(&self, namespace: &Namespace, remove: impl FnOnce(&mut Listeners) -> Vec<ServerEvents>) {
        let mut names = self.write();
        let before = names.entries.get(namespace).map(|entry| remove(&mut entry.events()));
        let gone = names.tidy(namespace);
        drop(names);
        drop((before, gone)); // readers wake: not under our lock
    }

    /// Hands a server-side event to everybody who gets it; returns how many have not taken it. Where nobody has, its sender learns
    /// that there is no reply.
    pub(crate) fn server_event(&self, event: ServerEvent) -> u64 {
        let entry = self.here(&event.namespace, Scope::Cluster).entry;
        let listeners = entry.map(|entry| entry.events().of(&event.event)).unwrap_or_default();
        let namespace = event.namespace.clone();
        let HandedOver { refused, full, closed } = listeners::hand_over(event, &listeners);
        closed.iter().for_each(|events| self.forget_server_events(&namespace, events));
        full.max(u64::from(refused.is_some()))
    }

    fn write(&self) -> RwLockWriteGuard<'_, Names> {
        let names = self.names.write().unwrap_or_else(PoisonError::into_inner);
        // A reader that sees the new number waits for this lock, so it sees the change as well.
        self.version.fetch_add(1, Ordering::Release);
        names
    }

    pub(crate) fn here<'a>(&'a self, namespace: &'a Namespace, scope: Scope) -> Here<'a> {
        let names = self.names.read().unwrap_or_else(PoisonError::into_inner);
        Here { entry: names.entries.get(namespace).cloned(), scope, namespace, registry: self }
    }

    /// The same, by the namespace that was looked up before if it is still the one, and nothing has changed.
    pub(crate) fn here_again<'a>(&'a self, before: &mut Found, namespace: &'a Namespace, scope: Scope) -> Here<'a> {
        let version = self.version.load(Ordering::Acquire);
        let known = before.0.as_ref().filter(|(then, name, _)| *then == version && name == namespace);
        if let Some((.., entry)) = known {
            return Here { entry: entry.clone(), scope, namespace, registry: self };
        }
        let here = self.here(namespace, scope);
        before.0 = Some((version, namespace.clone(), here.entry.clone()));
        here
    }

    /// Everything is let go.
    pub(crate) fn clear(&self) {
        let names = std::mem::take(&mut *self.write());
        // Foreign code may run: not under our lock.
        names.entries.values().for_each(|entry| entry.attached().iter().for_each(|attached| self.retire(attached)));
        drop(names);
    }

    /// What all local sockets have dropped, those that are detached included.
    pub(crate) fn local_dropped(&self) -> LocalDropped {
        let mut sum = LocalDropped::default();
        self.tally.all().iter().for_each(|(_, counts)| sum += counts.dropped_before());
        self.each_attached(|attached| sum += self.dropped_by(attached));
        sum
    }

    /// What was sent, delivered and dropped, by namespace.
    pub(crate) fn namespaces(&self) -> Vec<NamespaceStatus> {
        let mut dropped: HashMap<_, LocalDropped> = HashMap::new();
        self.each_attached(|attached| {
            *dropped.entry(Arc::as_ptr(&attached.counts)).or_default() += self.dropped_by(attached);
        });
        let status = |(name, counts): (Option<Namespace>, Arc<Counts>)| {
            let namespace = name.map_or_else(|| "other".to_owned(), |name| name.to_string());
            let mut sum = counts.dropped_before();
            sum += dropped.get(&Arc::as_ptr(&counts)).copied().unwrap_or_default();
            NamespaceStatus { namespace, sent: counts.sent(), delivered: counts.delivered(), dropped: sum }
        };
        self.tally.all().into_iter().map(status).collect()
    }

    /// Looks at everything that is attached now. Foreign code may run: not under our lock.
    fn each_attached(&self, look: impl FnMut(&Attached)) {
        let entries: Vec<_> = {
            let names = self.names.read().unwrap_or_else(PoisonError::into_inner);
            names.entries.values().map(|entry| entry.attached()).collect()
        };
        entries.iter().flat_map(|attached| attached.iter()).for_each(look);
    }

    /// Keeps what local sockets have dropped, for when they are gone.
    fn retire(&self, attached: &Attached) {
        attached.counts.keep_dropped(self.dropped_by(attached));
    }

    fn dropped_by(&self, attached: &Attached) -> LocalDropped {
        let dropped = catch_unwind(AssertUnwindSafe(|| attached.local.dropped())).unwrap_or_else(|panic| {
            self.panics.note("local sockets", &panics::message(&*panic));
            LocalDropped::default()
        });
        dropped.since(attached.dropped)
    }

    pub(crate) fn panics(&self) -> &Panics {
        &self.panics
    }
}

impl Names {
    /// The entry of this namespace, made if it is new.
    fn entry(&mut self, namespace: &Namespace, tally: &Tally) -> &Arc<Entry> {
        let new = || Arc::new(Entry::new(tally.of(namespace)));
        self.entries.entry(namespace.clone()).or_insert_with(new)
    }

    /// Forgets a namespace in which there is nothing, and gives back the memory that many took.
    fn tidy(&mut self, namespace: &Namespace) -> Option<Arc<Entry>> {
        let gone = self.entries.get(namespace).is_some_and(|entry| entry.is_empty());
        let gone = if gone { self.entries.remove(namespace) } else { None };
        shrink(&mut self.entries);
        shrink(&mut self.attachments);
        gone
    }
}

/// Gives memory back once most of it is unused: seldom enough that it costs nothing on the average.
fn shrink<K: Eq + Hash, V>(map: &mut HashMap<K, V>) {
    if map.capacity() > 64 && map.len() < map.capacity() / 4 {
        map.shrink_to(map.len() * 2);
    }
}

impl Attached {
    fn is(&self, other: &Self) -> bool {
        std::ptr::addr_eq(Arc::as_ptr(&self.local), Arc::as_ptr(&other.local))
            || self.key.is_some() && self.key == other.key
    }
}

impl Entry {
    fn new(counts: Arc<Counts>) -> Self {
        Self { counts, order: Mutex::default(), attached: RwLock::default(), events: Mutex::default() }
    }

    fn events(&self) -> MutexGuard<'_, Listeners> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn attached(&self) -> Arc<[Attached]> {
        Arc::clone(&self.attached.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn is_empty(&self) -> bool {
        self.events().is_empty() && self.attached().is_empty()
    }
}

impl Here<'_> {
    /// Keeps others from giving out numbers in this namespace until it is dropped.
    pub(crate) fn in_order(&self) -> Option<MutexGuard<'_, ()>> {
        self.entry.as_ref().map(|entry| entry.order.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Counts an operation that leaves for other nodes.
    pub(crate) fn count_sent(&self) {
        match &self.entry {
            Some(entry) => entry.counts.count_sent(),
            None => self.registry.tally.of(self.namespace).count_sent(),
        }
    }

    /// Counts a broadcast of another node, if it meets any sockets here.
    pub(crate) fn count_delivered(&self) {
        let met = self.entry.as_ref().filter(|entry| !entry.attached().is_empty());
        met.into_iter().for_each(|entry| entry.counts.count_delivered());
    }

    /// Whether a server-side event of this name has a handler.
    pub(crate) fn handles(&self, event: &str) -> bool {
        self.entry.as_ref().is_some_and(|entry| !entry.events().of(event).is_empty())
    }

    pub(crate) fn broadcast(&self, target: &Target, packet: &Packet) {
        self.each(|local| local.broadcast(target, packet));
    }

    pub(crate) fn broadcast_with_ack(&self, target: &Target, packet: &Packet, timeout: Duration, acks: Acks) {
        acks.expect(Vec::new()); // whoever is here or not: this node has understood the question
        self.each(|local| local.broadcast_with_ack(target, packet, timeout, acks.clone()));
    }

    pub(crate) fn change(&self, target: &Target, change: &SocketChange) {
        self.each(|local| match change {
            SocketChange::Join(rooms) => local.join(target, rooms),
            SocketChange::Leave(rooms) => local.leave(target, rooms),
            SocketChange::Disconnect => local.disconnect(target),
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

    /// Whether any of the local sockets can read the packet; without local sockets, nothing is known against it.
    ///
    /// # Errors
    /// `Config`, as the last one gave it.
    pub(crate) fn check(&self, packet: &Packet) -> Result<()> {
        let (mut readable, mut refused) = (false, None);
        self.each(|local| match local.check(packet) {
            Ok(()) => readable = true,
            Err(error) => refused = Some(error),
        });
        refused.filter(|_| !readable).map_or(Ok(()), Err)
    }

    /// Whether any local sockets are within the scope.
    pub(crate) fn has_sockets(&self) -> bool {
        self.entry.as_ref().is_some_and(|entry| entry.attached().iter().any(|attached| self.reaches(attached)))
    }

    fn reaches(&self, attached: &Attached) -> bool {
        self.scope != Scope::Beyond(attached.id)
    }

    /// Calls into the local sockets; one that panics is counted, and stops nobody else.
    fn each(&self, mut call: impl FnMut(&dyn LocalSockets)) {
        let Some(entry) = &self.entry else { return };
        for attached in entry.attached().iter().filter(|attached| self.reaches(attached)) {
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| call(&*attached.local))) {
                let what = format!("local sockets of {}", self.namespace);
                self.registry.panics.note(&what, &panics::message(&*panic));
            }
        }
    }
}

#[cfg(test)]
#[path = "registry_tests.rs"]
mod tests;
