//! One connected socket, as its server sees it.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_core::Stream;

use super::Inner;
use super::acks::AckHandle;
use super::index::Key;
use super::outbox::{After, Outbox};
use crate::model::{Error, ErrorKind, IntoRooms, Packet, Result, Room, SocketId};

/// A packet for one socket.
#[derive(Debug)]
#[non_exhaustive]
pub struct Delivery {
    /// What to send to the client.
    pub packet: Packet,
    /// Sends the socket's reply, if the sender waits for one.
    pub ack: Option<AckHandle>,
}

/// A socket that is connected to a [`Hub`](crate::Hub). [`next`](Self::next) returns what is emitted to it; the socket is also a stream
/// of deliveries.
///
/// # Contract
/// - Dropping the socket disconnects it at once. It is in no room any more, what waits in its queue is lost, and a sender that waits for
///   its reply learns that it is gone.
/// - A socket may be disconnected by others at any time: by the cluster, by a [`SocketHandle`], or for being slow. From
///   then on it is in no room, [`join`](Self::join), [`leave`](Self::leave) and [`set_data`](Self::set_data) return
///   `Closed`, and disconnecting it again does nothing.
#[derive(Debug)]
pub struct Socket(SocketHandle);

/// A handle to a [`Socket`], for other tasks while one task reads the socket. Clones mean the same socket.
///
/// The handle does not keep the socket connected. Once the socket is gone, it returns the same errors as the socket.
#[derive(Clone)]
pub struct SocketHandle {
    hub: Arc<Inner>,
    key: Key,
    outbox: Arc<Outbox>,
}

impl Socket {
    pub(super) fn new(hub: Arc<Inner>, key: Key, outbox: Arc<Outbox>) -> Self {
        Self(SocketHandle { hub, key, outbox })
    }

    /// The socket's id, which is also the name of its private room.
    pub fn id(&self) -> &SocketId {
        self.0.id()
    }

    /// Waits for the next delivery. Returns `None` once the socket is disconnected and what was queued before has been taken.
    ///
    /// # Cancel safety
    /// Safe: a delivery is taken only when the future is ready with it.
    pub async fn next(&mut self) -> Option<Delivery> {
        let mut wait = Wait { outbox: &self.0.outbox, registered: false };
        poll_fn(|cx| {
            let polled = self.0.poll(cx);
            wait.registered = polled.is_pending();
            polled
        })
        .await
    }

    /// Puts the socket into one room or several; it is in them when this returns. It is always in its private room.
    ///
    /// # Errors
    /// `Config` when a name is not a valid room, `Closed` when the socket is disconnected. In both cases it joins none of them.
    pub fn join(&self, rooms: impl IntoRooms) -> Result<()> {
        self.0.join(rooms)
    }

    /// Takes the socket out of one room or several. It stays in its private room.
    ///
    /// # Errors
    /// `Config` when a name is not a valid room; the socket then leaves none of them. `Closed` when the socket is disconnected.
    pub fn leave(&self, rooms: impl IntoRooms) -> Result<()> {
        self.0.leave(rooms)
    }

    /// The rooms that the socket is in, in no particular order, without its private room. Empty when it is disconnected.
    pub fn rooms(&self) -> Vec<Room> {
        self.0.rooms()
    }

    /// Sets the socket's `data`, which `fetch_sockets` shows on every node, in an encoding of yours. It is empty at first.
    ///
    /// # Errors
    /// `Closed` when the socket is disconnected.
    pub fn set_data(&self, data: impl Into<Bytes>) -> Result<()> {
        self.0.set_data(data)
    }

    /// A handle to this socket for other tasks.
    pub fn handle(&self) -> SocketHandle {
        self.0.clone()
    }
}

impl SocketHandle {
    /// The socket's id.
    pub fn id(&self) -> &SocketId {
        self.outbox.id()
    }

    /// Puts the socket into one room or several, as [`Socket::join`] does.
    ///
    /// # Errors
    /// `Config` for a bad name, `Closed` when the socket is disconnected.
    pub fn join(&self, rooms: impl IntoRooms) -> Result<()> {
        let rooms = rooms.into_rooms()?;
        let mut index = self.hub.write();
        index.get(self.key).ok_or_else(disconnected)?;
        index.join(&[self.key], &rooms);
        Ok(())
    }

    /// Takes the socket out of one room or several, as [`Socket::leave`] does.
    ///
    /// # Errors
    /// `Config` for a bad name, `Closed` when the socket is disconnected.
    pub fn leave(&self, rooms: impl IntoRooms) -> Result<()> {
        let rooms = rooms.into_rooms()?;
        let mut index = self.hub.write();
        index.get(self.key).ok_or_else(disconnected)?;
        index.leave(&[self.key], &rooms);
        Ok(())
    }

    /// The rooms that the socket is in, as [`Socket::rooms`] returns them.
    pub fn rooms(&self) -> Vec<Room> {
        self.hub.read().rooms_of(self.key)
    }

    /// Sets the socket's `data`, as [`Socket::set_data`] does.
    ///
    /// # Errors
    /// `Closed` when the socket is disconnected.
    pub fn set_data(&self, data: impl Into<Bytes>) -> Result<()> {
        self.hub.read().get(self.key).ok_or_else(disconnected)?;
        self.outbox.set_data(data.into()); // not under the index's lock: the data it replaces may have an owner
        Ok(())
    }

    /// Disconnects the socket, if it is connected. It is in no room any more, and [`Socket::next`] returns what was queued before,
    /// then `None`.
    pub fn disconnect(&self) {
        let mut after = After::default();
        self.hub.write().remove(self.key);
        self.outbox.close(&mut after);
        self.hub.finish(after);
    }

    fn poll(&self, cx: &mut Context<'_>) -> Poll<Option<Delivery>> {
        let polled = self.outbox.poll(cx);
        if let Poll::Ready(Some(_)) = polled {
            self.hub.counters.delivered();
        }
        polled
    }
}

impl Stream for Socket {
    type Item = Delivery;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Delivery>> {
        self.0.poll(cx)
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let SocketHandle { hub, key, outbox } = &self.0;
        let mut after = After::default();
        hub.write().remove(*key);
        outbox.clear(&mut after);
        hub.finish(after);
    }
}

/// The wait of one call of [`Socket::next`]. Without a wait, no delivery counts as taken at once.
struct Wait<'a> {
    outbox: &'a Outbox,
    registered: bool,
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        if self.registered {
            self.outbox.stop_waiting();
        }
    }
}

fn disconnected() -> Error {
    Error::new(ErrorKind::Closed, "the socket is disconnected")
}

impl fmt::Debug for SocketHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SocketHandle").field("id", self.id()).finish_non_exhaustive()
    }
}
