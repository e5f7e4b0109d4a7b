//! socketioxide's options of a broadcast, and our targets.

use roomcast_core::adapter::Target;
use roomcast_core::{Error, NodeId, Room, SocketId};
use socketioxide_core::adapter::{BroadcastFlags, BroadcastOptions};
use socketioxide_core::{Sid, Uid};

/// Which nodes can have the sockets that these options mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// This one alone, or none.
    Here,
    /// The one with this server id, for this socket of it.
    There(Sid, Uid),
    /// All of them.
    Everywhere,
}

impl Reach {
    /// `own` is the server id of this node. Options with neither rooms nor the broadcast flag mean their socket: without
    /// a server id it is one of this node that speaks for itself, with one it was described by that server.
    pub(crate) fn of(options: &BroadcastOptions, own: Uid) -> Self {
        if options.is_local(own) {
            return Self::Here;
        }
        if !options.rooms.is_empty() || options.has_flag(BroadcastFlags::Broadcast) {
            return Self::Everywhere;
        }
        match (options.sid, options.server_id) {
            (Some(socket), Some(server)) => Self::There(socket, server),
            _ => Self::Here,
        }
    }
}

/// The target that these options mean on other nodes. With the broadcast flag their socket is the sender, which is left
/// out; without rooms and without that flag it is the only one meant.
///
/// # Errors
/// `Config` for a room whose name is empty or too long for the cluster.
pub(crate) fn outgoing(options: &BroadcastOptions, node: Option<NodeId>) -> Result<Target, Error> {
    let broadcast = options.has_flag(BroadcastFlags::Broadcast);
    let mut target = match options.sid {
        _ if !options.rooms.is_empty() => Target::rooms(rooms(&options.rooms)?),
        _ if broadcast => Target::everyone(),
        Some(socket) => Target::socket(&SocketId::new(socket.as_str())?),
        None => Target::rooms([]),
    };
    if broadcast || !options.rooms.is_empty() {
        target.except = rooms(&options.except)?;
    }
    if let Some(sender) = options.sid.filter(|_| broadcast) {
        target.except.push(Room::new(sender.as_str())?);
    }
    if options.has_flag(BroadcastFlags::Volatile) {
        target.flags = target.flags.volatile();
    }
    target.node = node;
    Ok(target)
}

/// The options that mean the sockets of this target here; `None` for nobody. Rooms named by the id of a socket are
/// resolved where the options are used.
pub(crate) fn incoming(target: &Target) -> Option<BroadcastOptions> {
    let mut options = BroadcastOptions::default();
    match &target.rooms {
        Some(rooms) if rooms.is_empty() => return None,
        Some(rooms) => options.rooms.extend(rooms.iter().map(name)),
        None => options.add_flag(BroadcastFlags::Broadcast),
    }
    options.except.extend(target.except.iter().map(name));
    if target.flags.is_volatile() {
        options.add_flag(BroadcastFlags::Volatile);
    }
    Some(options)
}

/// The options that mean every socket here.
pub(crate) fn everyone() -> BroadcastOptions {
    let mut options = BroadcastOptions::default();
    options.add_flag(BroadcastFlags::Broadcast);
    options
}

/// A room's name as socketioxide wants it.
pub(crate) fn name(room: &Room) -> socketioxide_core::adapter::Room {
    room.as_str().to_owned().into()
}

/// Names of rooms as the core wants them.
///
/// # Errors
/// `Config` for one that is empty or too long.
pub(crate) fn rooms(names: &[socketioxide_core::adapter::Room]) -> Result<Vec<Room>, Error> {
    names.iter().map(|name| Room::new(&**name)).collect()
}

#[cfg(test)]
mod tests {
    use roomcast_core::ErrorKind;
    use socketioxide_core::adapter::RemoteSocketData;

    use super::*;

    fn options(rooms: &[&'static str], except: &[&'static str], flags: &[BroadcastFlags]) -> BroadcastOptions {
        let mut options = BroadcastOptions::default();
        options.rooms.extend(rooms.iter().map(|room| (*room).into()));
        options.except.extend(except.iter().map(|room| (*room).into()));
        flags.iter().for_each(|flag| options.add_flag(*flag));
        options
    }

    #[test]
    fn rooms_except_and_volatile_go_there_and_back() {
        use BroadcastFlags::{Broadcast, Volatile};
        for flags in [&[][..], &[Volatile]] {
            let sent = options(&["a", "b"], &["c"], flags);
            let target = outgoing(&sent, None).expect("valid");
            assert_eq!(target.flags.is_volatile(), flags.contains(&Volatile));
            assert_eq!(incoming(&target), Some(sent));
        }
        let everyone = options(&[], &["c"], &[Broadcast]);
        let target = outgoing(&everyone, None).expect("valid");
        assert_eq!(target.rooms, None);
        assert_eq!(incoming(&target), Some(everyone));
    }

    #[test]
    fn with_the_broadcast_flag_the_socket_is_the_sender_and_without_it_the_target() {
        let socket = Sid::new();
        let mut sent = options(&["a"], &[], &[BroadcastFlags::Broadcast]);
        sent.sid = Some(socket);
        let target = outgoing(&sent, None).expect("valid");
        assert_eq!(target.except[0].as_str(), socket.as_str());

        let target = outgoing(&BroadcastOptions::new(socket), None).expect("valid");
        assert_eq!(target, Target::socket(&SocketId::new(socket.as_str()).expect("valid")));
        let within = options(&["a"], &[], &[]);
        assert!(outgoing(&within, None).expect("valid").except.is_empty());
    }

    #[test]
    fn nobody_is_nobody_and_a_name_out_of_bounds_is_refused() {
        assert_eq!(incoming(&Target::rooms([])), None);
        assert!(outgoing(&BroadcastOptions::default(), None).expect("valid").is_nobody());
        let refused = outgoing(&options(&[""], &[], &[]), None).expect_err("empty");
        assert_eq!(refused.kind(), ErrorKind::Config);
    }

    #[test]
    fn only_what_can_be_elsewhere_leaves_the_node() {
        let (own, other, socket) = (Uid::new(), Uid::new(), Sid::new());
        let of = |options: &BroadcastOptions| Reach::of(options, own);
        assert_eq!(of(&options(&["a"], &[], &[])), Reach::Everywhere);
        assert_eq!(of(&options(&[], &[], &[BroadcastFlags::Broadcast])), Reach::Everywhere);
        assert_eq!(of(&options(&["a"], &[], &[BroadcastFlags::Local])), Reach::Here);
        assert_eq!(of(&BroadcastOptions::default()), Reach::Here);
        assert_eq!(of(&BroadcastOptions::new(socket)), Reach::Here);
        let remote = |server_id| RemoteSocketData { id: socket, server_id, ns: "/".into() };
        assert_eq!(of(&BroadcastOptions::new_remote(&remote(own))), Reach::Here);
        assert_eq!(of(&BroadcastOptions::new_remote(&remote(other))), Reach::There(socket, other));
    }
}
