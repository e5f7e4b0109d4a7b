//! What looks after the tasks of a node.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;

use super::core::{Core, now};
use super::panics;
use super::reader::Reader;
use super::writer::Writer;
use crate::kit::{self, InPlace};
use crate::seams::Reason;

/// How long a backend may take to drop a dead link.
const RESET_TIMEOUT: Duration = Duration::from_secs(2);
/// A part of the node that panics more often than this within `LATELY` is given up, and the node with it.
const PANICS: u32 = 8;
const LATELY: Duration = Duration::from_secs(10);

/// A part of a node that runs for as long as the node does.
pub(super) trait Part: Send + 'static {
    /// For logs and events.
    const NAME: &'static str;

    /// Runs until it is dropped; called again, it goes on behind what it panicked at.
    fn run(&mut self) -> impl Future<Output = ()> + Send;
}

/// Starts what runs for a node: its reader, its writer, and what has dead links replaced. Each ends when it is aborted; when
/// one ends in another way, as all do when their runtime is gone, the node is closed.
pub(crate) fn start(core: &Arc<Core>) -> Vec<JoinHandle<()>> {
    let (writer, writing) = InPlace::spawn(supervised(Arc::clone(core), Writer::new(Arc::clone(core))));
    core.writer_is(writer);
    vec![
        tokio::spawn(supervised(Arc::clone(core), Reader::new(Arc::clone(core)))),
        writing,
        tokio::spawn(supervised(Arc::clone(core), Mender(Arc::clone(core)))),
    ]
}

/// Closes the node when the task that has it is gone.
struct EndOfNode(Arc<Core>);

impl Drop for EndOfNode {
    fn drop(&mut self) {
        self.0.is_gone();
    }
}

async fn supervised<P: Part>(core: Arc<Core>, mut part: P) {
    let core = EndOfNode(core);
    let (mut panics, mut began) = (0, now());
    while let Err(said) = caught(part.run()).await {
        core.0.panicked(P::NAME, &said);
        if now().saturating_duration_since(began) > LATELY {
            (panics, began) = (0, now());
        }
        panics += 1;
        if panics > PANICS {
            let (cluster, node) = (&core.0.channels.name, &core.0.node.id);
            tracing::error!(%cluster, %node, part = P::NAME, "a task of the node panicked too often; the node is closed");
            return;
        }
    }
}

/// Makes the backend drop a link that the engine has found dead.
struct Mender(Arc<Core>);

impl Part for Mender {
    const NAME: &'static str = "the backend's reset";

    async fn run(&mut self) {
        let core = &self.0;
        let mut reset = core.reset.subscribe();
        // Ends only with the core, which this task holds.
        while reset.changed().await.is_ok() {
            let reason = reset.borrow_and_update().clone();
            if let Some(reason) = reason {
                tracing::warn!(cluster = %core.channels.name, node = %core.node.id, %reason, "the link is dead; a new one is made");
                // One that takes longer is told again when the link is still dead.
                let _ = tokio::time::timeout(RESET_TIMEOUT, core.backend.reset(Reason::from(reason))).await;
            }
        }
    }
}

/// What a future gives, or the message of its panic.
pub(super) async fn caught<F: Future>(future: F) -> std::result::Result<F::Output, String> {
    kit::caught(future).await.map_err(|panic| panics::message(&*panic))
}
