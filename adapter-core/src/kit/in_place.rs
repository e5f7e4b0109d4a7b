//! A task that others may run in their own.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::task::{Context, Poll, Wake, Waker};

use tokio::runtime::Handle;
use tokio::task::JoinHandle;

/// A background task that its users may also run in place: for the driver of a connection.
///
/// Usually work is put into a queue and the task that takes it is woken, perhaps on a thread that sleeps. To wake that thread
/// takes longer than to write the few bytes to the socket. [`run`](Self::run) polls the task on the caller's thread instead,
/// right after the work was queued. If the task is being polled elsewhere, it is woken as usual.
///
/// Clones are the same task. Dropping them does not end it: the owner of the [`JoinHandle`] aborts or awaits it.
///
/// # Examples
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// use roomcast_core::backend::InPlace;
/// use tokio::sync::mpsc;
///
/// let (work, mut queue) = mpsc::unbounded_channel();
/// let (done, mut results) = mpsc::unbounded_channel();
/// let (task, handle) = InPlace::spawn(async move {
///     while let Some(number) = queue.recv().await {
///         let _ = done.send(number * 2);
///     }
/// });
/// tokio::task::yield_now().await; // the task has begun, and waits
///
/// task.run(|| work.send(21)).expect("the task lives");
/// assert_eq!(results.try_recv(), Ok(42)); // nobody had to be woken
/// # handle.abort();
/// # }
/// ```
#[derive(Clone)]
pub struct InPlace(Arc<Shared>);

struct Shared {
    /// None once it has ended.
    task: Mutex<Option<Pin<Box<dyn Future<Output = ()> + Send>>>>,
    wakes: Arc<Wakes>,
    /// What the task is polled with, wherever that happens.
    waker: Waker,
    /// Timers and sockets that the task makes belong to this one.
    runtime: Handle,
}

/// The caller of `run` is polling the task, or about to.
const HELD: u8 = 1;
/// The task was woken.
const WOKEN: u8 = 2;

/// Passes wakes on to the spawned task, except while the task runs in place.
struct Wakes {
    state: AtomicU8,
    spawned: Mutex<Option<Waker>>,
}

impl InPlace {
    /// Spawns the task on the current runtime. The handle ends with it.
    ///
    /// # Panics
    /// Outside of a tokio runtime, as [`tokio::spawn`] does.
    pub fn spawn(task: impl Future<Output = ()> + Send + 'static) -> (Self, JoinHandle<()>) {
        let wakes = Arc::new(Wakes { state: AtomicU8::new(0), spawned: Mutex::default() });
        let waker = Waker::from(Arc::clone(&wakes));
        let shared =
            Arc::new(Shared { task: Mutex::new(Some(Box::pin(task))), wakes, waker, runtime: Handle::current() });
        let spawned = Spawned(Arc::clone(&shared));
        (Self(shared), tokio::spawn(poll_fn(move |cx| spawned.poll(cx))))
    }

    /// Calls `queue_work`, and polls the task once on this thread if that has woken it. What the task does not finish
    /// then, for instance because the tokio budget of the caller's task is used up, it finishes where it was spawned.
    ///
    /// Called by the task itself, it only wakes the task. A panic of the task ends the task, and reaches the caller.
    pub fn run<T>(&self, queue_work: impl FnOnce() -> T) -> T {
        let mut task = match self.0.task.try_lock() {
            Ok(task) => task,
            Err(TryLockError::Poisoned(panicked)) => panicked.into_inner(),
            Err(TryLockError::WouldBlock) => return queue_work(),
        };
        let held = self.0.wakes.hold();
        let queued = queue_work();
        if held.take_wake() {
            let _runtime = self.0.runtime.enter();
            let _ = self.0.poll(&mut task);
        }
        drop(task);
        drop(held);
        queued
    }

    /// Awaits a future that queues work for the task, and runs the task in place after each poll of it.
    ///
    /// # Cancel safety
    /// As safe as the future itself.
    pub async fn assist<F: Future>(&self, future: F) -> F::Output {
        let mut future = pin!(future);
        poll_fn(|cx| self.run(|| future.as_mut().poll(cx))).await
    }
}

impl Shared {
    fn poll(&self, task: &mut Option<Pin<Box<dyn Future<Output = ()> + Send>>>) -> Poll<()> {
        // Taken out: one that panics is not polled again.
        let Some(mut running) = task.take() else { return Poll::Ready(()) };
        let over = Over(&self.waker);
        let polled = running.as_mut().poll(&mut Context::from_waker(&self.waker));
        if polled.is_pending() {
            *task = Some(running);
            std::mem::forget(over);
        }
        polled
    }
}

/// Wakes the spawned task, which ends as well.
struct Over<'a>(&'a Waker);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.wake_by_ref();
    }
}

/// The task as the runtime has it.
struct Spawned(Arc<Shared>);

impl Spawned {
    fn poll(&self, cx: &Context<'_>) -> Poll<()> {
        let Shared { task, wakes, .. } = &*self.0;
        wakes.register(cx.waker());
        loop {
            match task.try_lock() {
                Ok(mut task) => return self.0.poll(&mut task),
                Err(TryLockError::Poisoned(_)) => return Poll::Ready(()),
                Err(TryLockError::WouldBlock) if wakes.wake_is_passed_on_later() => return Poll::Pending,
                // It is about to be held, or was released this moment.
                Err(TryLockError::WouldBlock) => std::hint::spin_loop(),
            }
        }
    }
}

impl Drop for Spawned {
    fn drop(&mut self) {
        let task = self.0.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(task); // while nothing is locked
    }
}

impl Wakes {
    fn hold(&self) -> Held<'_> {
        self.state.store(HELD, Ordering::Release);
        Held(self)
    }

    /// Whether the task runs in place; then the spawned task is woken after that.
    fn wake_is_passed_on_later(&self) -> bool {
        self.state.fetch_or(WOKEN, Ordering::AcqRel) & HELD != 0
    }

    fn register(&self, waker: &Waker) {
        let mut spawned = self.spawned();
        if !spawned.as_ref().is_some_and(|known| known.will_wake(waker)) {
            *spawned = Some(waker.clone());
        }
    }

    fn pass_on(&self) {
        let waker = self.spawned().clone();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn spawned(&self) -> MutexGuard<'_, Option<Waker>> {
        self.spawned.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.wake_is_passed_on_later() {
            self.pass_on();
        }
    }
}

/// Wakes are kept back until this is dropped.
struct Held<'a>(&'a Wakes);

impl Held<'_> {
    /// Whether the task was woken since it is held; forgets it.
    fn take_wake(&self) -> bool {
        self.0.state.fetch_and(!WOKEN, Ordering::AcqRel) & WOKEN != 0
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        if self.0.state.swap(0, Ordering::AcqRel) & WOKEN != 0 {
            self.0.pass_on();
        }
    }
}

impl fmt::Debug for InPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InPlace").finish_non_exhaustive()
    }
}

#[cfg(test)]
#[path = "in_place_tests.rs"]
mod tests;
