//! A broker under the runtime's paused clock: one table of links, one task that delivers.
//!
//! A message takes its time to the broker, in the order of its publisher, and from there to each subscriber, in the order of
//! the broker. Everything is shared: a delivery costs an entry in a queue, not an allocation.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use roomcast_core::Bytes;
use roomcast_core::backend::{Channel, Inbox, Limits, Outgoing};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::port::Port;
use super::random::Random;
use super::traffic::{Traffic, is_control};

/// Microseconds since the broker was started.
type Micros = u64;

/// One way to the broker or from it, in microseconds.
const LATENCY: (Micros, Micros) = (100, 1000);
/// When a node's queue is full, it is tried again after so long.
const AGAIN: Micros = 1000;
/// More bytes on their way are a runaway: nothing is taken any more, so that the machine survives it.
const RUNAWAY: usize = 1 << 30;

/// The broker; it ends when this is dropped.
pub(crate) struct Broker {
    pub(crate) table: Table,
    task: JoinHandle<()>,
}

/// What the nodes' links are in. Clones are the same table.
#[derive(Clone)]
pub(crate) struct Table(Arc<Shared>);

struct Shared {
    began: Instant,
    state: Mutex<State>,
    sooner: Notify,
}

struct State {
    random: Random,
    links: Vec<Link>,
    subscribers: HashMap<Channel, Vec<usize>>,
    /// On their way to the broker, by time and then by order of publishing.
    coming: BinaryHeap<Reverse<(Micros, u64, Coming)>>,
    published: u64,
    /// Links with something on its way to them, by the time of the first.
    due: BinaryHeap<Reverse<(Micros, usize)>>,
    under_way: usize,
    ran_away: bool,
}

#[derive(Default)]
struct Link {
    inbox: Option<Inbox>,
    up: bool,
    /// Counts the cuts: what was under way before one is lost.
    cuts: u32,
    /// Nothing passes before that time, either way.
    stalled: Micros,
    last_sent: Micros,
    last_received: Micros,
    queue: VecDeque<(Micros, Arc<Message>)>,
    /// It is in `due`.
    is_due: bool,
    traffic: Traffic,
    /// When it published last, and the longest time between two batches.
    spoke: Option<Micros>,
    longest_silence: Micros,
}

struct Message {
    channel: Channel,
    payload: Bytes,
    control: bool,
}

struct Coming {
    link: usize,
    cuts: u32,
    message: Arc<Message>,
}

