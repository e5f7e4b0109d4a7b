//! The backend: what the node asks of the session that there is.

use std::sync::Arc;

use adapter_core::{Backend, Capabilities, Channel, Error, Inbox, Limits, Outgoing, PublishError, Reason, Result};
use async_trait::async_trait;
use tokio::sync::watch;

use crate::Amqp;
use crate::listen;
use crate::session::{LIMITS, Session};

/// Connects for the first time: an absent broker is an error here.
pub(crate) async fn connect(amqp: &Amqp, inbox: Inbox) -> Result<Arc<dyn Backend>> {
    let mut brokers = listen::Brokers::new(amqp.clone());
    let (session, intake) = brokers.open().await?;
    let link = Arc::new(Link {
        current: watch::Sender::new(Some(Arc::clone(&session))),
        closing: watch::Sender::new(false),
        closed: watch::Sender::new(false),
    });
    // Ends with the inbox, and `closed` says so.
    tokio::spawn(listen::listen(Arc::clone(&link), brokers, inbox, (session, intake)));
    Ok(link)
}

/// The link: one session after the other.
pub(crate) struct Link {
    /// None while there is no session.
    pub(crate) current: watch::Sender<Option<Arc<Session>>>,
    pub(crate) closing: watch::Sender<bool>,
    /// The listening task has ended.
    pub(crate) closed: watch::Sender<bool>,
}

impl Link {
    fn session(&self) -> Result<Arc<Session>> {
        let session = self.current.borrow().clone().filter(|session| session.is_alive());
        session.ok_or_else(|| Error::unavailable("there is no connection to a broker"))
    }
}

#[async_trait]
impl Backend for Link {
    /// Ordered: a node publishes on one channel to one exchange, and receives from one queue by one consumer. The broker
    /// keeps the order on such a way, whatever the routing keys.
    fn capabilities(&self) -> Capabilities {
        Capabilities::default().ordered()
    }

    fn limits(&self) -> Limits {
        LIMITS
    }

    async fn subscribe(&self, channels: &[Channel]) -> Result<()> {
        let session = self.session()?;
        let bound = session.bind(channels).await;
        if bound.is_err() {
            session.end("a binding was not confirmed"); // the next session covers these channels, so there has to be one
        }
        bound
    }

    async fn unsubscribe(&self, channels: &[Channel]) -> Result<()> {
        self.session()?.unbind(channels).await
    }

    async fn publish(&self, frames: &[Outgoing]) -> Result<(), PublishError> {
        let session = self.session().map_err(PublishError::Unknown)?;
        session.publish(frames).await
    }

    async fn reset(&self, reason: Reason) {
        if let Ok(session) = self.session() {
            session.end(reason.0);
        }
    }

    async fn close(&self) -> Result<()> {
        self.closing.send_replace(true);
        // It never fails: the sender is ours.
        let _ = self.closed.subscribe().wait_for(|closed| *closed).await;
        Ok(())
    }
}
