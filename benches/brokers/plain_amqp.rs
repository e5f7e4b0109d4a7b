//! The crate `lapin` alone: confirms in flight, and receivers that need not acknowledge.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt, TryStreamExt, stream};
use lapin::options::{BasicConsumeOptions, ConfirmSelectOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties, ExchangeKind};
use roomcast::backend::async_trait;

use crate::contestant::{Contestant, Result};
use crate::receipts::{Message, Receipts};

/// So many messages wait for the broker's word at a time.
const IN_FLIGHT: usize = 256;

struct Plain {
    publisher: Channel,
    connections: Vec<Connection>,
    receipts: Arc<Receipts>,
}

pub(crate) fn open(url: String, receipts: Arc<Receipts>) -> BoxFuture<'static, Result<Box<dyn Contestant>>> {
    connect(url, receipts).boxed()
}

async fn connect(url: String, receipts: Arc<Receipts>) -> Result<Box<dyn Contestant>> {
    let connection = Connection::connect(&url, ConnectionProperties::default()).await?;
    let publisher = connection.create_channel().await?;
    publisher.confirm_select(ConfirmSelectOptions::default()).await?;
    let nothing = FieldTable::default;
    let exchange = receipts.channel();
    publisher.exchange_declare(exchange.into(), ExchangeKind::Fanout, Default::default(), nothing()).await?;
    let mut connections = vec![connection];
    for index in 0..receipts.subscribers() {
        let connection = Connection::connect(&url, ConnectionProperties::default()).await?;
        let channel = connection.create_channel().await?;
        let ours = QueueDeclareOptions { exclusive: true, auto_delete: true, ..QueueDeclareOptions::default() };
        let queue = channel.queue_declare("".into(), ours, nothing()).await?.name().clone();
        channel.queue_bind(queue.clone(), exchange.into(), "".into(), Default::default(), nothing()).await?;
        let consume = BasicConsumeOptions { no_ack: true, ..BasicConsumeOptions::default() };
        let mut arriving = channel.basic_consume(queue, "".into(), consume, nothing()).await?;
        let receipts = Arc::clone(&receipts);
        // Ends with the connection.
        tokio::spawn(async move {
            let _channel = channel; // which would be closed with its last handle
            while let Some(Ok(delivery)) = arriving.next().await {
                receipts.take(index, &delivery.data);
            }
        });
        connections.push(connection);
    }
    Ok(Box::new(Plain { publisher, connections, receipts }))
}

impl Plain {
    async fn publish(&self, message: Message) -> Result<()> {
        let (options, properties) = (Default::default(), BasicProperties::default());
        self.publisher
            .basic_publish(self.receipts.channel().into(), "".into(), options, &message, properties)
            .await?
            .await?;
        Ok(())
    }
}

#[async_trait]
impl Contestant for Plain {
    fn receipts(&self) -> &Arc<Receipts> {
        &self.receipts
    }

    async fn burst(&mut self, messages: &mut (dyn Iterator<Item = Message> + Send)) -> Result<()> {
        let this = &*self;
        stream::iter(messages).map(|message| this.publish(message)).buffered(IN_FLIGHT).try_collect().await
    }

    async fn one(&mut self, message: Message) -> Result<()> {
        self.publish(message).await
    }

    async fn close(self: Box<Self>) -> Result<()> {
        for connection in &self.connections {
            connection.close(200, "".into()).await?;
        }
        Ok(())
    }
}
