//! The sockets of this node in one namespace.

use std::collections::HashSet;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use futures_util::stream::{SelectAll, select_all};
use socketioxide_core::adapter::errors::SocketError;
use socketioxide_core::adapter::{
    BroadcastFlags, BroadcastOptions, CoreLocalAdapter, RemoteSocketData, Room, SocketEmitter,
};
use socketioxide_core::packet::Packet;
use socketioxide_core::{Sid, Str};
use tokio::runtime::Handle;
use tokio::task::JoinSet;

use crate::backlog::{self, Backlog};
use crate::delivery::Flusher;
use crate::losses::Losses;
use crate::reader::Reader;
use crate::target;

/// From this many bytes on, copies of one packet for several sockets cost more than finding the sockets together.
pub(crate) const MAX_COPIES: usize = 1 << 20;

/// Where sockets meet for one broadcast: a room of upstream's, for as long as a call takes. No application has such a name.
const MEETING: Room = Room::Borrowed("\0roomcast");

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
    pub(crate) losses: Arc<Losses>,
    pub(crate) me: Weak<Self>,
    pub(crate) flusher: Flusher,
    /// What waits for sockets whose buffer is full. Held while packets of other nodes are delivered, so that none overtakes
    /// what waits.
    backlog: Mutex<Backlog>,
    /// Sockets whose connection is known to be gone while upstream still has them.
    gone: Mutex<HashSet<Sid>>,
    /// Held while sockets meet.
    meeting: Mutex<()>,
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
    pub(crate) fn new(local: CoreLocalAdapter<E>, reader: Arc<Reader>, losses: Arc<Losses>) -> Arc<Self> {
        Arc::new_cyclic(|me| Self {
            local,
            reader,
            losses,
            me: Weak::clone(me),
            flusher: Flusher::default(),
            backlog: Mutex::default(),
            gone: Mutex::default(),
            meeting: Mutex::default(),
            tasks: Mutex::default(),
        })
    }

    pub(crate) fn path(&self) -> &Str {
        self.local.path()
    }

    /// An error for each socket whose buffer is full or which is gone; never an empty list of them.
    pub(crate) fn deliver(&self, packet: Packet, options: BroadcastOptions) -> Result<(), Vec<SocketError>> {
        let volatile = options.has_flag(BroadcastFlags::Volatile);
        match self.select(options) {
            Selected::AsUpstream(options) => self.local.broadcast(packet, options),
            Selected::Each(sockets) => self.deliver_to(&sockets, &packet, volatile),
        }
    }

    /// The same for these sockets, each of them named once. Upstream encodes a packet once in each of its broadcasts, and
    /// a broadcast of its means rooms, or one socket: many sockets meet in a room for a large packet, so that they share
    /// the encoding.
    pub(crate) fn deliver_to(&self, sockets: &[Sid], packet: &Packet, volatile: bool) -> Result<(), Vec<SocketError>> {
        let flagged = |mut options: BroadcastOptions| {
            if volatile {
                options.add_flag(BroadcastFlags::Volatile);
            }
            options
        };
        if sockets.len() > 1 && backlog::encoded(packet).saturating_mul(sockets.len()) > MAX_COPIES {
            let meeting = self.meet(sockets);
            return self.local.broadcast(packet.clone(), flagged(meeting.options()));
        }
        let send = |socket: &Sid| self.local.broadcast(packet.clone(), flagged(BroadcastOptions::new(*socket))).err();
        let errors: Vec<_> = sockets.iter().filter_map(send).flatten().collect();
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }

    /// Has to be called inside a tokio runtime: upstream starts a timer for each socket.
    pub(crate) fn ask(&self, packet: Packet, options: BroadcastOptions, timeout: Duration) -> LocalAcks<E> {
        match self.select(options) {
            Selected::AsUpstream(options) => {
                select_all([Box::pin(self.local.broadcast_with_ack(packet, options, Some(timeout)).0)])
            }
            Selected::Each(sockets) => self.ask_each(&packet, sockets, timeout),
        }
    }

    /// The same for these, each of them named once.
    pub(crate) fn ask_each(&self, packet: &Packet, sockets: Vec<Sid>, timeout: Duration) -> LocalAcks<E> {
        let ask = |socket| {
            let options = BroadcastOptions::new(socket);
            Box::pin(self.local.broadcast_with_ack(packet.clone(), options, Some(timeout)).0)
        };
        select_all(sockets.into_iter().map(ask))
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

    /// Those that are known to be gone are left out.
    pub(crate) fn fetch(&self, options: BroadcastOptions) -> Vec<RemoteSocketData> {
        let found = self.select(options).into_options().flat_map(|options| self.local.fetch_sockets(options));
        let gone = self.gone();
        if gone.is_empty() { found.collect() } else { found.filter(|socket| !gone.contains(&socket.id)).collect() }
    }

    /// The ids of the same; some of them may be no sockets of this namespace yet, or any more.
    pub(crate) fn targets(&self, options: BroadcastOptions) -> Vec<Sid> {
        let mut sockets = match self.select(options) {
            Selected::AsUpstream(options) => self.local.sockets(options),
            Selected::Each(sockets) => sockets,
        };
        let gone = self.gone();
        if !gone.is_empty() {
            sockets.retain(|socket| !gone.contains(socket));
        }
        sockets
    }

    pub(crate) fn rooms_in(&self, options: BroadcastOptions) -> HashSet<Room> {
        let mut rooms: HashSet<_> = if self.gone().is_empty() {
            self.select(options).into_options().flat_map(|options| self.local.rooms(options)).collect()
        } else {
            self.targets(options).into_iter().flat_map(|socket| self.local.socket_rooms(socket)).collect()
        };
        rooms.remove(&MEETING);
        rooms
    }

    /// The rooms of one socket that an application knows of; its private one is not among them.
    pub(crate) fn rooms_of(&self, socket: Sid) -> impl Iterator<Item = Room> {
        let shown = move |room: &Room| **room != *socket.as_str() && *room != MEETING;
        self.local.socket_rooms(socket).into_iter().filter(shown)
    }

    /// Remembers that a socket's connection is gone. Upstream keeps a socket until its disconnect handler has ended, or
    /// for ever if that panics, and does not say which of its sockets are connected.
    pub(crate) fn is_gone(&self, socket: Sid) {
        let mut gone = self.gone.lock().unwrap_or_else(PoisonError::into_inner);
        gone.retain(|socket| self.is_here(*socket));
        if self.is_here(socket) {
            gone.insert(socket);
        }
    }

    /// Those that upstream still has though they are known to be gone.
    fn gone(&self) -> MutexGuard<'_, HashSet<Sid>> {
        let mut gone = self.gone.lock().unwrap_or_else(PoisonError::into_inner);
        if !gone.is_empty() {
            gone.retain(|socket| self.is_here(*socket));
        }
        gone
    }

    pub(crate) fn backlog(&self) -> MutexGuard<'_, Backlog> {
        self.backlog.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until upstream has no sockets here, which is when their disconnect handlers have ended; for so long at the most.
    pub(crate) async fn emptied(&self, patience: Duration) {
        let end = Instant::now() + patience;
        while !self.local.sockets(target::everyone()).is_empty() && Instant::now() < end {
            // Upstream has no event for it.
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
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

    /// Brings these together in one room, until the guard is dropped.
    fn meet(&self, sockets: &[Sid]) -> Meeting<'_, E> {
        let alone = self.meeting.lock().unwrap_or_else(PoisonError::into_inner);
        let meeting = Meeting { local: &self.local, _alone: alone };
        sockets.iter().for_each(|socket| self.local.add_all(*socket, MEETING));
        meeting
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

/// Sockets that are in one room for one broadcast.
struct Meeting<'a, E: SocketEmitter> {
    local: &'a CoreLocalAdapter<E>,
    _alone: MutexGuard<'a, ()>,
}

impl<E: SocketEmitter> Meeting<'_, E> {
    fn options(&self) -> BroadcastOptions {
        let mut options = BroadcastOptions::default();
        options.rooms.push(MEETING);
        options
    }
}

impl<E: SocketEmitter> Drop for Meeting<'_, E> {
    fn drop(&mut self) {
        self.local.del_sockets(self.options(), MEETING);
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
