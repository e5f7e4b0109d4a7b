//! Packets of other nodes on their way into the buffers of this node's sockets.
//!
//! socketioxide gives a socket a buffer of `max_buffer_size` packets, 128 by default, and refuses what comes while it is
//! full. What other nodes send comes in bursts: a turn of the cluster's reader has hundreds of packets, and the backlog of an
//! outage has thousands. The task that empties a buffer may not run in between, so a client that reads would lose most of it.
//!
//! So what a buffer refuses waits behind it, in a queue of the socket's own ([`Backlog`]), and one task for each namespace
//! moves it on as the buffer empties. What comes later for that socket waits behind it: its order is kept. The queue is bounded, and
//! what exceeds it is counted. docs/decisions/0003 in the repository says what else was considered.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use futures_util::{FutureExt, StreamExt};
use roomcast_core::AckError;
use roomcast_core::adapter::Acks;
use socketioxide_core::Sid;
use socketioxide_core::adapter::errors::SocketError;
use socketioxide_core::adapter::{BroadcastOptions, SocketEmitter};
use socketioxide_core::packet::Packet;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::acks;
use crate::backlog::{Item, Next, Offered, Question, encoded};
use crate::local::{forward, id};
use crate::sockets::{MAX_COPIES, Sockets};

/// How many items a socket gets in one turn, and how many turns are taken before others may run.
const ITEMS: usize = 32;
const TURNS: usize = 64;

/// So few sockets get a copy each, however large the packet.
const FEW: usize = 8;

/// How many broadcasts may share their encoding until other tasks have run for so long. Upstream does not say which of
/// several sockets was full, so this must stay far below what any buffer takes; more of them wait, and are given to each
/// socket by itself.
const SHARED: u32 = 8;
const SHARED_FOR: Duration = Duration::from_millis(10);

/// The task that moves on what waits, from the first time that something does; it ends with the namespace.
#[derive(Default)]
pub(crate) struct Flusher {
    wake: Arc<Notify>,
    task: Mutex<JoinSet<()>>,
    /// Broadcasts that shared their encoding since the task looked last.
    shared: AtomicU32,
    /// Some socket refused such a broadcast: the next one is given to each by itself, which shows whose buffer is full.
    suspect: AtomicBool,
}

/// What came of some turns.
#[derive(Default)]
struct Done {
    progress: bool,
    copied: usize,
    gone: Vec<Sid>,
    parting: Vec<Sid>,
}

impl<E: SocketEmitter> Sockets<E> {
    /// Delivers a packet to these sockets, or puts it behind what waits for them. Counts what is lost.
    pub(crate) fn give(&self, packet: Packet, options: BroadcastOptions, sockets: Vec<Sid>) {
        let large = sockets.len() > FEW && encoded(&packet).saturating_mul(sockets.len()) > MAX_COPIES;
        let share = large && self.flusher.may_share();
        let wait = large && !share && self.wake_flusher();
        let all = sockets.len();
        let mut backlog = self.backlog();
        let (ahead, mut behind): (Vec<_>, Vec<_>) = sockets.into_iter().partition(|socket| !backlog.waits(*socket));
        let mut gone = Vec::new();
        let refused = if share {
            self.give_together(&packet, options, &ahead, ahead.len() == all)
        } else if wait {
            behind.extend(ahead);
            0
        } else {
            for socket in ahead {
                match self.send(socket, &packet) {
                    Ok(()) => {}
                    Err(SocketError::InternalChannelFull) => behind.push(socket),
                    Err(SocketError::Closed) => gone.push(socket),
                }
            }
            0
        };
        let mut lost = 0;
        if !behind.is_empty() {
            let payload = backlog.payload(packet);
            lost = behind.iter().filter(|to| !backlog.push(**to, Item::Packet(Arc::clone(&payload)))).count();
        }
        let waiting = !backlog.is_empty();
        drop(backlog);
        self.lose(gone, lost + refused);
        if waiting || share {
            self.wake_flusher();
        }
    }

