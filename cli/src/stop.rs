//! Ctrl-C and SIGTERM.

use tokio::sync::watch;

/// Whether the command was told to end. The task that listens ends with the runtime, which ends with the command.
#[derive(Clone, Debug)]
pub(crate) struct Stop(watch::Receiver<bool>);

impl Stop {
    /// Listens from now on. A second signal ends the process at once.
    pub(crate) fn listen() -> Self {
        let (told, stop) = watch::channel(false);
        tokio::spawn(async move {
            signal().await;
            told.send_replace(true);
            signal().await;
            std::process::exit(130);
        });
        Self(stop)
    }

    /// Returns when the command was told to end.
    ///
    /// # Cancel safety
    /// Safe.
    pub(crate) async fn told(&self) {
        let mut stop = self.0.clone();
        if stop.wait_for(|told| *told).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(unix)]
async fn signal() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
        }
        Err(_) => drop(tokio::signal::ctrl_c().await),
    }
}

#[cfg(not(unix))]
async fn signal() {
    let _ = tokio::signal::ctrl_c().await; // without signals there is nothing to wait for
}
