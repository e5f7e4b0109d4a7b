//! The backend: what the core asks for, on the link as it is now.

use std::sync::Arc;

use adapter_core::{
    Backend, Capabilities, Channel, ErrorKind, Inbox, Keeper, Limits, Outgoing, PublishError, Reason, Result,
    async_trait,
};

use crate::config::Postgres;
use crate::listen::{Pair, for_each};

/// Connects, and keeps the link up.
pub(crate) async fn connect(postgres: Postgres, inbox: Inbox) -> Result<Arc<dyn Backend>> {
    Ok(Arc::new(Node(Keeper::connect(postgres, inbox).await?)))
}

struct Node(Keeper<Pair>);

#[async_trait]
impl Backend for Node {
    /// Ordered: a node publishes on one connection, one transaction after the other; the order of commits is that of the
    /// server's one queue, and a listener is given what is in it on one connection.
    fn capabilities(&self) -> Capabilities {
        Capabilities::default().ordered()
    }

    fn limits(&self) -> Limits {
        self.0.limits()
    }

    async fn subscribe(&self, channels: &[Channel]) -> Result<()> {
        self.0.subscribe(channels).await
    }

    async fn unsubscribe(&self, channels: &[Channel]) -> Result<()> {
        for_each(&self.0.handle()?.listener, "UNLISTEN", channels).await
    }

    /// One statement for the whole batch.
    async fn publish(&self, frames: &[Outgoing]) -> Result<(), PublishError> {
        let link = self.0.handle().map_err(PublishError::Unknown)?;
        let (sendable, refused) = link.limits.sendable(frames);
        if !sendable.is_empty() {
            link.notify(sendable).await.map_err(|error| match error.kind() {
                // Of all of them: none was sent.
                ErrorKind::Denied => PublishError::Refused { index: 0, kind: ErrorKind::Denied },
                _ => {
                    // It lives and cannot publish, as a primary that has become a standby: another may have to be found.
                    link.breaker.trip("the server does not take what is published");
                    PublishError::Unknown(error)
                }
            })?;
        }
        refused
    }

    async fn reset(&self, reason: Reason) {
        self.0.reset(reason);
    }

    async fn close(&self) -> Result<()> {
        self.0.close().await
    }
}
