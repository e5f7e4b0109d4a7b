//! What is done to sockets.

use crate::model::Room;

/// What to do to sockets.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SocketChange {
    /// Put them into rooms.
    Join(Vec<Room>),
    /// Take them out of rooms.
    Leave(Vec<Room>),
    /// Disconnect them.
    Disconnect,
}
