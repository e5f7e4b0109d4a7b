//! The sockets of this node in one namespace.

use std::collections::HashSet;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::stream::{SelectAll, select_all};
use socketioxide_core::adapter::errors::SocketError;
use socketioxide_core::adapter::{
    BroadcastFlags, BroadcastOptions, CoreLocalAdapter, RemoteSocketData, Room, SocketEmitter,
};
use socketioxide_core::packet::Packet;
use socketioxide_core::{Sid, Str};
use tokio::runtime::Handle;
use tokio::task::JoinSet;

use crate::reader::Reader;

/// How many questions of other nodes may wait for answers at a time; one more gets none.
const MAX_QUESTIONS: usize = 65_536;

/// The answers of this node's sockets, as they come.
pub(crate) type LocalAcks<E> = SelectAll<Pin<Box<<E as SocketEmitter>::AckStream>>>;

/// socketioxide's local sockets, where in addition every socket is alone in the room named by its id, which upstream
/// does not know. Its map of rooms is never told: such names are resolved here, at each use. A real room of that name
/// is meant as well.
///
/// The cluster holds this, and this holds nothing of the cluster, so that the bridge drops with its namespace.
pub(crate) struct Sockets<E> {
    pub(crate) local: CoreLocalAdapter<E>,
    pub(crate) reader: Arc<Reader>,
    /// One for each question of another node whose answers are awaited; they end with this.
    tasks: Mutex<JoinSet<()>>,
}

/// What options mean here.
#[expect(clippy::large_enum_variant, reason = "made and taken apart within one call")]
enum Selected {
    /// The same as for upstream: one pass over its rooms, one encoding.
    AsUpstream(BroadcastOptions),
    /// These, each once.
    Each(Vec<Sid>),
}

impl<E: SocketEmitter> Sockets<E> {
    pub(crate) fn new(local: CoreLocalAdapter<E>, reader: Arc<Reader>) -> Self {
        Self { local, reader, tasks: Mutex::default() }
    }

    pub(crate) fn path(&self) -> &Str {
        self.local.path()
    }

    /// An error for each socket whose buffer is full or which is gone; never an empty list of them.
    pub(crate) fn deliver(&self, packet: Packet, options: BroadcastOptions) -> Result<(), Vec<SocketError>> {
        let volatile = options.has_flag(BroadcastFlags::Volatile);
        match self.select(options) {
            Selected::AsUpstream(options) => self.local.broadcast(packet, options),
            Selected::Each(sockets) => {
                let send = |socket: Sid| {
                    let mut only = BroadcastOptions::new(socket);
                    if volatile {
                        only.add_flag(BroadcastFlags::Volatile);
                    }
                    self.local.broadcast(packet.clone(), only).err()
                };
                let errors: Vec<_> = sockets.into_iter().filter_map(send).flatten().collect();
                if errors.is_empty() { Ok(()) } else { Err(errors) }
            }
        }
    }

    /// Has to be called inside a tokio runtime: upstream starts a timer for each socket.
    pub(crate) fn ask(&self, packet: Packet, options: BroadcastOptions, timeout: Duration) -> LocalAcks<E> {
        let ask = |options| Box::pin(self.local.broadcast_with_ack(packet.clone(), options, Some(timeout)).0);
        match self.select(options) {
            Selected::AsUpstream(options) => select_all([ask(options)]),
            Selected::Each(sockets) => select_all(sockets.into_iter().map(|socket| ask(BroadcastOptions::new(socket)))),
        }
    }

    pub(crate) fn join_rooms(&self, options: BroadcastOptions, rooms: Vec<Room>) {
        match self.select(options) {
            // Upstream joins a socket that is named alone without a look whether it is there: a member that never leaves.
            // And it would make the room even for nobody.
            Selected::AsUpstream(options) if !names_one(&options) => {
                if !self.local.sockets(options.clone()).is_empty() {
                    self.local.add_sockets(options, rooms);
                }
            }
            Selected::AsUpstream(options) => options.sid.into_iter().for_each(|socket| self.join_one(socket, &rooms)),
            Selected::Each(sockets) => sockets.into_iter().for_each(|socket| self.join_one(socket, &rooms)),
        }
    }

