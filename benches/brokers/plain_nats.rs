//! The crate `async-nats` alone.

use std::sync::Arc;

use async_nats::{Client, ConnectOptions};
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt};
use roomcast::Bytes;
use roomcast::backend::async_trait;

use crate::contestant::{Contestant, Result};
use crate::receipts::{Message, Receipts};

struct Plain {
    publisher: Client,
    /// Those who receive; their tasks end with them.
    receivers: Vec<Client>,
    receipts: Arc<Receipts>,
}

pub(crate) fn open(url: String, receipts: Arc<Receipts>) -> BoxFuture<'static, Result<Box<dyn Contestant>>> {
    connect(url, receipts).boxed()
}

async fn connect(url: String, receipts: Arc<Receipts>) -> Result<Box<dyn Contestant>> {
    let mut receivers = Vec::new();
    for index in 0..receipts.subscribers() {
        // Room for a whole burst: a receiver that is slower than the publisher would lose the rest.
        let receiver = ConnectOptions::new().subscription_capacity(1 << 20).connect(&url).await?;
        let mut arriving = receiver.subscribe(receipts.channel()).await?;
        receiver.flush().await?;
        let receipts = Arc::clone(&receipts);
        tokio::spawn(async move {
            while let Some(message) = arriving.next().await {
                receipts.take(index, &message.payload);
            }
        });
        receivers.push(receiver);
    }
    let publisher = ConnectOptions::new().connect(&url).await?;
    Ok(Box::new(Plain { publisher, receivers, receipts }))
}

#[async_trait]
impl Contestant for Plain {
    fn receipts(&self) -> &Arc<Receipts> {
        &self.receipts
    }

    async fn burst(&mut self, messages: &mut (dyn Iterator<Item = Message> + Send)) -> Result<()> {
        for message in messages {
            self.publisher.publish(self.receipts.channel(), Bytes::copy_from_slice(&message)).await?;
        }
        self.publisher.flush().await?;
        Ok(())
    }

    async fn one(&mut self, message: Message) -> Result<()> {
        // The client flushes by itself as soon as it has nothing else to do.
        self.publisher.publish(self.receipts.channel(), Bytes::copy_from_slice(&message)).await?;
        Ok(())
    }

    async fn close(self: Box<Self>) -> Result<()> {
        for client in self.receivers.iter().chain([&self.publisher]) {
            client.drain().await?;
        }
        Ok(())
    }
}
