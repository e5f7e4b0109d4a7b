//! The link by pub/sub.

use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::Pipeline;
use roomcast_core::Result;
use roomcast_core::backend::{
    Authority, Breaker, BrokerInfo, Capabilities, Channel, Description, Inbox, Limits, Link, Outgoing, PublishError,
    Reason, Renewal,
};

use crate::config::{Mode, Redis};
use crate::connection::in_time;
use crate::description::describe;
use crate::error::error;
use crate::intake::Intake;
use crate::pair::{Calls, Pair, quit};

/// Half of what an operator may set as the smallest limit of a message (`proto-max-bulk-len`) and of what one client
/// has sent and the server has not handled (`client-query-buffer-limit`): 1 MiB each. The default limits are far above,
/// but larger messages are not faster (the README has the figures), and they fill the buffers of slow subscribers in
/// larger steps.
// A pipeline is queued whole in one poll, so batches keep their order.
const LIMITS: Limits = Limits::max_frame(512 << 10).in_flight(2);
/// So many subscriptions in one round trip.
const CHUNK: usize = 500;

/// A link that subscribes to each channel.
pub(crate) struct PubSub {
    pair: Pair,
    handle: Handle,
}

/// What calls go over.
#[derive(Clone)]
pub(crate) struct Handle {
    calls: Calls,
    mode: Mode,
    intake: Arc<Intake>,
}

impl Link for PubSub {
    type Source = Redis;
    type Handle = Handle;
    const BROKER: &'static str = "Redis";
    /// Ordered: a node publishes on one connection to one server, which carries out its commands one after the other
    /// and writes each message to all subscribers before it looks at the next. In Redis Cluster, too: all channels
    /// are in one slot.
    const CAPABILITIES: Capabilities = Capabilities::ORDERED;

    async fn open(redis: &mut Redis, inbox: &Inbox, breaker: Breaker) -> Result<Self> {
        let intake = Arc::new(Intake::new(inbox.clone(), redis.mode.prefix(), breaker.clone()));
        let pair = Pair::open(redis, inbox, breaker, Some(Arc::clone(&intake))).await?;
        let handle = Handle { calls: pair.calls.clone(), mode: redis.mode.clone(), intake };
        Ok(Self { pair, handle })
    }

    fn timeout(redis: &Redis) -> Duration {
        redis.attempt()
    }

    async fn authority(handle: &Handle) -> Result<Authority> {
        handle.calls.authority().await
    }

    fn broker(&self) -> Option<BrokerInfo> {
        self.pair.broker.clone()
    }

    async fn describe(handle: &Handle) -> Result<Description> {
        describe(&handle.calls.publisher, &handle.mode).await
    }

    fn handle(&self) -> Handle {
        self.handle.clone()
    }

    fn limits(&self) -> Limits {
        LIMITS
    }

    async fn subscribe(handle: &Handle, channels: &[Channel]) -> Result<()> {
        handle.for_each(if handle.is_sharded() { "SSUBSCRIBE" } else { "SUBSCRIBE" }, channels).await
    }

    async fn unsubscribe(handle: &Handle, channels: &[Channel]) -> Result<()> {
        if handle.is_sharded() {
            handle.intake.leave(channels);
        }
        handle.for_each(if handle.is_sharded() { "SUNSUBSCRIBE" } else { "UNSUBSCRIBE" }, channels).await
    }

    /// One round trip for the whole batch. Those after a message that the server's access rules refuse may have been
    /// sent as well: the core sends them again, and receivers drop the copies.
    async fn publish(handle: &Handle, messages: &[Outgoing]) -> Result<(), PublishError> {
        let command = if handle.is_sharded() { "SPUBLISH" } else { "PUBLISH" };
        let mut pipeline = Pipeline::with_capacity(messages.len());
        for message in messages {
            pipeline.cmd(command).arg(handle.intake.name(&message.channel)).arg(&message.payload[..]);
        }
        handle.calls.publish(&pipeline, messages.len()).await
    }

    async fn hold(&mut self, _: &Inbox) -> Reason {
        tokio::select! {
            reason = self.pair.broken() => reason,
            never = self.handle.intake.hand_over() => match never {},
        }
    }

    fn expires(&self) -> Option<Instant> {
        self.pair.expires()
    }

    async fn renew(handle: &Handle) -> Result<Renewal> {
        handle.calls.renew().await
    }

    async fn quit(self) {
        quit([self.handle.calls.publisher, self.handle.calls.receiver]).await;
    }
}

impl Handle {
    fn is_sharded(&self) -> bool {
        matches!(self.mode, Mode::Sharded { .. })
    }

    /// Carries out one command for each channel, in as few round trips as is good for the server; returns once all are
    /// confirmed.
    ///
    /// # Errors
    /// The first that the server gave; the other channels of its chunk may be confirmed.
    async fn for_each(&self, command: &str, channels: &[Channel]) -> Result<()> {
        for chunk in channels.chunks(CHUNK) {
            let mut pipeline = Pipeline::with_capacity(chunk.len());
            for channel in chunk {
                pipeline.cmd(command).arg(self.intake.name(channel));
            }
            let mut receiver = self.calls.receiver.clone();
            let sent = in_time(receiver.send_packed_commands(&pipeline, 0, chunk.len())).await;
            for answer in sent.map_err(error)? {
                answer.extract_error().map_err(error)?;
            }
        }
        Ok(())
    }
}
