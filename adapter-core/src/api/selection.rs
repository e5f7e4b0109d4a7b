//! The sockets that an operation means, of a node or an emitter.

use crate::model::{Error, IntoRooms, Result, Room, Target};

/// A target that is being built, with the first bad name that was given. The operation reports a bad name, and not the
/// selection, so that selecting needs no `?`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Selection {
    target: Target,
    bad: Option<String>,
}

impl Selection {
    pub(crate) fn to(&mut self, rooms: impl IntoRooms) {
        let rooms = self.check(rooms);
        self.target.rooms.get_or_insert_default().extend(rooms);
    }

    pub(crate) fn except(&mut self, rooms: impl IntoRooms) {
        let rooms = self.check(rooms);
        self.target.except.extend(rooms);
    }

    pub(crate) fn volatile(&mut self) {
        self.target.flags = self.target.flags.volatile();
    }

    fn check(&mut self, rooms: impl IntoRooms) -> Vec<Room> {
        rooms.into_rooms().unwrap_or_else(|bad| {
            self.bad.get_or_insert_with(|| bad.to_string());
            Vec::new()
        })
    }

    pub(crate) fn checked(self) -> Result<Target> {
        self.bad.map_or(Ok(self.target), |bad| Err(Error::config(bad)))
    }
}
