//! A connection to the broker without a node.

use std::sync::Arc;

use adapter_core::probe::{Tap, Tapped};
use adapter_core::{Backend, Channel, Connect, Outgoing};
use bytes::Bytes;

use crate::failure::{Failure, Verdict};
use crate::node::soon;

/// A connection to the broker without a node: what a backend does, as it is.
pub(crate) struct Link {
    pub(crate) backend: Arc<dyn Backend>,
    pub(crate) tap: Tap,
}

impl Link {
    pub(crate) async fn connect(backend: &impl Connect) -> Verdict<Self> {
        Self::with(backend, Tap::new(65_536, 256 << 20)).await
    }

    /// With an inbox that is soon full, say.
    pub(crate) async fn with(backend: &impl Connect, tap: Tap) -> Verdict<Self> {
        let backend = soon("a connection", backend.connect(tap.inbox())).await??;
        Ok(Self { backend, tap })
    }

    pub(crate) async fn subscribe(&self, channels: &[Channel]) -> Verdict {
        self.tap.wants().add(channels);
        Ok(soon("the subscription's confirmation", self.backend.subscribe(channels)).await??)
    }

    pub(crate) async fn unsubscribe(&self, channels: &[Channel]) -> Verdict {
        Ok(soon("the end of the subscription", self.backend.unsubscribe(channels)).await??)
    }

    pub(crate) async fn publish(&self, channel: &Channel, payload: impl Into<Bytes>) -> Verdict {
        self.publish_all(&[Outgoing::new(channel.clone(), payload.into())]).await
    }

    pub(crate) async fn publish_all(&self, frames: &[Outgoing]) -> Verdict {
        Ok(soon("the broker's word for a publish", self.backend.publish(frames)).await??)
    }

    /// The next frame; the link must hold.
    pub(crate) async fn next(&mut self) -> Verdict<(Channel, Bytes)> {
        match soon("a frame", self.tap.next()).await? {
            Tapped::Frame(channel, payload) => Ok((channel, payload)),
            other => Err(Failure::new(format!("the link was to hold, but: {other:?}"))),
        }
    }

    /// The next frame on this channel, and nothing before it.
    pub(crate) async fn expect(&mut self, channel: &Channel, payload: &[u8]) -> Verdict {
        let (on, got) = self.next().await?;
        check_eq!(on, *channel, "the channel that a frame came on");
        check!(got == payload, "{} bytes came, not the {} that were sent: {}", got.len(), payload.len(), {
            let differs = got.iter().zip(payload).position(|(a, b)| a != b);
            format!("they differ at {differs:?}")
        });
        Ok(())
    }

    pub(crate) async fn close(&self) -> Verdict {
        Ok(soon("the end of the connection", self.backend.close()).await??)
    }
}

/// A channel of this case alone.
pub(crate) fn channel(cluster: &str, name: impl std::fmt::Display) -> Verdict<Channel> {
    Ok(Channel::new(&format!("ct.{cluster}.{name}"))?)
}
