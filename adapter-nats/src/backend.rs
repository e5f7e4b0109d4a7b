//! The backend: what the node asks of the connection that there is.

use std::sync::Arc;

use adapter_core::{Backend, Capabilities, Channel, Error, Inbox, Limits, Outgoing, PublishError, Reason, Result};
use async_trait::async_trait;
use tokio::sync::watch;

use crate::Nats;
use crate::connection::Connection;
use crate::listen;

/// Connects for the first time: an absent server is an error here.
pub(crate) async fn connect(nats: &Nats, inbox: Inbox) -> Result<Arc<dyn Backend>> {
    let mut servers = listen::Servers::new(nats.clone());
    let connection = servers.open(&inbox).await?;
    let limits = watch::Sender::new(connection.limits());
    let link = Arc::new(Link {
        current: watch::Sender::new(Some(connection)),
        limits,
        closing: watch::Sender::new(false),
        closed: watch::Sender::new(false),
    });
    tokio::spawn(listen::listen(Arc::clone(&link), servers, inbox)); // ends with the inbox, and `closed` says so
    Ok(link)
}

/// The link: one connection after the other.
pub(crate) struct Link {
    /// None while there is no connection.
    pub(crate) current: watch::Sender<Option<Arc<Connection>>>,
    /// Those of the latest connection.
    pub(crate) limits: watch::Sender<Limits>,
    pub(crate) closing: watch::Sender<bool>,
    /// The listening task has ended.
    pub(crate) closed: watch::Sender<bool>,
}

impl Link {
    fn connection(&self) -> Option<Arc<Connection>> {
        self.current.borrow().clone().filter(|connection| connection.is_alive())
    }
}

const ABSENT: &str = "there is no connection to a NATS server";

#[async_trait]
impl Backend for Link {
    fn capabilities(&self) -> Capabilities {
        // The server keeps the order of a publisher across channels, but the client hands each subscription over in a
        // queue of its own, and what stands in two queues has lost its order.
        Capabilities::default()
    }

    fn limits(&self) -> Limits {
        *self.limits.borrow()
    }

    async fn subscribe(&self, channels: &[Channel]) -> Result<()> {
        let connection = self.connection().ok_or_else(|| Error::unavailable(ABSENT))?;
        connection.subscribe(channels).await
    }

    async fn unsubscribe(&self, channels: &[Channel]) -> Result<()> {
        let connection = self.connection().ok_or_else(|| Error::unavailable(ABSENT))?;
        connection.unsubscribe(channels).await;
        Ok(())
    }

    async fn publish(&self, frames: &[Outgoing]) -> Result<(), PublishError> {
        let connection = self.connection().ok_or_else(|| PublishError::Unknown(Error::unavailable(ABSENT)))?;
        connection.publish(frames).await
    }

    async fn reset(&self, reason: Reason) {
        if let Some(connection) = self.connection() {
            connection.end(reason.0);
        }
    }

    async fn close(&self) -> Result<()> {
        self.closing.send_replace(true);
        // It never fails: the sender is ours.
        let _ = self.closed.subscribe().wait_for(|closed| *closed).await;
        Ok(())
    }
}
