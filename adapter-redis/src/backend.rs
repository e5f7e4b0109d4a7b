//! The backend: what the core asks for, on the link as it is now.

use std::sync::Arc;

use adapter_core::{
    Backend, Capabilities, Channel, Inbox, Keeper, Limits, Outgoing, PublishError, Reason, Result, async_trait,
};

use crate::config::Redis;
use crate::listen::{LIMITS, Pair};

/// Connects, and keeps the link up.
pub(crate) async fn connect(redis: Redis, inbox: Inbox) -> Result<Arc<dyn Backend>> {
    Ok(Arc::new(Client(Keeper::connect(redis, inbox).await?)))
}

struct Client(Keeper<Pair>);

#[async_trait]
impl Backend for Client {
    /// Ordered: a node publishes on one connection to one server, which carries out its commands one after the other
    /// and writes each message to all subscribers before it looks at the next. In Redis Cluster, too: all channels
    /// are in one slot.
    fn capabilities(&self) -> Capabilities {
        Capabilities::default().ordered()
    }

    fn limits(&self) -> Limits {
        LIMITS
    }

    async fn subscribe(&self, channels: &[Channel]) -> Result<()> {
        self.0.subscribe(channels).await
    }

    async fn unsubscribe(&self, channels: &[Channel]) -> Result<()> {
        self.0.handle()?.unsubscribe(channels).await
    }

    /// One round trip for the whole batch. Those after a message that the server's access rules refuse may have been
    /// sent as well: the core sends them again, and receivers drop the copies.
    async fn publish(&self, frames: &[Outgoing]) -> Result<(), PublishError> {
        let mut link = self.0.handle().map_err(PublishError::Unknown)?;
        let (sendable, refused) = LIMITS.sendable(frames);
        if !sendable.is_empty() {
            link.publish(sendable).await?;
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
