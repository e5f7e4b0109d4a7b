//! A connection to the broker without a node.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use roomcast_core::backend::{Backend, Channel, Connect, Outgoing};
use roomcast_core::probe::{Tap, Tapped};
use tokio::time::timeout;

use crate::failure::{Failure, Verdict};
use crate::node::{connected, soon};

/// A connection to the broker without a node: what a backend does, as it is.
pub(crate) struct Link {
    pub(crate) backend: Arc<dyn Backend>,
    pub(crate) tap: Tap,
    /// See `Subject::spreads_late`.
    spreads_late: bool,
}

/// What a publisher sends until it is heard. No case sends it, and none gets to see it.
const KNOCK: &[u8] = b"\xffknock";
const KNOCKED: &[u8] = b"\xffknocked";

impl Link {
    pub(crate) async fn connect(backend: &impl Connect, tap: Tap, spreads_late: bool) -> Verdict<Self> {
        let backend = connected("a connection", || backend.connect(tap.inbox())).await?;
        Ok(Self { backend, tap, spreads_late })
    }

    pub(crate) async fn subscribe(&self, channels: &[Channel]) -> Verdict {
        self.tap.wants().add(channels);
        Ok(soon("the subscription's confirmation", self.backend.subscribe(channels)).await??)
    }

    /// Subscribes to what this publisher sends. Where subscriptions spread late, it also waits until they have reached its
    /// server; everywhere else the server's word is enough.
    pub(crate) async fn subscribe_to(&mut self, publisher: &Self, channels: &[Channel]) -> Verdict {
        self.subscribe(channels).await?;
        if self.spreads_late {
            for channel in channels {
                soon("a first message", self.is_reached(publisher, channel)).await??;
            }
        }
        Ok(())
    }

    async fn is_reached(&mut self, publisher: &Self, channel: &Channel) -> Verdict {
        const AGAIN: Duration = Duration::from_millis(20);
        while let Err(_late) = {
            publisher.publish(channel, KNOCK).await?;
            timeout(AGAIN, self.tap.next()).await
        } {}
        publisher.publish(channel, KNOCKED).await?;
        // Behind it nothing of this is under way any more.
        while !matches!(self.tap.next().await, Tapped::Frame(on, payload) if on == *channel && payload == KNOCKED) {}
        Ok(())
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
        loop {
            match soon("a frame", self.tap.next()).await? {
                // Meant for another reader of the same channel.
                Tapped::Frame(_, payload) if payload == KNOCK || payload == KNOCKED => {}
                Tapped::Frame(channel, payload) => return Ok((channel, payload)),
                other => return Err(Failure::new(format!("the link was to hold, but: {other:?}"))),
            }
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
