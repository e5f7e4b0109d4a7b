//! Which sockets an operation means.

use serde::{Deserialize, Serialize};

use crate::model::serial::list;
use crate::model::{NodeId, Room, SocketId};

/// The sockets of a namespace that an operation means: those in any of `rooms`, without those in any of `except`.
///
/// A socket in several of the rooms is meant once. `rooms: None` is everyone; an empty list is nobody.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Target {
    /// The rooms, or `None` for every socket of the namespace.
    #[serde(with = "list::optional")]
    pub rooms: Option<Vec<Room>>,
    /// Sockets in any of these rooms are left out, whatever other rooms they are in.
    #[serde(with = "list")]
    pub except: Vec<Room>,
    /// If set, only sockets of this node are meant.
    pub node: Option<NodeId>,
    /// How the packet may be handled on the way.
    pub flags: TargetFlags,
}

impl Target {
    /// Every socket of the namespace.
    pub fn everyone() -> Self {
        Self::default()
    }

    /// The sockets in any of these rooms.
    pub fn rooms(rooms: impl IntoIterator<Item = Room>) -> Self {
        Self { rooms: Some(rooms.into_iter().collect()), ..Self::default() }
    }

    /// One socket, wherever it is.
    pub fn socket(id: &SocketId) -> Self {
        Self::rooms([id.room()])
    }

    /// Leaves out the sockets in any of these rooms.
    #[must_use]
    pub fn except(mut self, rooms: impl IntoIterator<Item = Room>) -> Self {
        self.except.extend(rooms);
        self
    }

    /// Whether no socket anywhere can match.
    pub fn is_nobody(&self) -> bool {
        self.rooms.as_ref().is_some_and(Vec::is_empty)
    }

    /// Whether sockets of that node can match.
    pub fn concerns(&self, node: NodeId) -> bool {
        self.node.is_none_or(|only| only == node)
    }

    /// Whether a socket in the rooms that `is_in` affirms is meant. The plain reading of the definition:
    /// for local sockets without an index, and for tests of those with one.
    pub fn matches(&self, is_in: impl Fn(&Room) -> bool) -> bool {
        self.rooms.as_ref().is_none_or(|rooms| rooms.iter().any(&is_in)) && !self.except.iter().any(&is_in)
    }
}

/// How a packet may be handled; on the wire one byte, whose unknown bits are kept and ignored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TargetFlags(u8);

impl TargetFlags {
    const VOLATILE: u8 = 1;

    /// The packet may be dropped: for a socket that is not ready, and by a cluster that is not connected.
    #[must_use]
    pub const fn volatile(self) -> Self {
        Self(self.0 | Self::VOLATILE)
    }

    /// Whether the packet may be dropped.
    pub const fn is_volatile(self) -> bool {
        self.0 & Self::VOLATILE != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(name: &str) -> Room {
        Room::new(name).expect("valid")
    }

    #[test]
    fn no_rooms_is_everyone_and_an_empty_list_is_nobody() {
        assert!(Target::everyone().matches(|_| false));
        assert!(!Target::rooms([]).matches(|_| true));
        assert!(Target::rooms([]).is_nobody() && !Target::everyone().is_nobody());
    }

    #[test]
    fn except_beats_rooms() {
        let target = Target::rooms([room("a"), room("b")]).except([room("muted")]);
        assert!(target.matches(|room| room.as_str() == "b"));
        assert!(!target.matches(|room| ["b", "muted"].contains(&room.as_str())));
    }
}
