//! Roomcast: a node that emits, and two nodes with a socket each.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use roomcast::backend::async_trait;
use roomcast::{Bytes, Cluster, Hub, NamespaceHandle};

use crate::contestant::{Contestant, Result};
use crate::receipts::{Message, RECEIVERS, Receipts};

struct Nodes {
    sender: NamespaceHandle,
    /// Their sockets are attached for as long as these are there.
    _receivers: Vec<NamespaceHandle>,
    clusters: Vec<Cluster>,
    receipts: Arc<Receipts>,
}

pub(crate) fn open(url: String, receipts: Arc<Receipts>) -> BoxFuture<'static, Result<Box<dyn Contestant>>> {
    connect(url, receipts).boxed()
}

async fn connect(url: String, receipts: Arc<Receipts>) -> Result<Box<dyn Contestant>> {
    let (mut clusters, mut receivers) = (Vec::new(), Vec::new());
    for index in 0..RECEIVERS {
        let cluster = roomcast::connect(&url).await?;
        let hub = Hub::builder().queue(1 << 20).build(); // takes a whole burst
        receivers.push(cluster.namespace("/", hub.clone()).await?);
        let mut socket = hub.connect()?;
        socket.join("room")?;
        let receipts = Arc::clone(&receipts);
        // Ends with the socket's hub, which the cluster lets go of when it is closed.
        tokio::spawn(async move {
            while let Some(delivery) = socket.next().await {
                receipts.take(index, &delivery.packet.data);
            }
        });
        clusters.push(cluster);
    }
    let cluster = roomcast::connect(&url).await?;
    let sender = cluster.namespace("/", Hub::new()).await?;
    clusters.push(cluster);
    Ok(Box::new(Nodes { sender, _receivers: receivers, clusters, receipts }))
}

#[async_trait]
impl Contestant for Nodes {
    fn receipts(&self) -> &Arc<Receipts> {
        &self.receipts
    }

    async fn burst(&mut self, messages: &mut (dyn Iterator<Item = Message> + Send)) -> Result<()> {
        for message in messages {
            self.sender.to("room").emit(Bytes::copy_from_slice(&message)).await?;
        }
        Ok(())
    }

    async fn one(&mut self, message: Message) -> Result<()> {
        self.sender.to("room").emit(Bytes::copy_from_slice(&message)).await?;
        Ok(())
    }

    async fn close(self: Box<Self>) -> Result<()> {
        for cluster in self.clusters {
            cluster.close().await?;
        }
        Ok(())
    }
}