    pub(crate) fn leave_rooms(&self, options: BroadcastOptions, rooms: Vec<Room>) {
        for options in self.select(options).into_options() {
            self.local.del_sockets(options, rooms.clone());
        }
    }

    /// Errors as for [`deliver`](Self::deliver).
    pub(crate) fn disconnect_all(&self, options: BroadcastOptions) -> Result<(), Vec<SocketError>> {
        let disconnect = |options| self.local.disconnect_socket(options).err();
        let errors: Vec<_> = self.select(options).into_options().filter_map(disconnect).flatten().collect();
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }

    pub(crate) fn fetch(&self, options: BroadcastOptions) -> Vec<RemoteSocketData> {
        self.select(options).into_options().flat_map(|options| self.local.fetch_sockets(options)).collect()
    }

    pub(crate) fn rooms_in(&self, options: BroadcastOptions) -> HashSet<Room> {
        self.select(options).into_options().flat_map(|options| self.local.rooms(options)).collect()
    }

    /// Runs a task that ends with the namespace. Without a runtime, and when there are too many, it is dropped.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let Ok(runtime) = Handle::try_current() else { return };
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        if tasks.len() < MAX_QUESTIONS {
            tasks.spawn_on(task, &runtime);
        }
    }

    fn join_one(&self, socket: Sid, rooms: &[Room]) {
        if self.is_here(socket) {
            self.local.add_all(socket, rooms.to_vec());
            // It went in between: upstream has cleaned up behind it already, and would not again.
            if !self.is_here(socket) {
                self.local.del_all(socket);
            }
        }
    }

    fn is_here(&self, socket: Sid) -> bool {
        !self.local.fetch_sockets(BroadcastOptions::new(socket)).is_empty()
    }

    /// The sockets here whose private rooms are among these.
    fn private<'a>(&'a self, rooms: &'a [Room]) -> impl Iterator<Item = Sid> + 'a {
        rooms.iter().filter_map(|room| room.parse().ok()).filter(|socket| self.is_here(*socket))
    }

    fn select(&self, mut options: BroadcastOptions) -> Selected {
        let broadcast = options.has_flag(BroadcastFlags::Broadcast);
        if options.rooms.is_empty() && !broadcast {
            return Selected::AsUpstream(options);
        }
        let sender = options.sid.filter(|_| broadcast);
        let without: HashSet<Sid> = self.private(&options.except).chain(sender).collect();
        let alone: Vec<Sid> = self.private(&options.rooms).collect();
        if alone.is_empty() && without.is_empty() {
            return Selected::AsUpstream(options);
        }
        if let (true, 1, Some(&only)) = (alone.is_empty(), without.len(), without.iter().next()) {
            // Upstream can leave out one socket by itself: the sender.
            options.sid = Some(only);
            options.add_flag(BroadcastFlags::Broadcast);
            return Selected::AsUpstream(options);
        }
        let muted = |socket: &Sid| {
            let of_it = self.local.socket_rooms(*socket);
            options.except.iter().any(|room| of_it.contains(room))
        };
        let mut once = without.clone();
        let alone = alone.into_iter().filter(|socket| !muted(socket));
        let sockets =
            self.local.sockets(options.clone()).into_iter().chain(alone).filter(|socket| once.insert(*socket));
        Selected::Each(sockets.collect())
    }
}

impl Selected {
    /// The same as options for upstream, one for each pass.
    fn into_options(self) -> impl Iterator<Item = BroadcastOptions> {
        let (whole, each) = match self {
            Self::AsUpstream(options) => (Some(options), Vec::new()),
            Self::Each(sockets) => (None, sockets),
        };
        whole.into_iter().chain(each.into_iter().map(BroadcastOptions::new))
    }
}

fn names_one(options: &BroadcastOptions) -> bool {
    options.rooms.is_empty() && !options.has_flag(BroadcastFlags::Broadcast)
}
