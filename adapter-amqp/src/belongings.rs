//! What a node has on the broker while a link lasts: channels, queues, and consumers of them.

use lapin::options::{BasicConsumeOptions, ConfirmSelectOptions, ExchangeDeclareOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{Channel, Consumer, ExchangeKind};
use roomcast_core::{NodeId, Result};

use crate::config::{Amqp, short};
use crate::connection::Connection;
use crate::error;

/// What a node has on the broker while a link lasts.
pub(crate) struct Belongings {
    pub(crate) exchange: ShortString,
    pub(crate) queue: ShortString,
    /// With confirms, on the connection that publishes.
    pub(crate) publish: Channel,
    /// For bindings, and word of losses.
    pub(crate) control: Channel,
    /// Kept because the client closes a channel that nobody holds.
    _deliver: Channel,
}

impl Belongings {
    /// Makes them, with a queue of a new name: the broker may still hold that of a connection which broke. Returns them with the
    /// consumers of messages and of losses.
    ///
    /// # Errors
    /// `Config`, `Denied` or `Unavailable`.
    pub(crate) async fn make(
        amqp: &Amqp,
        publisher: &Connection,
        consumer: &Connection,
    ) -> Result<(Self, [Consumer; 2])> {
        let exchange = amqp.exchange.clone();
        let queue = short(format!("{exchange}.{}", NodeId::random()?))?;
        let lost = short(format!("{queue}.lost"))?;
        let nothing = FieldTable::default;
        let made: Result<_, lapin::Error> = async {
            let (publish, control, deliver) =
                tokio::try_join!(publisher.channel(), consumer.channel(), consumer.channel())?;
            // Not durable, for it comes back with us; and not deleted with its last binding, under those who publish.
            let transient = ExchangeDeclareOptions::default();
            control.exchange_declare(exchange.clone(), ExchangeKind::Direct, transient, nothing()).await?;
            let ours = QueueDeclareOptions { exclusive: true, auto_delete: true, ..QueueDeclareOptions::default() };
            control.queue_declare(lost.clone(), ours, of_losses()).await?;
            control.queue_bind(lost.clone(), exchange.clone(), lost.clone(), Default::default(), nothing()).await?;
            // Dead letters take the right to publish there, so here is refused, too, who may not.
            control.queue_declare(queue.clone(), ours, of_messages(amqp, &lost)).await?;
            control.basic_qos(1, Default::default()).await?;
            deliver.basic_qos(amqp.prefetch, Default::default()).await?;
            let consume = BasicConsumeOptions { exclusive: true, ..BasicConsumeOptions::default() };
            let losses = control.basic_consume(lost, "losses".into(), consume, nothing()).await?;
            let deliveries = deliver.basic_consume(queue.clone(), "messages".into(), consume, nothing()).await?;
            publish.confirm_select(ConfirmSelectOptions::default()).await?;
            Ok((Self { exchange, queue, publish, control, _deliver: deliver }, [deliveries, losses]))
        }
        .await;
        made.map_err(|cause| error::preparing(amqp, cause))
    }
}

/// Where the messages for this node wait: bounded, and what falls out at the old end goes to the queue of losses.
fn of_messages(amqp: &Amqp, lost: &ShortString) -> FieldTable {
    let mut arguments = FieldTable::default();
    let text = |text: &str| AMQPValue::LongString(text.into());
    arguments.insert("x-max-length".into(), AMQPValue::LongLongInt(amqp.max_messages.into()));
    arguments.insert("x-max-length-bytes".into(), AMQPValue::LongLongInt(amqp.max_bytes.into()));
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
