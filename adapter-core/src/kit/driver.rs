//! The task that drives a connection, and its end.

use std::future::Future;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::kit::InPlace;

/// The task that drives a connection: it can be run [in place](InPlace), and it tells when it has ended. Dropping this aborts it.
/// Many clients return such a task beside the handle for calls.
///
/// # Examples
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// use roomcast_core::backend::Driver;
/// use tokio::sync::oneshot;
///
/// let (hang_up, hung_up) = oneshot::channel::<()>();
/// let driver = Driver::spawn(async move { drop(hung_up.await) });
/// hang_up.send(()).expect("the task waits");
/// driver.ended().await; // the server has closed the connection
/// # }
/// ```
#[derive(Debug)]
pub struct Driver {
    task: InPlace,
    spawned: JoinHandle<()>,
    /// Closed when the task has ended, however it did.
    over: watch::Receiver<()>,
}

impl Driver {
    /// Spawns the task on the current runtime.
    ///
    /// # Panics
    /// Outside of a tokio runtime, as [`tokio::spawn`] does.
    pub fn spawn(task: impl Future<Output = ()> + Send + 'static) -> Self {
        let (alive, over) = watch::channel(());
        let (task, spawned) = InPlace::spawn(async move {
            let _alive = alive;
            task.await;
        });
        Self { task, spawned, over }
    }

    /// The task, to be run in place. A clone does not keep it alive.
    pub fn in_place(&self) -> &InPlace {
        &self.task
    }

    /// Waits until the task has ended, also by a panic.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn ended(&self) {
        // The task holds the other end, and nothing is sent.
        let _ = self.over.clone().changed().await;
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.spawned.abort(); // and what the task holds with it: the socket
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn it_ends_with_its_value_and_says_so_however_it_ends() {
        let (held, gone) = oneshot::channel::<()>();
        let driver = Driver::spawn(async move {
            let _held = held;
            std::future::pending().await
        });
        let mut ended = Box::pin(driver.ended());
        assert!(futures_util::FutureExt::now_or_never(&mut ended).is_none(), "it runs");
        drop(ended);
        let over = driver.over.clone();
        drop(driver);
        let gone = tokio::time::timeout(std::time::Duration::from_secs(10), gone).await;
        gone.expect("it ends with its value").expect_err("and what it holds with it");
        over.has_changed().expect_err("it was dropped");

        let driver = Driver::spawn(async { panic!("this task panics") });
        driver.ended().await;
        driver.ended().await;
    }
}
