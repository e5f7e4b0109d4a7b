//! The crate `redis` alone: one multiplexed connection each, RESP3.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, PushInfo, PushKind, Value};
use roomcast::backend::async_trait;

use crate::contestant::{Contestant, Result};
use crate::receipts::{Message, Receipts};

pub(crate) fn by_64(url: String, receipts: Arc<Receipts>) -> BoxFuture<'static, Result<Box<dyn Contestant>>> {
    open(url, 64, receipts).boxed()
}

pub(crate) fn by_1000(url: String, receipts: Arc<Receipts>) -> BoxFuture<'static, Result<Box<dyn Contestant>>> {
    open(url, 1000, receipts).boxed()
}

struct Plain {
    publisher: MultiplexedConnection,
    /// Those who receive; dropping them would end that.
    _receivers: Vec<MultiplexedConnection>,
    channel: String,
    batch: usize,
    receipts: Arc<Receipts>,
}

async fn open(url: String, batch: usize, receipts: Arc<Receipts>) -> Result<Box<dyn Contestant>> {
    let client = Client::open(format!("{url}/?protocol=resp3"))?;
    let channel = format!("{}-{batch}", receipts.channel());
    let mut receivers = Vec::new();
    for index in 0..receipts.subscribers() {
        let receipts = Arc::clone(&receipts);
        let take = move |push: PushInfo| {
            if let (PushKind::Message, Some(Value::BulkString(payload))) = (push.kind, push.data.get(1)) {
                receipts.take(index, payload);
            }
            Ok::<_, ()>(())
        };
        let settings = AsyncConnectionConfig::new().set_push_sender(take);
        let mut receiver = client.get_multiplexed_async_connection_with_config(&settings).await?;
        receiver.subscribe(&channel).await?;
        receivers.push(receiver);
    }
    let publisher = client.get_multiplexed_async_connection().await?;
    Ok(Box::new(Plain { publisher, _receivers: receivers, channel, batch, receipts }))
}

#[async_trait]
impl Contestant for Plain {
    fn receipts(&self) -> &Arc<Receipts> {
        &self.receipts
    }

    async fn burst(&mut self, messages: &mut (dyn Iterator<Item = Message> + Send)) -> Result<()> {
        loop {
            let mut pipeline = redis::Pipeline::with_capacity(self.batch);
            for message in messages.take(self.batch) {
                pipeline.cmd("PUBLISH").arg(&self.channel).arg(&message[..]).ignore();
            }
            if pipeline.is_empty() {
                return Ok(());
            }
            pipeline.exec_async(&mut self.publisher).await?;
        }
    }

    async fn one(&mut self, message: Message) -> Result<()> {
        redis::cmd("PUBLISH").arg(&self.channel).arg(&message[..]).exec_async(&mut self.publisher).await?;
        Ok(())
    }
}
