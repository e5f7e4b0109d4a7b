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

    /// One statement for most batches; the next when the one before is committed.
    async fn publish(&self, frames: &[Outgoing]) -> Result<(), PublishError> {
        let link = self.0.handle().map_err(PublishError::Unknown)?;
        let (sendable, refused) = link.limits.sendable(frames);
        let mut sent = 0;
        for statement in statements(sendable) {
            link.notify(statement).await.map_err(|error| match error.kind() {
                // Of all of them: none was sent.
                ErrorKind::Denied => PublishError::Refused { index: sent, kind: ErrorKind::Denied },
                _ => {
                    // It lives and cannot publish, as a primary that has become a standby: another may have to be found.
                    link.breaker.trip("the server does not take what is published");
                    PublishError::Unknown(error)
                }
            })?;
            sent += statement.len();
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

/// So many bytes in one statement, or one message: nothing of it is heard before all of it is committed, and our own pings
/// wait behind it.
const STATEMENT: usize = 1 << 20;

/// A batch, in parts of that size.
fn statements(mut batch: &[Outgoing]) -> impl Iterator<Item = &[Outgoing]> {
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fits = |message: &&Outgoing| {
            bytes += message.payload.len();
            bytes <= STATEMENT
        };
        let count = batch.iter().take_while(fits).count().max(1).min(batch.len());
        let (statement, rest) = batch.split_at(count);
        batch = rest;
        Some(statement).filter(|statement| !statement.is_empty())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_batch_is_several_statements() {
        let channel = Channel::new("rc.a").expect("valid");
        let batch = |sizes: &[usize]| -> Vec<_> {
            sizes.iter().map(|size| Outgoing::new(channel.clone(), vec![0; *size].into())).collect()
        };
        let cut = |sizes: &[usize]| statements(&batch(sizes)).map(<[_]>::len).collect::<Vec<_>>();
        assert_eq!(cut(&[]), [0; 0]);
        assert_eq!(cut(&[0, 1, STATEMENT - 1]), [3]);
        assert_eq!(cut(&[STATEMENT / 2, STATEMENT / 2, 1, STATEMENT, STATEMENT + 1, 7]), [2, 1, 1, 1, 1]);
    }
}