    /// Delivers a packet to these sockets, encoded once. Returns how many of them, unknown which, had a full buffer.
    fn give_together(&self, packet: &Packet, options: BroadcastOptions, sockets: &[Sid], as_asked: bool) -> usize {
        let given = match as_asked {
            true => self.deliver(packet.clone(), options),
            false => self.deliver_to(sockets, packet, false),
        };
        let refused = given.err().unwrap_or_default();
        let full = refused.iter().filter(|error| matches!(error, SocketError::InternalChannelFull)).count();
        self.losses.gone((refused.len() - full) as u64);
        if full > 0 {
            self.flusher.suspect.store(true, Relaxed);
        }
        full
    }

    /// Asks these sockets, each of them after what waits for it. The answers go to `acks`.
    pub(crate) fn question(&self, packet: Packet, options: BroadcastOptions, timeout: Duration, acks: Acks) {
        let (behind, ahead): (Vec<_>, Vec<_>) = {
            let backlog = self.backlog();
            let targets = if backlog.is_empty() { Vec::new() } else { self.targets(options.clone()) };
            targets.into_iter().partition(|socket| backlog.waits(*socket))
        };
        if behind.is_empty() {
            let answers = self.ask(packet, options, timeout);
            return self.spawn(forward::<E>(answers, acks));
        }
        let until = Instant::now() + timeout;
        let mut refused = Vec::new();
        let mut backlog = self.backlog();
        let payload = backlog.payload(packet.clone());
        for socket in behind {
            let question = Question { packet: Arc::clone(&payload), until, acks: acks.clone() };
            if !backlog.push(socket, Item::Question(Box::new(question))) {
                refused.push(socket);
            }
        }
        drop(backlog);
        for socket in refused {
            tell(&acks, socket, acks::full());
        }
        let answers = self.ask_each(&packet, ahead, timeout);
        self.spawn(forward::<E>(answers, acks));
        self.wake_flusher();
    }

    /// Disconnects these sockets, each of them after what waits for it.
    pub(crate) fn part(&self, sockets: Vec<Sid>) {
        for socket in sockets {
            let mut backlog = self.backlog();
            if !backlog.waits(socket) {
                drop(backlog); // handlers of the application may run
                if self.disconnect_one(socket) {
                    continue;
                }
                backlog = self.backlog();
            }
            let waits = backlog.push(socket, Item::Disconnect);
            drop(backlog);
            self.lose(Vec::new(), usize::from(!waits));
        }
        if !self.backlog().is_empty() {
            self.wake_flusher();
        }
    }

    /// `false` if the socket's buffer is full: upstream then leaves it connected.
    fn disconnect_one(&self, socket: Sid) -> bool {
        let done = self.local.disconnect_socket(BroadcastOptions::new(socket));
        let full =
            done.is_err_and(|errors| errors.iter().any(|error| matches!(error, SocketError::InternalChannelFull)));
        if !full {
            self.is_gone(socket);
        }
        !full
    }

    fn send(&self, socket: Sid, packet: &Packet) -> Result<(), SocketError> {
        let sent = self.local.broadcast(packet.clone(), BroadcastOptions::new(socket));
        sent.map_err(|mut errors| errors.pop().unwrap_or(SocketError::Closed))
    }

    fn lose(&self, gone: Vec<Sid>, full: usize) {
        if full > 0 {
            self.losses.full(full as u64);
            self.wake_flusher(); // it logs the rest of them
        }
        self.losses.gone(gone.len() as u64);
        gone.into_iter().for_each(|socket| self.is_gone(socket));
    }

    /// `false` without a runtime: what waits is moved on when the next packet comes within one.
    fn wake_flusher(&self) -> bool {
        let mut task = self.flusher.task.lock().unwrap_or_else(PoisonError::into_inner);
        while task.try_join_next().is_some() {}
        if let (true, Ok(runtime)) = (task.is_empty(), Handle::try_current()) {
            task.spawn_on(flush(Weak::clone(&self.me), Arc::clone(&self.flusher.wake)), &runtime);
        }
        self.flusher.wake.notify_one();
        !task.is_empty()
    }