impl Broker {
    /// Starts one on the current runtime.
    pub(crate) fn start(seed: u64) -> Self {
        let state = State {
            random: Random::new(seed),
            links: Vec::new(),
            subscribers: HashMap::new(),
            coming: BinaryHeap::new(),
            published: 0,
            due: BinaryHeap::new(),
            under_way: 0,
            ran_away: false,
        };
        let shared = Shared { began: Instant::now(), state: Mutex::new(state), sooner: Notify::new() };
        let table = Table(Arc::new(shared));
        let task = tokio::spawn(deliver(table.clone()));
        Self { table, task }
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn deliver(table: Table) {
    loop {
        let next = table.lock().turn(table.now());
        let Some(next) = next else {
            table.0.sooner.notified().await;
            continue;
        };
        tokio::select! {
            biased;
            () = tokio::time::sleep_until(table.instant(next)) => {}
            () = table.0.sooner.notified() => {}
        }
    }
}

impl Table {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Micros {
        self.0.began.elapsed().as_micros() as Micros
    }

    fn instant(&self, at: Micros) -> Instant {
        self.0.began + Duration::from_micros(at)
    }

    pub(super) fn open(&self, link: usize, inbox: Inbox) {
        let now = self.now();
        let link = &mut self.lock().links[link];
        (link.inbox, link.up, link.last_sent, link.last_received) = (Some(inbox), true, now, now);
    }

    /// Whether the link is up, and the channels now reach it.
    pub(super) fn subscribe(&self, link: usize, channels: &[Channel]) -> bool {
        let mut state = self.lock();
        if state.links[link].up {
            state.subscribe(link, channels);
        }
        state.links[link].up
    }

    pub(super) fn unsubscribe(&self, link: usize, channels: &[Channel]) {
        self.lock().unsubscribe(link, |channel| channels.contains(channel));
    }

    /// Takes a batch; returns whether the broker's word that it has it came back.
    pub(super) async fn publish(&self, link: usize, frames: &[Outgoing]) -> bool {
        let now = self.now();
        let taken = self.lock().publish(link, frames, now);
        let Some((done, cuts)) = taken else { return false };
        self.0.sooner.notify_one();
        tokio::time::sleep_until(self.instant(done)).await;
        self.lock().links[link].cuts == cuts
    }

    /// One way to the broker, or back.
    pub(super) async fn way(&self) {
        let latency = self.lock().latency();
        tokio::time::sleep(Duration::from_micros(latency)).await;
    }

    /// What one link has sent and received so far.
    pub(crate) fn traffic_of(&self, link: usize) -> Traffic {
        self.lock().links[link].traffic
    }

    /// What all have, those that are gone included.
    pub(crate) fn traffic(&self) -> Traffic {
        self.lock().links.iter().fold(Traffic::default(), |sum, link| sum + link.traffic)
    }

    /// A way to the broker for one more node.
    pub(crate) fn port(&self) -> Port {
        let mut state = self.lock();
        state.links.push(Link::default());
        Port::new(state.links.len() - 1, self.clone())
    }

    /// The longest time in which one link published nothing, from its first batch to its last.
    pub(crate) fn longest_silence(&self, link: usize) -> Duration {
        Duration::from_micros(self.lock().links[link].longest_silence)
    }

    /// Whether more was under way than any cluster should send.
    pub(crate) fn ran_away(&self) -> bool {
        self.lock().ran_away
    }

    /// Breaks a link: what is under way on it is lost, and its node knows.
    pub(crate) fn cut(&self, link: usize) {
        let mut state = self.lock();
        state.links[link].lose();
        if let Some(inbox) = &state.links[link].inbox {
            inbox.down("cut");
        }
    }

    /// The link is there again, with every channel that its node wants.
    pub(crate) fn mend(&self, link: usize) {
        let mut state = self.lock();
        let Some(inbox) = state.links[link].inbox.clone() else { return };
        state.links[link].up = true;
        state.subscribe(link, &inbox.channels());
        inbox.up(limits());
    }

    /// The link is gone, without a word.
    pub(crate) fn kill(&self, link: usize) {
        self.lock().leave(link);
    }

    /// Nothing passes for so long, either way; nothing is lost.
    pub(crate) fn stall(&self, link: usize, time: Duration) {
        let until = self.now() + time.as_micros() as Micros;
        self.lock().links[link].stalled = until;
    }
}

impl State {
    fn latency(&mut self) -> Micros {
        self.random.between(LATENCY.0, LATENCY.1)
    }

    /// Takes a batch of a link; returns when the broker's word about it is back at the link, and how often that was cut.
    /// None when nothing is taken.
    fn publish(&mut self, link: usize, frames: &[Outgoing], now: Micros) -> Option<(Micros, u32)> {
        self.ran_away |= self.under_way > RUNAWAY;
        if self.ran_away || !self.links[link].up {
            return None;
        }
        let speaking = &mut self.links[link];
        let silence = speaking.spoke.replace(now).map_or(0, |before| now - before);
        speaking.longest_silence = speaking.longest_silence.max(silence);
        for frame in frames {
            let latency = self.latency();
            let publisher = &mut self.links[link];
            let at = (now + latency).max(publisher.last_sent).max(publisher.stalled);
            publisher.last_sent = at;
            let (channel, payload) = (frame.channel.clone(), frame.payload.clone());
            let control = is_control(&payload);
            publisher.traffic.published.add(control, payload.len());
            self.under_way += payload.len();
            let message = Arc::new(Message { channel, payload, control });
            self.published += 1;
            self.coming.push(Reverse((at, self.published, Coming { link, cuts: publisher.cuts, message })));
        }
        let latency = self.latency();
        Some((self.links[link].last_sent + latency, self.links[link].cuts))
    }

    /// Does what is due; returns when the next is.
    fn turn(&mut self, now: Micros) -> Option<Micros> {
        while self.coming.peek().is_some_and(|Reverse((at, ..))| *at <= now) {
            let Some(Reverse((at, _, coming))) = self.coming.pop() else { break };
            self.under_way -= coming.message.payload.len();
            if self.links[coming.link].cuts == coming.cuts {
                self.fan_out(&coming.message, at);
            }
        }
        while self.due.peek().is_some_and(|Reverse((at, _))| *at <= now) {
            let Some(Reverse((_, link))) = self.due.pop() else { break };
            let next = self.links[link].receive(now);
            self.links[link].is_due = next.is_some();
            self.due.extend(next.map(|at| Reverse((at, link))));
        }
        let coming = self.coming.peek().map(|Reverse((at, ..))| *at);
        let due = self.due.peek().map(|Reverse((at, _))| *at);
        coming.into_iter().chain(due).min()
    }

    fn fan_out(&mut self, message: &Arc<Message>, at: Micros) {
        let Self { subscribers, links, random, due, .. } = self;
        for index in subscribers.get(&message.channel).into_iter().flatten() {
            let link = &mut links[*index];
            if !link.up {
                continue;
            }
            let at = (at + random.between(LATENCY.0, LATENCY.1)).max(link.last_received);
            link.last_received = at;
            if !std::mem::replace(&mut link.is_due, true) {
                due.push(Reverse((at, *index)));
            }
            link.queue.push_back((at, Arc::clone(message)));
        }
    }

    fn subscribe(&mut self, link: usize, channels: &[Channel]) {
        for channel in channels {
            let links = self.subscribers.entry(channel.clone()).or_default();
            if !links.contains(&link) {
                links.push(link);
            }
        }
    }

    fn unsubscribe(&mut self, link: usize, gone: impl Fn(&Channel) -> bool) {
        self.subscribers.retain(|channel, links| {
            if gone(channel) {
                links.retain(|other| *other != link);
            }
            !links.is_empty()
        });
    }

    fn leave(&mut self, link: usize) {
        if let Some(inbox) = self.links[link].inbox.take() {
            let wanted = inbox.channels();
            self.unsubscribe(link, |channel| wanted.contains(channel));
        }
        self.links[link].lose();
    }
}

impl Link {
    /// Hands over what is due; returns when the next is.
    fn receive(&mut self, now: Micros) -> Option<Micros> {
        let inbox = self.inbox.as_ref()?;
        while let Some((at, message)) = self.queue.front() {
            let at = (*at).max(self.stalled);
            if at > now {
                return Some(at);
            }
            if inbox.frame(message.channel.as_str(), message.payload.clone()).is_err() {
                return Some(now + AGAIN);
            }
            self.traffic.delivered.add(message.control, message.payload.len());
            self.queue.pop_front();
        }
        None
    }

    fn lose(&mut self) {
        self.up = false;
        self.cuts += 1;
        self.queue.clear();
    }
}

pub(super) fn limits() -> Limits {
    Limits::max_frame(1 << 20)
}

impl PartialEq for Coming {
    fn eq(&self, _: &Self) -> bool {
        true // the order of publishing, which stands before it, decides
    }
}

impl Eq for Coming {}

impl PartialOrd for Coming {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Coming {
    fn cmp(&self, _: &Self) -> std::cmp::Ordering {
        std::cmp::Ordering::Equal
    }
}
