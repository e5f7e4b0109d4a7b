//! What the handle, the reader and the writer of one node share.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::{Notify, Semaphore, broadcast, mpsc, oneshot, watch};

use super::link_state::LinkState;
use super::logging::Log;
use super::metrics::Metrics;
use super::registry::Registry;
use crate::engine::{Engine, Output, Whole};
use crate::kit::InPlace;
use crate::model::{
    Error, ErrorKind, Event, MAX_NAME, MissingNode, MissingReason, Node, NodeId, NodeState, NodeStatus, QueueStatus,
    Result, Room, Stats, Status, Target,
};
use crate::seams::acks::Collector;
use crate::seams::{Backend, Channel, Inbox, Observer};
use crate::wire::{AckAnswer, AckBatch, Answer, Content, Operation};

/// What the handle, the reader and the writer of one node share.
pub(crate) struct Core {
    pub(crate) node: Node,
    pub(crate) channels: Channels,
    pub(crate) bounds: Bounds,
    pub(crate) backend: Arc<dyn Backend>,
    pub(crate) inbox: Inbox,
    pub(crate) registry: Registry,
    /// Who looks on, if anybody does.
    pub(crate) observer: OnceLock<Box<dyn Observer>>,
    engine: Mutex<Engine>,
    /// Bytes that the outgoing queue still takes.
    capacity: Semaphore,
    /// Whether the link is up, for those who wait for capacity.
    pub(crate) link: watch::Sender<bool>,
    /// Why the backend is to make a new link, if it is.
    pub(crate) reset: watch::Sender<Option<String>>,
    /// There is something to send.
    pub(crate) work: Notify,
    /// The task that sends. Nothing is left of it once it has ended.
    writer: OnceLock<InPlace>,
    /// Nothing is under way: what is queued now may be sent at once.
    idle: AtomicBool,
    /// Something was sent.
    pub(crate) sent: Notify,
    /// The time that the reader waits for has changed.
    pub(crate) sooner: Notify,
    waiters: Mutex<HashMap<u64, Waiter>>,
    ready: Mutex<Option<oneshot::Sender<()>>>,
    /// Where events are told; gone once the node has been closed, which ends their readers.
    events: Mutex<Option<broadcast::Sender<Event>>>,
    /// How the link stands: what a new reader of events is told first.
    link_state: LinkState,
    pub(crate) events_dropped: AtomicU64,
    pub(crate) sent_bytes: AtomicU64,
    pub(crate) log: Log,
    pub(super) metrics: Metrics,
    pub(crate) closed: AtomicBool,
}

/// The channels of one node.
pub(crate) struct Channels {
    pub(crate) cluster: Channel,
    pub(crate) inbox: Channel,
    pub(crate) name: crate::model::ClusterName,
}

/// What a node was configured with, as far as its calls need it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) max_message: usize,
    pub(crate) queue: usize,
    pub(crate) queue_age: Duration,
    pub(crate) max_lag: Duration,
}

/// Who waits for the answers to a question.
pub(crate) enum Waiter {
    /// Takes one answer for each node that was asked, so it holds no more than there are nodes.
    Gather(mpsc::UnboundedSender<Reply>),
    Acks(Collector),
}

pub(crate) enum Reply {
    Answer(NodeId, Answer),
    Ended(Vec<MissingNode>),
}

impl Core {
    #[expect(clippy::too_many_arguments, reason = "one call, of the parts that the builder has made")]
    pub(crate) fn new(
        node: Node,
        channels: Channels,
        bounds: Bounds,
        events: usize,
        backend: Arc<dyn Backend>,
        inbox: Inbox,
        engine: Engine,
        ready: oneshot::Sender<()>,
    ) -> Self {
        Self {
            node,
            channels,
            bounds,
            backend,
            inbox,
            registry: Registry::default(),
            observer: OnceLock::new(),
            engine: Mutex::new(engine),
            capacity: Semaphore::new(bounds.queue),
            link: watch::Sender::new(true),
            reset: watch::Sender::new(None),
            work: Notify::new(),
            writer: OnceLock::new(),
            idle: AtomicBool::new(false),
            sent: Notify::new(),
            sooner: Notify::new(),
            waiters: Mutex::default(),
            ready: Mutex::new(Some(ready)),
            events: Mutex::new(Some(broadcast::Sender::new(events))),
            link_state: LinkState::new(now()),
            events_dropped: AtomicU64::new(0),
            sent_bytes: AtomicU64::new(0),
            log: Log::default(),
            metrics: Metrics::default(),
            closed: AtomicBool::new(false),
        }
    }