    /// Moves on what waits, as far as others can wait for it.
    fn flush_some(&self, now: Instant) -> Next {
        let mut done = Done::default();
        let mut lost = 0;
        let mut backlog = self.backlog();
        for _ in 0..TURNS.min(backlog.turns()) {
            lost += backlog.turn(now, ITEMS, |socket, item| self.offer(socket, item, now, &mut done));
            if done.copied >= MAX_COPIES {
                break;
            }
        }
        drop(backlog);
        self.losses.gone(lost as u64);
        done.gone.into_iter().for_each(|socket| self.is_gone(socket));
        for socket in done.parting {
            if !self.disconnect_one(socket) {
                self.backlog().push_first(socket, Item::Disconnect, now);
            }
        }
        if done.progress { Next::Now } else { self.backlog().next(now) }
    }

    fn offer(&self, socket: Sid, item: Item, now: Instant, done: &mut Done) -> Offered {
        let taken = match &item {
            Item::Packet(payload) => {
                done.copied += encoded(&payload.packet);
                self.send(socket, &payload.packet)
            }
            Item::Question(question) => {
                done.copied += encoded(&question.packet.packet);
                self.ask_now(socket, question, now)
            }
            Item::Disconnect => {
                done.parting.push(socket); // later: handlers of the application may run
                Ok(())
            }
        };
        match taken {
            Ok(()) => {
                done.progress = true;
                Offered::Taken
            }
            Err(SocketError::InternalChannelFull) => Offered::Full(item),
            Err(SocketError::Closed) => {
                done.gone.push(socket);
                Offered::Gone
            }
        }
    }

    fn ask_now(&self, socket: Sid, question: &Question, now: Instant) -> Result<(), SocketError> {
        let Some(left) = question.until.checked_duration_since(now).filter(|left| !left.is_zero()) else {
            tell(&question.acks, socket, AckError::Timeout);
            return Ok(());
        };
        let mut answers = self.ask_each(&question.packet.packet, vec![socket], left);
        // Upstream's refusal is there at once; an answer never is.
        match answers.next().now_or_never().flatten() {
            Some((_, Err(error))) if acks::is_full(&error) => return Err(SocketError::InternalChannelFull),
            Some((_, Err(error))) => tell(&question.acks, socket, acks::to_wire(&error)),
            _ => self.spawn(forward::<E>(answers, question.acks.clone())),
        }
        Ok(())
    }
}

impl Flusher {
    fn may_share(&self) -> bool {
        !self.suspect.swap(false, Relaxed) && self.shared.fetch_add(1, Relaxed) < SHARED
    }
}

/// Moves on what waits, whenever something does. Holds the namespace only while it works.
async fn flush<E: SocketEmitter>(sockets: Weak<Sockets<E>>, wake: Arc<Notify>) {
    let mut shared_since = None;
    loop {
        tokio::task::yield_now().await; // the tasks that empty the buffers
        let now = Instant::now();
        let until = {
            let Some(sockets) = sockets.upgrade() else { return };
            let flushed = catch_unwind(AssertUnwindSafe(|| sockets.flush_some(now)));
            let next = flushed.unwrap_or_else(|_| {
                sockets.losses.unreadable("sending it panicked");
                sockets.backlog().recover();
                Next::Now
            });
            sockets.losses.report(now);
            if shared_since.is_some_and(|since| now >= since + SHARED_FOR) {
                sockets.flusher.shared.store(0, Relaxed);
                shared_since = None;
            } else if shared_since.is_none() && sockets.flusher.shared.load(Relaxed) > 0 {
                shared_since = Some(now);
            }
            let due = match next {
                Next::Now => continue,
                Next::At(due) => Some(due),
                Next::Never => None,
            };
            let share = shared_since.map(|since| since + SHARED_FOR);
            [due, share, sockets.losses.next_report()].into_iter().flatten().min()
        };
        match until {
            Some(until) => _ = tokio::time::timeout_at(until.into(), wake.notified()).await,
            None => wake.notified().await,
        }
    }
}

fn tell(acks: &Acks, socket: Sid, error: AckError) {
    if let Some(socket) = id(socket) {
        acks.ack(socket, Err(error));
    }
}
