//! What the two receivers have had: every message is counted, and timed where latency is asked for.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, mpsc};

pub(crate) const SIZE: usize = 200;
pub(crate) const RECEIVERS: usize = 2;

/// After so long without a message, those that are missing are lost.
const PATIENCE: Duration = Duration::from_secs(2);

/// The bytes of one message: its run, its number within that, and padding. They are ASCII, as PostgreSQL wants them.
pub(crate) type Message = [u8; SIZE];

/// A number in a message: eight characters of six bits each.
fn write(number: u64) -> [u8; 8] {
    std::array::from_fn(|at| b'@' | (number >> (6 * at)) as u8 & 0x3f)
}

fn read(field: &[u8; 8]) -> u64 {
    field.iter().rev().fold(0, |number, byte| number << 6 | u64::from(byte & 0x3f))
}

/// What both receivers have had of the run that is going on.
pub(crate) struct Receipts {
    run: AtomicU64,
    expected: AtomicU64,
    timed: AtomicBool,
    began: Instant,
    /// Of each message of a timed run: when it was published.
    published: Vec<AtomicU64>,
    receivers: [Receiver; RECEIVERS],
    complete: Notify,
    /// What is received goes to a task of each receiver first, as in most applications.
    tasks: OnceLock<[mpsc::UnboundedSender<Vec<u8>>; RECEIVERS]>,
    /// The publisher's own side subscribes as well, as every node of a cluster does.
    all_receive: bool,
}

#[derive(Default)]
struct Receiver {
    had: AtomicU64,
    astray: AtomicU64,
    /// Of each message of a timed run: when it was there.
    at: Vec<AtomicU64>,
}

impl Receipts {
    /// Timed runs have at most this many messages.
    pub(crate) const TIMED: u64 = 1 << 14;

    pub(crate) fn new() -> Self {
        let times = || (0..Self::TIMED).map(|_| AtomicU64::new(0)).collect();
        Self {
            run: AtomicU64::new(0),
            expected: AtomicU64::new(0),
            timed: AtomicBool::new(false),
            began: Instant::now(),
            published: times(),
            receivers: std::array::from_fn(|_| Receiver { at: times(), ..Receiver::default() }),
            complete: Notify::new(),
            tasks: OnceLock::new(),
            all_receive: false,
        }
    }

    /// How many a plain client subscribes. What comes beyond [`RECEIVERS`] is taken and not looked at.
    pub(crate) fn subscribers(&self) -> usize {
        RECEIVERS + usize::from(self.all_receive)
    }

    /// The same, with a task for each receiver that is handed what the client has received.
    pub(crate) fn of_tasks(all_receive: bool) -> Arc<Self> {
        let receipts = Arc::new(Self { all_receive, ..Self::new() });
        let tasks = std::array::from_fn(|index| {
            let (sender, mut received) = mpsc::unbounded_channel::<Vec<u8>>();
            let weak = Arc::downgrade(&receipts);
            // Ends with the receipts, which have the sender.
            tokio::spawn(async move {
                while let Some(payload) = received.recv().await {
                    weak.upgrade().inspect(|receipts| receipts.note(index, &payload));
                }
            });
            sender
        });
        // They were made above, and have none.
        let _ = receipts.tasks.set(tasks);
        receipts
    }

    /// The name of the channel that a plain client uses, so that no two contestants have the same.
    pub(crate) fn channel(&self) -> &'static str {
        match (self.tasks.get().is_some(), self.all_receive) {
            (false, _) => "plain",
            (true, false) => "plain_tasks",
            (true, true) => "plain_nodes",
        }
    }

    /// Begins a run of so many messages.
    pub(crate) fn begin(&self, messages: u64, timed: bool) -> impl Iterator<Item = Message> + Send {
        let run = self.run.fetch_add(1, Ordering::SeqCst) + 1; // what is late of the one before is not counted
        self.timed.store(timed, Ordering::SeqCst);
        self.expected.store(messages, Ordering::SeqCst);
        for receiver in &self.receivers {
            receiver.had.store(0, Ordering::SeqCst);
        }
        (0..messages).map(move |number| {
            let mut message = [b'x'; SIZE];
            message[..8].copy_from_slice(&write(run));
            message[8..16].copy_from_slice(&write(number));
            message
        })
    }

    /// Notes that the message with this number of a timed run is published now.
    pub(crate) fn published(&self, number: u64) {
        self.published[number as usize].store(self.now(), Ordering::Relaxed);
    }

    /// Takes what a receiver has had.
    pub(crate) fn take(&self, receiver: usize, payload: &[u8]) {
        match self.tasks.get() {
            _ if receiver >= RECEIVERS => {}
            // The task lives as long as the receipts do.
            Some(tasks) => drop(tasks[receiver].send(payload.to_vec())),
            None => self.note(receiver, payload),
        }
    }

    fn note(&self, receiver: usize, payload: &[u8]) {
        let this = &self.receivers[receiver];
        let (Some(run), Some(number)) = (payload.first_chunk(), payload.get(8..).and_then(<[u8]>::first_chunk)) else {
            return;
        };
        let (run, number) = (read(run), read(number));
        if run != self.run.load(Ordering::Relaxed) || payload.len() != SIZE {
            return;
        }
        if self.timed.load(Ordering::Relaxed) {
            this.at[number as usize].store(self.now(), Ordering::Relaxed);
        }
        let before = this.had.fetch_add(1, Ordering::Relaxed);
        if before != number {
            this.astray.fetch_add(1, Ordering::Relaxed);
        }
        if before + 1 == self.expected.load(Ordering::Relaxed) {
            self.complete.notify_one();
        }
    }

    /// Waits until both have had everything; returns how many messages got lost on the way to them.
    pub(crate) async fn complete(&self) -> u64 {
        let mut before = 0;
        loop {
            let had: u64 = self.receivers.iter().map(|receiver| receiver.had.load(Ordering::SeqCst)).sum();
            let missing = RECEIVERS as u64 * self.expected.load(Ordering::SeqCst) - had;
            if missing == 0 {
                return 0;
            }
            let silent = tokio::time::timeout(PATIENCE, self.complete.notified()).await.is_err();
            if silent && had == before {
                return missing;
            }
            before = had;
        }
    }

    /// How many messages, ever, came in another place than that of their number.
    pub(crate) fn astray(&self) -> u64 {
        self.receivers.iter().map(|receiver| receiver.astray.load(Ordering::Relaxed)).sum()
    }

    /// The time of each of so many messages from its publishing to the last of the receivers, shortest first.
    pub(crate) fn latencies(&self, messages: u64) -> Vec<Duration> {
        let latency = |number: usize| {
            let at = self.receivers.iter().map(|receiver| receiver.at[number].load(Ordering::Relaxed)).max();
            let published = self.published[number].load(Ordering::Relaxed);
            Duration::from_nanos(at.unwrap_or_default().saturating_sub(published))
        };
        let mut latencies: Vec<_> = (0..messages as usize).map(latency).collect();
        latencies.sort_unstable();
        latencies
    }

    fn now(&self) -> u64 {
        self.began.elapsed().as_nanos() as u64
    }
}