    /// The engine; nothing awaits or calls foreign code while it is held.
    pub(crate) fn engine(&self) -> MutexGuard<'_, Engine> {
        self.engine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn stats(&self) -> Stats {
        let stats = self.engine().stats();
        let events_dropped = self.events_dropped.load(Ordering::Relaxed);
        Stats {
            panics: self.registry.panics().count(),
            own: stats.own + self.inbox.own(),
            sent_bytes: self.sent_bytes.load(Ordering::Relaxed),
            received_bytes: self.inbox.received_bytes(),
            events_dropped,
            local_dropped: self.registry.local_dropped(),
            ..stats
        }
    }

    pub(crate) fn status(&self) -> Status {
        let (now, link) = (now(), self.link_state.now());
        let free = self.capacity.available_permits();
        let (joining, health, round_trip, nodes, oldest) = {
            let engine = self.engine();
            let nodes = engine.heard(now);
            (engine.is_joining(), engine.health(now), engine.round_trip(), nodes, engine.unsent_for(now))
        };
        let state = match () {
            () if self.closed.load(Ordering::Acquire) => NodeState::Closed,
            () if joining => NodeState::Joining,
            () if link.degraded.is_some() => NodeState::Degraded,
            () => NodeState::Up,
        };
        let stats = self.stats();
        let (bytes, max_bytes) = (self.bounds.queue.saturating_sub(free) as u64, self.bounds.queue as u64);
        Status {
            cluster: self.channels.name.to_string(),
            node: self.node.clone(),
            state,
            state_for: now.saturating_duration_since(link.since),
            outages: link.outages,
            connect_attempts: self.inbox.attempts(),
            last_error: link.last_error,
            health: (!joining).then_some(health),
            round_trip,
            nodes: nodes.into_iter().map(|(node, heard)| NodeStatus { node, heard }).collect(),
            queue: QueueStatus { messages: stats.queued, bytes, max_bytes, oldest },
            namespaces: self.registry.namespaces(),
            stats,
        }
    }

    fn waiters(&self) -> MutexGuard<'_, HashMap<u64, Waiter>> {
        self.waiters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn check_open(&self) -> Result<()> {
        if self.closed.load(Ordering::Acquire) { Err(Error::closed()) } else { Ok(()) }
    }

    /// Whether the message may be sent at all.
    pub(crate) fn check_size(&self, content: &Content) -> Result<()> {
        let (len, max) = (content.len(), self.bounds.max_message);
        if content.packet.len() <= max && content.body.len() <= max {
            return Ok(());
        }
        let text = format!("a message of {len} bytes is over max_message, which is {max}");
        Err(Error::new(ErrorKind::TooLarge, text))
    }

    /// The same before the operation is made: it is encoded only if its packet or its names are so many bytes that this may be
    /// too large.
    pub(crate) fn check_names(
        &self,
        packet: usize,
        target: &Target,
        rooms: &[Room],
        operation: impl FnOnce() -> Operation,
    ) -> Result<()> {
        let all = target.rooms.iter().flatten().chain(&target.except).chain(rooms);
        let names = all.fold(BESIDE_NAMES, |sum, room| sum + room.as_str().len() + LENGTH);
        if packet <= self.bounds.max_message && names <= self.bounds.max_message {
            return Ok(());
        }
        self.check_size(&operation().encode())
    }

