//! A node's connection to the simulated broker.

use std::sync::Arc;

use roomcast_core::backend::{
    Backend, Capabilities, Channel, Connect, Inbox, Limits, Outgoing, PublishError, async_trait,
};
use roomcast_core::{Error, ErrorKind, Result};

use super::broker::{Table, limits};

/// One node's way to the broker.
pub(crate) struct Port {
    pub(crate) link: usize,
    table: Table,
}

impl Port {
    pub(super) fn new(link: usize, table: Table) -> Self {
        Self { link, table }
    }
}

#[async_trait]
impl Connect for Port {
    async fn connect(&self, inbox: Inbox) -> Result<Arc<dyn Backend>> {
        self.table.open(self.link, inbox);
        Ok(Arc::new(Connection { link: self.link, table: self.table.clone() }))
    }
}

/// One node's connection.
struct Connection {
    link: usize,
    table: Table,
}

fn broken() -> Error {
    Error::new(ErrorKind::Unavailable, "the link is cut")
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.table.kill(self.link);
    }
}

#[async_trait]
impl Backend for Connection {
    fn capabilities(&self) -> Capabilities {
        Capabilities::default().ordered()
    }

    fn limits(&self) -> Limits {
        limits()
    }

    async fn subscribe(&self, channels: &[Channel]) -> Result<()> {
        self.table.way().await;
        if !self.table.subscribe(self.link, channels) {
            return Err(broken());
        }
        self.table.way().await;
        Ok(())
    }

    async fn unsubscribe(&self, channels: &[Channel]) -> Result<()> {
        self.table.unsubscribe(self.link, channels);
        Ok(())
    }

    async fn publish(&self, frames: &[Outgoing]) -> Result<(), PublishError> {
        let confirmed = self.table.publish(self.link, frames).await;
        if confirmed { Ok(()) } else { Err(PublishError::Unknown(broken())) }
    }

    async fn close(&self) -> Result<()> {
        self.table.kill(self.link);
        Ok(())
    }
}
