//! Which socket is in which room: no queues, no locks, no waiting.

use std::collections::HashMap;

use super::few::Few;
use super::slab::{Slab, slim};
use crate::model::{Room, SocketId, Target};

/// The sockets of a hub and the rooms they are in.
///
/// Sockets and rooms have numbers, so that selecting the sockets of a target costs a few comparisons of numbers for
/// each and allocates nothing for any. The private room of a socket is not stored: a room named as a socket's id
/// means that socket too. A room is there from its first member to its last.
pub(super) struct Index<T> {
    sockets: Slab<Entry<T>>,
    rooms: Slab<Hall>,
    /// What each name means: one look is enough for a room and for the socket whose private room it is.
    names: HashMap<Room, Named>,
    born: u64,
}

/// Identifies one connection. A later connection in the same place, or with the same id, has another key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key {
    slot: u32,
    born: u64,
}

/// A socket.
pub(super) struct Entry<T> {
    pub(super) id: SocketId,
    pub(super) value: T,
    born: u64,
    /// Sorted by room.
    rooms: Vec<Membership>,
}

#[derive(Clone, Copy)]
struct Membership {
    room: u32,
    /// The socket's place in the room's list of members, which makes leaving as cheap as joining.
    at: u32,
}

struct Hall {
    name: Room,
    members: Vec<u32>,
}

/// What a name means: at least one of the two.
#[derive(Clone, Copy, Default)]
struct Named {
    room: Option<u32>,
    /// The socket with this id.
    socket: Option<u32>,
}

/// A target's rooms as numbers, sorted, each once.
#[derive(Default)]
struct Resolved {
    rooms: Few<u32, 4>,
    /// The sockets whose private rooms are among them.
    sockets: Few<u32, 4>,
}

impl<T> Index<T> {
    pub(super) fn new() -> Self {
        Self { sockets: Slab::new(), rooms: Slab::new(), names: HashMap::new(), born: 0 }
    }

    /// How many sockets there are.
    pub(super) fn sockets(&self) -> usize {
        self.sockets.len()
    }

    /// How many rooms there are, private ones aside.
    pub(super) fn rooms(&self) -> usize {
        self.rooms.len()
    }

    /// Adds a socket; returns `None` if its id is taken.
    pub(super) fn insert(&mut self, id: SocketId, value: T) -> Option<Key> {
        let named = self.names.entry(id.room()).or_default();
        if named.socket.is_some() {
            return None;
        }
        self.born += 1;
        let slot = self.sockets.insert(Entry { id, value, born: self.born, rooms: Vec::new() });
        named.socket = Some(slot);
        Some(Key { slot, born: self.born })
    }

    /// Removes a socket, from all rooms as well.
    pub(super) fn remove(&mut self, key: Key) -> Option<T> {
        self.get(key)?;
        let entry = self.sockets.remove(key.slot)?;
        self.unname(entry.id.as_str(), |named| named.socket = None);
        for membership in entry.rooms {
            self.vacate(membership);
        }
        Some(entry.value)
    }

    /// The socket, if it is still there.
    pub(super) fn get(&self, key: Key) -> Option<&Entry<T>> {
        self.sockets.get(key.slot).filter(|entry| entry.born == key.born)
    }

    /// Puts these sockets into these rooms.
    pub(super) fn join(&mut self, keys: &[Key], rooms: &[Room]) {
        for name in rooms {
            let Named { room: mut slot, socket: private } = self.named(name);
            for key in keys {
                if private == Some(key.slot) || self.get(*key).is_none() {
                    continue; // everyone is in its private room already
                }
                let room = match slot {
                    Some(room) => room,
                    None => self.open(name),
                };
                slot = Some(room);
                self.add(key.slot, room);
            }
        }
    }

    /// Takes these sockets out of these rooms.
    pub(super) fn leave(&mut self, keys: &[Key], rooms: &[Room]) {
        for name in rooms {
            for key in keys {
                // Looked up each time: the room may be gone with the last socket, and its number given away.
                let Some(room) = self.named(name).room else { break };
                if self.get(*key).is_some() {
                    self.withdraw(key.slot, room);
                }
            }
        }
    }

    /// The rooms of one socket.
    pub(super) fn rooms_of(&self, key: Key) -> Vec<Room> {
        self.get(key).map(|entry| self.rooms_in(entry)).unwrap_or_default()
    }

    /// The rooms of an entry.
    pub(super) fn rooms_in(&self, entry: &Entry<T>) -> Vec<Room> {
        entry.rooms.iter().filter_map(|m| Some(self.rooms.get(m.room)?.name.clone())).collect()
    }

    /// The rooms that the sockets of a target are in, each once.
    pub(super) fn rooms_for(&self, target: &Target) -> Vec<Room> {
        let mut found = vec![false; self.rooms.end()];
        self.select(target, |_, entry| {
            for membership in &entry.rooms {
                found[membership.room as usize] = true;
            }
        });
        self.rooms.iter().filter(|(room, _)| found[*room as usize]).map(|(_, hall)| hall.name.clone()).collect()
    }

