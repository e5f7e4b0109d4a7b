//! What the handle, the reader and the writer of one node share.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, Semaphore, broadcast, oneshot, watch};

use super::link_state::LinkState;
use super::logging::Log;
use super::metrics::Metrics;
use super::registry::Registry;
use super::traces::Traces;
use super::waiters::Waiter;
use crate::engine::{Engine, Output};
use crate::kit::InPlace;
use crate::model::{Error, Event, Node, Result};
use crate::seams::{Backend, Channel, Inbox, Observer};

/// What the handle, the reader and the writer of one node share.
pub(crate) struct Core {
    pub(crate) node: Node,
    pub(crate) channels: Channels,
    pub(crate) bounds: Bounds,
    pub(crate) backend: Arc<dyn Backend>,
    pub(crate) inbox: Inbox,
    pub(crate) registry: Registry,
    pub(super) traces: Traces,
    /// Who looks on, if anybody does.
    pub(crate) observer: OnceLock<Box<dyn Observer>>,
    engine: Mutex<Engine>,
    /// Bytes that the outgoing queue still takes.
    pub(super) capacity: Semaphore,
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
    pub(super) waiters: Mutex<HashMap<u64, Waiter>>,
    ready: Mutex<Option<oneshot::Sender<()>>>,
    /// Where events are told; gone once the node has been closed, which ends their readers.
    pub(super) events: Mutex<Option<broadcast::Sender<Event>>>,
    /// How the link stands: what a new reader of events is told first.
    pub(super) link_state: LinkState,
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

impl Core {
    #[expect(clippy::too_many_arguments, reason = "one call, of the parts that the builder has made")]
    pub(crate) fn new(
        node: Node,
        channels: Channels,
        bounds: Bounds,
        events: usize,
        traces: Traces,
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
            traces,
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

    pub(crate) fn check_open(&self) -> Result<()> {
        if self.closed.load(Ordering::Acquire) { Err(Error::closed()) } else { Ok(()) }
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

    /// Calls are refused from now on.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.link_state.ends(now());
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
