//! What other nodes ask of this node's sockets.

use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use roomcast_core::adapter::{Acks, LocalDropped, LocalSocket, LocalSockets, Target};
use roomcast_core::{AckError, Packet, Projection, Result, Room, SocketId};
use socketioxide_core::adapter::{BroadcastFlags, SocketEmitter};
use socketioxide_core::{Sid, adapter, packet};
use tokio::runtime::Handle;

use crate::sockets::{LocalAcks, Sockets};
use crate::{acks, target, value};

impl<E: SocketEmitter> LocalSockets for Sockets<E> {
    fn broadcast(&self, target: &Target, packet: &Packet) {
        let Some(options) = target::incoming(target) else { return };
        // Before anything is read or copied: most of what other nodes send is for nobody here.
        let sockets = self.targets(options.clone());
        if sockets.is_empty() {
            return;
        }
        let Some(value) = self.reader.packet(packet) else { return };
        let packet = packet::Packet::event(self.path().clone(), value);
        if options.has_flag(BroadcastFlags::Volatile) {
            let _ = self.deliver(packet, options); // upstream tells nothing of volatile ones
        } else {
            self.give(packet, options, sockets);
        }
    }

    fn broadcast_with_ack(&self, target: &Target, packet: &Packet, timeout: Duration, acks: Acks) {
        let Some(options) = target::incoming(target) else { return };
        let sockets: Vec<_> = self.fetch(options.clone()).into_iter().filter_map(|socket| id(socket.id)).collect();
        acks.expect(sockets.clone());
        if sockets.is_empty() {
            return;
        }
        let Some(value) = self.reader.packet(packet) else {
            let answer = AckError::Other(acks::decode_error("the event cannot be encoded for this socket's node"));
            return sockets.into_iter().for_each(|socket| acks.ack(socket, Err(answer.clone())));
        };
        if Handle::try_current().is_err() {
            return; // Nothing could time out; dropping `acks` says that no answer will come.
        }
        self.question(packet::Packet::event(self.path().clone(), value), options, timeout, acks);
    }

    fn join(&self, target: &Target, rooms: &[Room]) {
        if let Some(options) = target::incoming(target) {
            self.join_rooms(options, rooms.iter().map(target::name).collect());
        }
    }

    fn leave(&self, target: &Target, rooms: &[Room]) {
        if let Some(options) = target::incoming(target) {
            self.leave_rooms(options, rooms.iter().map(target::name).collect());
        }
    }

    fn disconnect(&self, target: &Target) {
        if let Some(options) = target::incoming(target) {
            self.part(self.targets(options));
        }
    }

    fn sockets(&self, target: &Target, projection: Projection) -> Vec<LocalSocket> {
        let server = Bytes::copy_from_slice(self.local.server_id().as_str().as_bytes());
        let describe = |socket: Sid| {
            let rooms = if projection.has_rooms() { names(self.rooms_of(socket)) } else { Vec::new() };
            let data = if projection.has_data() { server.clone() } else { Bytes::new() };
            Some(LocalSocket::new(id(socket)?, rooms, data))
        };
        let options = target::incoming(target).into_iter();
        options.flat_map(|options| self.fetch(options)).filter_map(|socket| describe(socket.id)).collect()
    }

    fn count(&self, target: &Target) -> u64 {
        target::incoming(target).map_or(0, |options| self.fetch(options).len() as u64)
    }

    fn rooms(&self, target: &Target) -> Vec<Room> {
        target::incoming(target).map(|options| names(self.rooms_in(options).into_iter())).unwrap_or_default()
    }

    fn dropped(&self) -> LocalDropped {
        self.losses.count()
    }

    fn check(&self, packet: &Packet) -> Result<()> {
        self.reader.check(packet)
    }
}

/// A room whose name the cluster cannot carry is a local matter, and left out.
fn names(rooms: impl Iterator<Item = adapter::Room>) -> Vec<Room> {
    rooms.filter_map(|room| Room::new(&*room).ok()).collect()
}

/// Passes the answers on until the last has come or timed out.
pub(crate) async fn forward<E: SocketEmitter>(mut answers: LocalAcks<E>, acks: Acks) {
    while let Some((socket, answer)) = answers.next().await {
        let answer = answer.map(|value| value::answer(&value)).map_err(|error| acks::to_wire(&error));
        if let Some(socket) = id(socket) {
            acks.ack(socket, answer);
        }
    }
}

pub(crate) fn id(socket: Sid) -> Option<SocketId> {
    SocketId::new(socket.as_str()).ok()
}
