//! The crate `tokio-postgres` alone: LISTEN and NOTIFY, 64 notifications in a statement, 4 statements in flight.

use std::future::poll_fn;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt, TryStreamExt, stream};
use roomcast::backend::async_trait;
use tokio_postgres::{AsyncMessage, Client, Config, NoTls, Statement};

use crate::contestant::{Contestant, Result};
use crate::receipts::{Message, Receipts};

const BATCH: usize = 64;
const IN_FLIGHT: usize = 4;

struct Plain {
    publisher: Client,
    notify: Statement,
    /// Those who receive; dropping them would end that.
    _receivers: Vec<Client>,
    receipts: Arc<Receipts>,
}

pub(crate) fn open(url: String, receipts: Arc<Receipts>) -> BoxFuture<'static, Result<Box<dyn Contestant>>> {
    connect(url, receipts).boxed()
}

async fn connect(url: String, receipts: Arc<Receipts>) -> Result<Box<dyn Contestant>> {
    let mut config: Config = url.parse()?;
    if config.get_user().is_none() {
        config.user("postgres");
    }
    let mut receivers = Vec::new();
    for index in 0..receipts.subscribers() {
        let receiver = client(&config, index, &receipts).await?;
        receiver.batch_execute(&format!("LISTEN {}", receipts.channel())).await?;
        receivers.push(receiver);
    }
    let publisher = client(&config, 0, &receipts).await?;
    publisher.batch_execute("SET synchronous_commit = off").await?;
    let channel = receipts.channel();
    let notify = format!("SELECT count(pg_notify('{channel}', payload)) FROM unnest($1::text[]) AS payload");
    let notify = publisher.prepare(&notify).await?;
    Ok(Box::new(Plain { publisher, notify, _receivers: receivers, receipts }))
}

/// A connection, which ends with its client; what it is notified of is this receiver's.
async fn client(config: &Config, index: usize, receipts: &Arc<Receipts>) -> Result<Client> {
    let (client, mut connection) = config.connect(NoTls).await?;
    let receipts = Arc::clone(receipts);
    tokio::spawn(async move {
        while let Some(Ok(message)) = poll_fn(|cx| connection.poll_message(cx)).await {
            if let AsyncMessage::Notification(notification) = message {
                receipts.take(index, notification.payload().as_bytes());
            }
        }
    });
    Ok(client)
}

impl Plain {
    async fn publish(&self, messages: Vec<Message>) -> Result<()> {
        let texts = messages.iter().map(|message| str::from_utf8(message)).collect::<Result<Vec<_>, _>>()?;
        self.publisher.execute(&self.notify, &[&texts]).await?;
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
        let mut batch = || Some(messages.take(BATCH).collect::<Vec<_>>()).filter(|batch| !batch.is_empty());
        let batches = std::iter::from_fn(&mut batch);
        stream::iter(batches).map(|batch| this.publish(batch)).buffered(IN_FLIGHT).try_collect().await
    }

    async fn one(&mut self, message: Message) -> Result<()> {
        self.publish(vec![message]).await
    }
}
