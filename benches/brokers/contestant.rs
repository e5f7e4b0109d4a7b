//! What is measured: something that publishes messages, and receives each of them twice.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use roomcast::backend::async_trait;

use crate::receipts::{Message, Receipts};

pub(crate) type Result<T, E = Box<dyn std::error::Error + Send + Sync>> = std::result::Result<T, E>;

/// Connects one contestant to the broker at this URL. What its receivers have goes to the receipts.
pub(crate) type Open = fn(url: String, receipts: Arc<Receipts>) -> BoxFuture<'static, Result<Box<dyn Contestant>>>;

/// One publisher and two receivers, each with a connection of its own.
#[async_trait]
pub(crate) trait Contestant: Send {
    /// What the receivers have had.
    fn receipts(&self) -> &Arc<Receipts>;

    /// Publishes these messages as fast as it can; returns once the last is on its way.
    async fn burst(&mut self, messages: &mut (dyn Iterator<Item = Message> + Send)) -> Result<()>;

    /// Publishes one message, now.
    async fn one(&mut self, message: Message) -> Result<()>;

    async fn close(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}
