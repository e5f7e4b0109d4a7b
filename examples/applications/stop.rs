//! When a server is asked to stop.

use std::io::{Error, Result};

use tokio::signal;

/// Returns on Ctrl-C, and on SIGTERM where that exists.
pub(crate) async fn asked() -> Result<()> {
    #[cfg(unix)]
    {
        let mut terminate = signal::unix::signal(signal::unix::SignalKind::terminate())?;
        tokio::select! {
            pressed = signal::ctrl_c() => pressed,
            told = terminate.recv() => told.ok_or_else(|| Error::other("no more signals can arrive")),
        }
    }
    #[cfg(not(unix))]
    signal::ctrl_c().await
}