    /// The keys of a target's sockets, for work on them while the index changes.
    pub(super) fn keys(&self, target: &Target) -> Vec<Key> {
        let mut keys = Vec::new();
        self.select(target, |key, _| keys.push(key));
        keys
    }

    /// Visits every socket of a target, each once.
    pub(super) fn select<'a>(&'a self, target: &Target, mut visit: impl FnMut(Key, &'a Entry<T>)) {
        let wanted = target.rooms.as_ref().map(|rooms| self.resolve(rooms));
        if wanted.as_ref().is_some_and(Resolved::is_empty) {
            return; // most of what a cluster sends is for sockets of other nodes
        }
        let except = self.resolve(&target.except);
        let mut show = |slot: u32, entry: &'a Entry<T>| {
            if !except.contains(slot, &entry.rooms) {
                visit(Key { slot, born: entry.born }, entry);
            }
        };
        let Some(wanted) = &wanted else {
            return self.sockets.iter().for_each(|(slot, entry)| show(slot, entry));
        };
        let (rooms, sockets) = (wanted.rooms.as_slice(), wanted.sockets.as_slice());
        for (i, room) in rooms.iter().enumerate() {
            let earlier = &rooms[..i];
            for slot in self.rooms.get(*room).into_iter().flat_map(|hall| &hall.members) {
                // A socket that is in an earlier room as well was shown there.
                if let Some(entry) = self.sockets.get(*slot).filter(|entry| !meet(&entry.rooms, earlier)) {
                    show(*slot, entry);
                }
            }
        }
        for slot in sockets {
            if let Some(entry) = self.sockets.get(*slot).filter(|entry| !meet(&entry.rooms, rooms)) {
                show(*slot, entry);
            }
        }
    }

    fn named(&self, name: &Room) -> Named {
        self.names.get(name).copied().unwrap_or_default()
    }

    fn resolve(&self, names: &[Room]) -> Resolved {
        let mut resolved = Resolved::default();
        for name in names {
            let Named { room, socket } = self.named(name);
            resolved.rooms.extend(room);
            resolved.sockets.extend(socket);
        }
        if names.len() > 1 {
            resolved.rooms.sort();
            resolved.sockets.sort();
        }
        resolved
    }

    /// A name means one thing less. One that means nothing is forgotten, and memory that is mostly unused given back.
    fn unname(&mut self, name: &str, change: impl FnOnce(&mut Named)) {
        const KEPT: usize = 16;
        let Some(named) = self.names.get_mut(name) else { return };
        change(named);
        if named.room.is_some() || named.socket.is_some() {
            return;
        }
        self.names.remove(name);
        if self.names.capacity() > 4 * self.names.len() + KEPT {
            self.names.shrink_to(2 * self.names.len());
        }
    }

    fn open(&mut self, name: &Room) -> u32 {
        let room = self.rooms.insert(Hall { name: name.clone(), members: Vec::new() });
        self.names.entry(name.clone()).or_default().room = Some(room);
        room
    }

    fn add(&mut self, slot: u32, room: u32) {
        let (Some(entry), Some(hall)) = (self.sockets.get_mut(slot), self.rooms.get_mut(room)) else { return };
        if let Err(place) = entry.rooms.binary_search_by_key(&room, |m| m.room) {
            entry.rooms.insert(place, Membership { room, at: hall.members.len() as u32 });
            hall.members.push(slot);
        }
    }

    fn withdraw(&mut self, slot: u32, room: u32) {
        let Some(entry) = self.sockets.get_mut(slot) else { return };
        if let Ok(place) = entry.rooms.binary_search_by_key(&room, |m| m.room) {
            let membership = entry.rooms.remove(place);
            slim(&mut entry.rooms);
            self.vacate(membership);
        }
    }

    /// Removes a member from the room's list; the last member of the list moves to its place.
    fn vacate(&mut self, Membership { room, at }: Membership) {
        let Some(hall) = self.rooms.get_mut(room) else { return };
        hall.members.swap_remove(at as usize);
        slim(&mut hall.members);
        if let Some(moved) = hall.members.get(at as usize).and_then(|slot| self.sockets.get_mut(*slot)) {
            if let Ok(place) = moved.rooms.binary_search_by_key(&room, |m| m.room) {
                moved.rooms[place].at = at;
            }
        } else if hall.members.is_empty()
            && let Some(hall) = self.rooms.remove(room)
        {
            self.unname(hall.name.as_str(), |named| named.room = None);
        }
    }
}

impl Resolved {
    fn is_empty(&self) -> bool {
        self.rooms.as_slice().is_empty() && self.sockets.as_slice().is_empty()
    }

    fn contains(&self, slot: u32, rooms: &[Membership]) -> bool {
        meet(rooms, self.rooms.as_slice()) || self.sockets.as_slice().binary_search(&slot).is_ok()
    }
}

/// Whether two sorted lists have a room in common: the shorter one is looked up in the longer one.
fn meet(memberships: &[Membership], rooms: &[u32]) -> bool {
    if rooms.len() <= memberships.len() {
        rooms.iter().any(|room| memberships.binary_search_by_key(room, |m| m.room).is_ok())
    } else {
        memberships.iter().any(|m| rooms.binary_search(&m.room).is_ok())
    }
}

#[cfg(test)]
mod tests;