    /// Reserves capacity for a message in the outgoing queue. It is the caller's until `Capacity::take`.
    ///
    /// # Errors
    /// `Unavailable` at once when the link is down, or goes down meanwhile; `Timeout`; `Closed`.
    pub(crate) async fn reserve(&self, content: &Content, wait: Duration) -> Result<Capacity<'_>> {
        // A message larger than the whole queue takes all of it.
        let cost = (content.len() + OVERHEAD).min(self.bounds.queue);
        let permits = u32::try_from(cost).unwrap_or(u32::MAX);
        if !*self.link.borrow() && self.engine().unsent_for(now()) > self.bounds.queue_age {
            let text = "the broker is away, and what waits for it has waited for too long";
            return Err(Error::new(ErrorKind::Unavailable, text));
        }
        if let Ok(permit) = self.capacity.try_acquire_many(permits) {
            return Ok(Capacity(permit));
        }
        let mut link = self.link.subscribe();
        let down = link.wait_for(|up| !up);
        tokio::select! {
            biased;
            permit = self.capacity.acquire_many(permits) => permit.map(Capacity).map_err(|_| Error::closed()),
            _ = down => {
                let text = "the broker is away, and the queue of what waits for it is full";
                Err(Error::new(ErrorKind::Unavailable, text))
            }
            () = tokio::time::sleep(wait) => {
                Err(Error::new(ErrorKind::Timeout, "the outgoing queue was full for the whole time given"))
            }
        }
    }

    /// The same for a message that may be lost: if there is capacity now, and a link.
    pub(crate) fn try_reserve(&self, content: &Content) -> Option<Capacity<'_>> {
        let cost = (content.len() + OVERHEAD).min(self.bounds.queue);
        let permits = u32::try_from(cost).unwrap_or(u32::MAX);
        if *self.link.borrow() { self.capacity.try_acquire_many(permits).ok().map(Capacity) } else { None }
    }

    pub(crate) fn release(&self, bytes: usize) {
        if bytes > 0 {
            self.capacity.add_permits(bytes);
        }
    }

    pub(crate) fn stop_reserving(&self) {
        self.capacity.close();
    }

    /// Registers who waits for a question; to be called while the engine that gave the number is held.
    pub(crate) fn wait_for(&self, request: u64, waiter: Waiter) {
        self.waiters().insert(request, waiter);
    }

    /// Nobody waits for a question any more.
    pub(crate) fn forget(&self, request: u64) {
        self.engine().forget(request);
        let waiter = self.waiters().remove(&request);
        drop(waiter);
    }

    /// The task that sends; told once.
    pub(super) fn writer_is(&self, writer: InPlace) {
        let _ = self.writer.set(writer);
    }

    pub(super) fn writer_is_idle(&self, idle: bool) {
        self.idle.store(idle, Ordering::Release);
    }

    /// Something was queued: it is sent on the spot when nothing else is being sent, so that no other thread has to be woken.
    pub(crate) fn send_queued(&self) {
        match self.writer.get() {
            Some(writer) if self.idle.load(Ordering::Acquire) => {
                writer.run(|| self.work.notify_one());
                // A broker that takes it at once, as the embedded one does, leaves nothing under way. Then what follows gathers
                // until the writer's own task has run: messages would not be packed otherwise.
                if self.idle.swap(false, Ordering::AcqRel) {
                    self.work.notify_one();
                }
            }
            _ => self.work.notify_one(),
        }
    }

    /// Does what the engine asks for, operations excepted.
    pub(crate) fn carry_out(&self, output: Output) {
        match output {
            Output::Perform { .. } => {}
            Output::Answer { request, node, whole } => {
                let answer = self.read_answer(whole);
                self.take_answer(request, node, answer);
            }
            Output::Missing { request, missing } => {
                if let Some(collector) = self.collector(request) {
                    self.measure_missing("emit_with_ack", &[missing]);
                    collector.end(missing.node, Some(missing.reason));
                }
            }
            Output::Ended { request, missing } => self.end(request, missing),
            Output::Event(event) => self.tell(event),
            Output::Link(up) => {
                self.link.send_replace(up);
            }
            Output::Reset(reason) => {
                self.reset.send_replace(Some(reason));
            }
            Output::Ready => {
                self.log_joined();
                let ready = self.ready.lock().unwrap_or_else(PoisonError::into_inner).take();
                // Nobody to tell: connecting was given up, and this node is being dropped.
                let _ = ready.map(|ready| ready.send(()));
            }
        }
    }

    /// Takes the limits of the link as it is now; returns whether they have changed.
    pub(crate) fn refresh_limits(&self) -> bool {
        let limits = self.backend.limits(); // foreign code: before the engine is held
        self.engine().refresh(limits)
    }

    /// A part of this node, or of its backend, has panicked; the node goes on.
    pub(crate) fn panicked(&self, part: &str, said: &str) {
        self.registry.panics().note(part, said);
    }

    /// Nothing runs for this node any more: calls say so, and nobody waits for what cannot come.
    pub(crate) fn is_gone(&self) {
        self.closed.store(true, Ordering::Release);
        self.stop_reserving();
        self.end_questions();
        self.inbox.close();
        self.sent.notify_waiters();
        self.link_state.ends(now());
        self.publish_all();
        self.end_events();
    }

    /// Ends every open question, and tells what is still to be told.
    pub(crate) fn end_questions(&self) {
        let mut outputs = VecDeque::new();
        {
            let mut engine = self.engine();
            engine.end_requests();
            engine.take_outputs(&mut outputs);
        }
        for output in outputs {
            if !matches!(output, Output::Perform { .. } | Output::Link(_) | Output::Reset(_) | Output::Ready) {
                self.carry_out(output);
            }
        }
    }

    /// Reads an answer, which may be long: the engine is not held meanwhile.
    fn read_answer(&self, whole: Whole) -> Answer {
        Answer::decode(&whole.into_frame()).unwrap_or_else(|unreadable| {
            self.engine().unreadable(unreadable, None, now());
            Answer::Unsupported
        })
    }

    fn take_answer(&self, request: u64, node: NodeId, answer: Answer) {
        if let Some(collector) = self.collector(request) {
            if let Answer::Acks(AckBatch { expected, acks, done }) = answer {
                if let Some(expected) = expected {
                    collector.expect(node, expected);
                }
                for ack in acks {
                    let answer: Result<Bytes, _> = match ack.answer {
                        AckAnswer::Data(data) => Ok(data),
                        AckAnswer::Failed(error) => Err(error),
                    };
                    collector.ack(node, ack.socket, answer);
                }
                if done {
                    collector.end(node, None);
                }
            } else {
                collector.end(node, Some(MissingReason::Unsupported));
            }
            return;
        }
        let replies = match self.waiters().get(&request) {
            Some(Waiter::Gather(replies)) => replies.clone(),
            _ => return,
        };
        // A receiver that is gone has forgotten the question in the meantime.
        let _ = replies.send(Reply::Answer(node, answer));
    }

    /// Taken out of the map, since it wakes foreign code.
    fn collector(&self, request: u64) -> Option<Collector> {
        match self.waiters().get(&request) {
            Some(Waiter::Acks(collector)) => Some(collector.clone()),
            _ => None,
        }
    }

    fn end(&self, request: u64, missing: Vec<MissingNode>) {
        let waiter = self.waiters().remove(&request);
        match waiter {
            Some(Waiter::Gather(replies)) => {
                let _ = replies.send(Reply::Ended(missing));
            }
            Some(Waiter::Acks(collector)) => {
                self.measure_missing("emit_with_ack", &missing);
                missing.iter().for_each(|missing| collector.end(missing.node, Some(missing.reason)));
            }
            None => {}
        }
    }

    /// The broker is not there yet. To be called before anything runs for this node.
    pub(crate) fn begin_away(&self, reason: String) {
        let mut outputs = VecDeque::new();
        {
            let mut engine = self.engine();
            engine.begin_away(reason);
            engine.take_outputs(&mut outputs);
        }
        outputs.into_iter().for_each(|output| self.carry_out(output));
    }

    /// What happens from now on, and what a reader has to know before.
    pub(crate) fn read_events(&self) -> (Option<Event>, broadcast::Receiver<Event>) {
        // First: between the two, something may be told twice but not be missed. Of a node that is closed there is nothing to tell.
        let receiver = match &*self.events() {
            Some(events) => events.subscribe(),
            None => broadcast::channel(1).1,
        };
        (self.link_state.now().degraded.map(Event::Degraded), receiver)
    }

    fn tell(&self, event: Event) {
        self.link_state.note(&event, now());
        self.log_event(&event);
        self.measure_event(&event);
        self.send_event(event);
    }

    pub(super) fn send_event(&self, event: Event) {
        let events = self.events().clone(); // readers wake: not under our lock
        let _ = events.map(|events| events.send(event)); // nobody listens: nothing to do
    }

    /// Nothing more will be told.
    pub(crate) fn end_events(&self) {
        let events = self.events().take();
        drop(events); // readers wake: not under our lock
    }

    /// Calls are refused from now on.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.link_state.ends(now());
    }

    fn events(&self) -> MutexGuard<'_, Option<broadcast::Sender<Event>>> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What an encoded operation has beside its packet and the names of rooms, at the most: a namespace, and some numbers.
const BESIDE_NAMES: usize = MAX_NAME + 256;
/// What one name has beside its bytes.
const LENGTH: usize = 9;

/// What a queued message costs beside its bytes.
const OVERHEAD: usize = 128;

/// Reserved capacity in the outgoing queue, given back when dropped.
pub(crate) struct Capacity<'a>(tokio::sync::SemaphorePermit<'a>);

impl Capacity<'_> {
    /// Passes the reservation on to the queued message, which gives it back once it is sent. Returns its bytes.
    pub(crate) fn take(self) -> usize {
        let bytes = self.0.num_permits();
        self.0.forget();
        bytes
    }
}

/// The runtime's time, which tests may pause.
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// The longest that anything is waited for.
pub(crate) const A_DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Now, so much later; far futures are a day.
pub(crate) fn deadline(timeout: Duration) -> Instant {
    now() + timeout.min(A_DAY)
}
