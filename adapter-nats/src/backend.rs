//! The backend: what the node asks of the connection that there is.

use std::sync::Arc;

use adapter_core::{
    Backend, Capabilities, Channel, Inbox, Keeper, Limits, Outgoing, PublishError, Reason, Result, async_trait,
};

use crate::Nats;
use crate::listen::{Line, Servers};

/// Connects, and keeps the link up.
pub(crate) async fn connect(nats: &Nats, inbox: Inbox) -> Result<Arc<dyn Backend>> {
    Ok(Arc::new(Node(Keeper::connect(Servers::new(nats.clone()), inbox).await?)))
}

struct Node(Keeper<Line>);

#[async_trait]
impl Backend for Node {
    fn capabilities(&self) -> Capabilities {
        // The server keeps the order of a publisher across channels, but the client hands each subscription over in a
        // queue of its own, and what stands in two queues has lost its order.
        Capabilities::default()
    }

    fn limits(&self) -> Limits {
        self.0.limits()
    }

    async fn subscribe(&self, channels: &[Channel]) -> Result<()> {
        self.0.subscribe(channels).await
    }

    async fn unsubscribe(&self, channels: &[Channel]) -> Result<()> {
        self.0.handle()?.unsubscribe(channels).await;
        Ok(())
    }

    async fn publish(&self, frames: &[Outgoing]) -> Result<(), PublishError> {
        self.0.handle().map_err(PublishError::Unknown)?.publish(frames).await
    }

    async fn reset(&self, reason: Reason) {
        self.0.reset(reason);
    }

    async fn close(&self) -> Result<()> {
        self.0.close().await
    }
}
