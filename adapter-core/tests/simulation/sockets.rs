//! The local sockets of a node, written plainly.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::broken::Bug;
use crate::model::{LocalSocket, Namespace, Projection, Room, SocketChange, SocketId, Target};

/// Sockets with their rooms.
#[derive(Clone, Debug, Default)]
pub(super) struct Sockets {
    all: BTreeMap<SocketId, (Namespace, BTreeSet<Room>)>,
    /// Joined again: for a bug that counts.
    twice: BTreeSet<(SocketId, Room)>,
}

impl Sockets {
    pub(super) fn connect(&mut self, socket: SocketId, namespace: Namespace, rooms: &[Room]) {
        self.all.insert(socket, (namespace, rooms.iter().cloned().collect()));
    }

    /// The sockets that a target means.
    pub(super) fn meant(&self, namespace: &Namespace, target: &Target) -> Vec<SocketId> {
        let meant = |(id, (of, rooms)): &(&SocketId, &(Namespace, BTreeSet<Room>))| {
            of == namespace && target.matches(|room| rooms.contains(room) || room.as_str() == id.as_str())
        };
        self.all.iter().filter(meant).map(|(id, _)| id.clone()).collect()
    }

    pub(super) fn change(&mut self, namespace: &Namespace, target: &Target, change: &SocketChange, bug: Option<Bug>) {
        for id in self.meant(namespace, target) {
            let Some((_, rooms)) = self.all.get_mut(&id) else { continue };
            match change {
                SocketChange::Join(joined) if bug == Some(Bug::HalfAJoin) => rooms.extend(joined.first().cloned()),
                SocketChange::Join(joined) if bug == Some(Bug::RoomsCounted) => {
                    self.twice.extend(
                        joined
                            .iter()
                            .filter(|room| !rooms.insert((*room).clone()))
                            .map(|room| (id.clone(), room.clone())),
                    );
                }
                SocketChange::Leave(left) if bug == Some(Bug::RoomsCounted) => {
                    rooms.retain(|room| !left.contains(room) || self.twice.remove(&(id.clone(), room.clone())));
                }
                SocketChange::Join(joined) => rooms.extend(joined.iter().cloned()),
                SocketChange::Leave(left) => rooms.retain(|room| !left.contains(room)),
                SocketChange::Disconnect => drop(self.all.remove(&id)),
            }
        }
    }

    pub(super) fn describe(&self, namespace: &Namespace, target: &Target, projection: Projection) -> Vec<LocalSocket> {
        let describe = |id: SocketId| {
            let (_, rooms) = &self.all[&id];
            let rooms = if projection == Projection::Ids { Vec::new() } else { rooms.iter().cloned().collect() };
            LocalSocket { id, rooms, data: Bytes::new() }
        };
        self.meant(namespace, target).into_iter().map(describe).collect()
    }

    pub(super) fn rooms(&self, namespace: &Namespace, target: &Target) -> Vec<Room> {
        let ids = self.meant(namespace, target);
        let rooms: BTreeSet<_> = ids.iter().flat_map(|id| self.all[id].1.iter().cloned()).collect();
        rooms.into_iter().collect()
    }
}
