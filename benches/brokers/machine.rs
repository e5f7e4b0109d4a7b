//! The processor time of this process, of the broker, and of whatever else runs on this machine (Linux; elsewhere none).

use std::collections::HashMap;
use std::fs;
use std::time::{Duration, Instant};

/// Processor time so far.
#[derive(Clone, Copy)]
pub(crate) struct Clock {
    at: Instant,
    ours: Duration,
    broker: Option<Duration>,
    everybody: Duration,
}

/// Processor time between two readings.
#[derive(Clone, Copy)]
pub(crate) struct Spent {
    pub(crate) time: Duration,
    /// By this process: publisher and receivers.
    pub(crate) ours: Duration,
    /// By the processes that this one has started. None when the broker runs elsewhere.
    pub(crate) broker: Option<Duration>,
    /// By others, in cores.
    pub(crate) foreign: f64,
}

impl Clock {
    pub(crate) fn read() -> Self {
        let me = std::process::id();
        let children = descendants(me);
        let broker = (!children.is_empty()).then(|| children.iter().map(|id| of_process(*id)).sum());
        Self { at: Instant::now(), ours: of_process(me), broker, everybody: of_everybody() }
    }

    /// What was spent since then.
    pub(crate) fn elapsed(&self) -> Spent {
        let now = Self::read();
        let time = now.at - self.at;
        let ours = now.ours.saturating_sub(self.ours);
        let broker = now.broker.zip(self.broker).map(|(now, then)| now.saturating_sub(then));
        let everybody = now.everybody.saturating_sub(self.everybody);
        let foreign = everybody.saturating_sub(ours + broker.unwrap_or_default()).as_secs_f64() / time.as_secs_f64();
        Spent { time, ours, broker, foreign }
    }
}

/// Of all its threads, to the nanosecond: what `stat` says is in hundredths of a second.
fn of_process(id: u32) -> Duration {
    let threads = fs::read_dir(format!("/proc/{id}/task")).into_iter().flatten().flatten();
    let spent = threads.filter_map(|thread| {
        let text = fs::read_to_string(thread.path().join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(spent.sum())
}

/// What this process has started, and what that has: a broker may be a script that starts the server.
fn descendants(of: u32) -> Vec<u32> {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(id) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        // "id (name) state parent ..", and the name may hold anything.
        let parent = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(1)?.parse().ok());
        children.entry(parent.unwrap_or(0)).or_default().push(id);
    }
    let mut found = children.remove(&of).unwrap_or_default();
    let mut next = 0;
    while let Some(id) = found.get(next) {
        let grandchildren = children.remove(id).unwrap_or_default();
        found.extend(grandchildren);
        next += 1;
    }
    found
}

/// Of all processes, and what the host has kept from this machine.
fn of_everybody() -> Duration {
    const TICK: Duration = Duration::from_millis(10); // USER_HZ is 100 everywhere
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    let all: Vec<u32> = stat.split_whitespace().skip(1).take(8).filter_map(|ticks| ticks.parse().ok()).collect();
    // user nice system idle iowait irq softirq steal
    let busy = [0, 1, 2, 5, 6, 7].iter().filter_map(|field| all.get(*field)).sum::<u32>();
    TICK * busy
}
