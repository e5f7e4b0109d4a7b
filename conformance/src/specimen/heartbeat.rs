//! A task that ticks beside the node on its runtime, and a thread that ticks beside that.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use std::{io, thread};

use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};

const TICK: Duration = Duration::from_millis(10);

/// A task that ticks beside the node on its runtime. The thread beside it, which nothing of the node can hold up, is the clock: a busy
/// machine slows both.
pub(super) struct Heartbeat {
    task: JoinHandle<()>,
    longest: Arc<AtomicU64>,
}

impl Heartbeat {
    /// Begins; the thread ends with the process.
    pub(super) fn start() -> io::Result<Self> {
        let (clock, longest) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let ticks = Arc::clone(&clock);
        thread::Builder::new().name("clock".to_owned()).spawn(move || {
            loop {
                thread::sleep(TICK);
                ticks.fetch_add(1, Ordering::Relaxed);
            }
        })?;
        let most = Arc::clone(&longest);
        // From now on, for what comes next may hold up the first tick.
        let mut before = clock.load(Ordering::Relaxed);
        let task = tokio::spawn(async move {
            let mut tick = interval(TICK);
            tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                tick.tick().await;
                let now = clock.load(Ordering::Relaxed);
                most.fetch_max(now - before, Ordering::Relaxed);
                before = now;
            }
        });
        Ok(Self { task, longest })
    }

    /// For how many ticks of the thread the runtime ran no task, at the most.
    pub(super) fn longest(&self) -> u64 {
        self.longest.load(Ordering::Relaxed)
    }
}

impl Drop for Heartbeat {
    fn drop(&mut self) {
        self.task.abort();
    }
}
