//! A backend for a broker of your own: here a relay over TCP that a stranger might have written, with two nodes on it,
//! which find each other again after the relay was restarted. `cargo run --example custom_backend`
//!
//! The backend is what stands between the two lines of dashes: under 100 lines.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use roomcast::backend::{
    Backend, Backoff, Capabilities, Channel, Connect, Inbox, Limits, Outgoing, PublishError, async_trait,
};
use roomcast::{Bytes, Cluster, Error, ErrorKind, Event, Hub, Result};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{Mutex, watch};

#[path = "custom_backend/relay.rs"]
mod relay;
use relay::{Message, PUBLISH, SUBSCRIBE, SYNC};

// ---------------------------------------------------------------------------------------------------------------------
/// The configuration: where the relay is.
struct Relay(SocketAddr);

#[async_trait]
impl Connect for Relay {
    async fn connect(&self, inbox: Inbox) -> Result<Arc<dyn Backend>> {
        let (reader, writer) = TcpStream::connect(self.0).await.map_err(unavailable)?.into_split();
        let link = Arc::new(Link { writer: Mutex::new((writer, 0)), synced: watch::Sender::new(0) });
        let (address, listening) = (self.0, Arc::clone(&link));
        tokio::spawn(async move {
            tokio::select! {
                () = inbox.closed() => {} // the task ends with the cluster, and the connection with it
                () = listen(address, &listening, &inbox, reader) => {}
            }
        });
        Ok(link)
    }
}

struct Link {
    /// With the number that was written last.
    writer: Mutex<(OwnedWriteHalf, u32)>,
    synced: watch::Sender<u32>,
}

impl Link {
    /// Writes the messages, and waits until the relay has read them: it echoes a number behind them.
    async fn send(&self, messages: impl IntoIterator<Item = Message>) -> Result<()> {
        let (writer, number) = &mut *self.writer.lock().await;
        *number += 1;
        let end = Message::new(SYNC, "", number.to_be_bytes().to_vec().into());
        let bytes: Vec<u8> = messages.into_iter().chain([end]).flat_map(|message| message.encode()).collect();
        writer.write_all(&bytes).await.map_err(unavailable)?;
        let mut synced = self.synced.subscribe();
        let confirmed = tokio::time::timeout(Duration::from_secs(1), synced.wait_for(|seen| seen == number)).await;
        confirmed.map(drop).map_err(unavailable)
    }
}

/// Hands over what arrives; when the connection ends, makes a new one, for ever.
async fn listen(address: SocketAddr, link: &Link, inbox: &Inbox, mut reader: OwnedReadHalf) {
    let mut backoff = Backoff::default();
    loop {
        backoff.connected();
        while let Ok(message) = Message::read(&mut reader).await {
            if message.kind == SYNC {
                link.synced.send_replace(message.payload.as_ref().try_into().map_or(0, u32::from_be_bytes));
                continue;
            }
            while inbox.frame(&message.channel, message.payload.clone()).is_err() {
                inbox.ready().await; // the socket waits meanwhile, and the relay with it
            }
        }
        inbox.down("the broker has gone");
        reader = loop {
            backoff.wait().await;
            let Ok(stream) = TcpStream::connect(address).await else { continue };
            let (reader, new) = stream.into_split();
            let (writer, _) = &mut *link.writer.lock().await;
            *writer = new; // first, so that what is subscribed to while we read the list is not forgotten
            let wanted: Vec<u8> = inbox.channels().iter().flat_map(|channel| subscription(channel).encode()).collect();
            if writer.write_all(&wanted).await.is_ok() {
                break reader;
            }
        };
        inbox.up(link.limits()); // the relay reads one message after the other: what is published now comes after
    }
}

#[async_trait]
impl Backend for Link {
    fn capabilities(&self) -> Capabilities {
        Capabilities::default() // the relay forwards each connection in order, but nobody has promised it
    }
    fn limits(&self) -> Limits {
        Limits::max_frame(1 << 20)
    }
    async fn subscribe(&self, channels: &[Channel]) -> Result<()> {
        self.send(channels.iter().map(subscription)).await
    }
    async fn unsubscribe(&self, _: &[Channel]) -> Result<()> {
        Ok(()) // the relay cannot; the inbox drops what it did not ask for
    }
    async fn publish(&self, frames: &[Outgoing]) -> Result<(), PublishError> {
        let message = |frame: &Outgoing| Message::new(PUBLISH, frame.channel.as_str(), frame.payload.clone());
        self.send(frames.iter().map(message)).await.map_err(PublishError::Unknown)
    }
    async fn close(&self) -> Result<()> {
        Ok(()) // the task that listens has ended, and the relay keeps nothing of a connection that ends
    }
}

fn subscription(channel: &Channel) -> Message {
    Message::new(SUBSCRIBE, channel.as_str(), Bytes::new())
}

fn unavailable(cause: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(ErrorKind::Unavailable, "the relay cannot be reached").with_source(cause)
}
// ---------------------------------------------------------------------------------------------------------------------

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let relay = relay::Server::start("127.0.0.1:0".parse()?).await?;
    let one = Cluster::builder().node_name("one").connect(Relay(relay.address)).await?;
    let two = Cluster::builder().node_name("two").connect(Relay(relay.address)).await?;
    let (hub, mut events) = (Hub::new(), two.events());
    let _room = two.namespace("/", hub.clone()).await?;
    let mut socket = hub.connect()?;

    one.of("/")?.emit("hello over a relay").await?;
    println!("a socket of node two got {:?}", socket.next().await.map(|delivery| delivery.packet.data));

    let relay = relay.restart().await?;
    while events.next().await != Some(Event::Recovered) {}
    one.of("/")?.emit("hello again").await?;
    println!("after a restart of the relay it got {:?}", socket.next().await.map(|delivery| delivery.packet.data));
    one.close().await?;
    two.close().await?;
    drop(relay);
    Ok(())
}
