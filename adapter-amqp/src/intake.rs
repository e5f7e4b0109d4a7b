//! What the broker delivers: messages, and word of those that it dropped.

use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, ExchangeDeclareOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{Channel, Consumer, ExchangeKind};
use roomcast_core::backend::Inbox;
use roomcast_core::{NodeId, Result};
use tokio::time::{Instant, sleep, timeout_at};

use crate::config::{Amqp, short};
use crate::connection::Connection;
use crate::error;

/// How long the acknowledgement of a message may wait for others.
const LINGER: Duration = Duration::from_millis(50);

/// How long the connection gets to say why a consumer has ended.
const CAUSE: Duration = Duration::from_millis(50);

/// How long the node gets, after messages were dropped, before it is told that it receives everything again.
const RELIEF: Duration = Duration::from_millis(100);

/// What every message counts for on the broker at least, in bytes: it has more of it than the body.
const LEAST: u32 = 512;

/// The queues of a node, and its consumers of them.
pub(crate) struct Intake {
    /// Where the messages for this node wait.
    pub(crate) queue: ShortString,
    deliveries: Consumer,
    losses: Consumer,
    /// That of the deliveries.
    _channel: Channel,
    /// So many messages are acknowledged together.
    batch: u16,
}

impl Intake {
    /// Makes the exchange and the queues, and begins to consume. The queues have new names: the broker may still hold those of a
    /// connection that broke.
    ///
    /// # Errors
    /// `Config`, `Denied` or `Unavailable`.
    pub(crate) async fn open(amqp: &Amqp, connection: &Connection) -> Result<Self> {
        let (exchange, control) = (&amqp.exchange, &connection.channel);
        let queue = short(format!("{exchange}.{}", NodeId::random()?))?;
        let lost = short(format!("{queue}.lost"))?;
        let nothing = FieldTable::default;
        let made: Result<_, lapin::Error> = async {
            let channel = connection.another_channel().await?;
            // Not durable, for it comes back with us; and not deleted with its last binding, under those who publish.
            let transient = ExchangeDeclareOptions::default();
            control.exchange_declare(exchange.clone(), ExchangeKind::Direct, transient, nothing()).await?;
            let ours = QueueDeclareOptions { exclusive: true, auto_delete: true, ..QueueDeclareOptions::default() };
            control.queue_declare(lost.clone(), ours, of_losses()).await?;
            control.queue_bind(lost.clone(), exchange.clone(), lost.clone(), Default::default(), nothing()).await?;
            // Dead letters take the right to publish to the exchange: a user without it is refused here.
            control.queue_declare(queue.clone(), ours, of_messages(amqp, &lost)).await?;
            control.basic_qos(1, Default::default()).await?;
            channel.basic_qos(amqp.prefetch, Default::default()).await?;
            let consume = BasicConsumeOptions { exclusive: true, ..BasicConsumeOptions::default() };
            let losses = control.basic_consume(lost, "losses".into(), consume, nothing()).await?;
            let deliveries = channel.basic_consume(queue.clone(), "messages".into(), consume, nothing()).await?;
            Ok(Self { queue, deliveries, losses, _channel: channel, batch: amqp.prefetch.div_ceil(4) })
        }
        .await;
        made.map_err(|cause| error::preparing(amqp, cause))
    }

    /// Hands over what arrives until a consumer ends; returns why. `up` is called some time after messages were dropped.
    pub(crate) async fn run(&mut self, inbox: &Inbox, up: impl Fn()) -> String {
        let ended = tokio::select! {
            ended = receive(&mut self.deliveries, self.batch, inbox) => ended,
            ended = tell_losses(&mut self.losses, inbox, up) => ended,
        };
        // A consumer ends, too, when its connection does, which says why in a moment.
        sleep(CAUSE).await;
        ended.map_or_else(
            |cause| format!("a consumer was ended: {cause}"),
            |()| "the broker ended a consumer: its queue is gone".to_owned(),
        )
    }
}

/// Bounded; what falls out at the old end goes to the queue of losses.
fn of_messages(amqp: &Amqp, lost: &ShortString) -> FieldTable {
    let mut arguments = FieldTable::default();
    let text = |text: &str| AMQPValue::LongString(text.into());
    arguments.insert("x-max-length".into(), AMQPValue::LongLongInt(amqp.backlog_bytes.div_ceil(LEAST).into()));
    arguments.insert("x-max-length-bytes".into(), AMQPValue::LongLongInt(amqp.backlog_bytes.into()));
    arguments.insert("x-overflow".into(), text("drop-head"));
    arguments.insert("x-dead-letter-exchange".into(), text(amqp.exchange.as_str()));
    arguments.insert("x-dead-letter-routing-key".into(), text(lost.as_str()));
    arguments
}

/// One loss says as much as many.
fn of_losses() -> FieldTable {
    let mut arguments = FieldTable::default();
    arguments.insert("x-max-length".into(), AMQPValue::LongLongInt(1));
    arguments
}

/// Hands messages over. While the inbox is full none is acknowledged, so the broker sends no more than the prefetch.
async fn receive(deliveries: &mut Consumer, batch: u16, inbox: &Inbox) -> Result<(), lapin::Error> {
    while let Some(first) = deliveries.next().await {
        let mut last = hand_over(first?, inbox).await;
        let due = Instant::now() + LINGER;
        for _ in 1..batch {
            let Ok(next) = timeout_at(due, deliveries.next()).await else { break };
            let Some(next) = next else { return Ok(()) };
            last = hand_over(next?, inbox).await;
        }
        // It fails when the channel has ended, which the consumer's end says as well.
        let _ = last.acker.ack(BasicAckOptions { multiple: true }).await;
    }
    Ok(())
}

async fn hand_over(mut delivery: Delivery, inbox: &Inbox) -> Delivery {
    let payload = Bytes::from(std::mem::take(&mut delivery.data));
    while inbox.frame(delivery.routing_key.as_str(), payload.clone()).is_err() {
        inbox.ready().await;
    }
    delivery
}

/// Tells of messages that the broker dropped because this node was too slow. Of many it keeps one, and sends the next one
/// when that is acknowledged.
async fn tell_losses(losses: &mut Consumer, inbox: &Inbox, up: impl Fn()) -> Result<(), lapin::Error> {
    while let Some(lost) = losses.next().await {
        let lost = lost?;
        inbox.dropped("this node did not take its messages in time, and the broker dropped some");
        sleep(RELIEF).await;
        let _ = lost.acker.ack(BasicAckOptions::default()).await; // as with messages
        up();
    }
    Ok(())
}
