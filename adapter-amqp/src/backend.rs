//! The backend: what the node asks of the session that there is.

use std::sync::Arc;

use adapter_core::{
    Backend, Capabilities, Channel, Inbox, Keeper, Limits, Outgoing, PublishError, Reason, Result, async_trait,
};

use crate::Amqp;
use crate::listen::{Brokers, Line};
use crate::session::LIMITS;

/// Connects, and keeps the link up.
pub(crate) async fn connect(amqp: &Amqp, inbox: Inbox) -> Result<Arc<dyn Backend>> {
    Ok(Arc::new(Node(Keeper::connect(Brokers::new(amqp.clone()), inbox).await?)))
}

struct Node(Keeper<Line>);

#[async_trait]
impl Backend for Node {
    /// Ordered: a node publishes on one channel to one exchange, and receives from one queue by one consumer. The broker
    /// keeps the order on such a way, whatever the routing keys.
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
        self.0.handle()?.unbind(channels).await
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
