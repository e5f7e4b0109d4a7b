//! A backend for a broker of your own: here a relay over TCP that a stranger might have written, with two nodes on it,
//! which find each other again after the relay was restarted. `cargo run --example custom_backend`
//!
//! The backend is what stands between the two lines of dashes: under 100 lines.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use roomcast::{
    Backend, Bytes, Capabilities, Channel, Cluster, Connect, Error, ErrorKind, Event, Hub, Inbox, Limits, Outgoing,
    PublishError, Result, async_trait,
};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{Mutex, watch};
use tokio::task::JoinHandle;

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
        let link = Arc::new(Shared { writer: Mutex::new(writer), synced: watch::Sender::new(0), newest: AtomicU32::new(0) });
        let listener = tokio::spawn(listen(self.0, Arc::clone(&link), inbox, reader));
        Ok(Arc::new(Link { link, listener }))
    }
}

struct Link {
    link: Arc<Shared>,
    listener: JoinHandle<()>,
}

struct Shared {
    writer: Mutex<OwnedWriteHalf>,
    synced: watch::Sender<u32>,
    newest: AtomicU32,
}

impl Shared {
    /// Writes the messages, and waits until the relay has read them: it echoes a number behind them.
    async fn send(&self, messages: impl IntoIterator<Item = Message>) -> Result<()> {
        let mut writer = self.writer.lock().await;
        let number = self.newest.fetch_add(1, Ordering::Relaxed) + 1;
        let end = Message { kind: SYNC, channel: String::new(), payload: number.to_be_bytes().to_vec().into() };
        let bytes: Vec<u8> = messages.into_iter().chain([end]).flat_map(|message| message.encode()).collect();
        relay::write(&mut writer, &bytes).await.map_err(unavailable)?;
        drop(writer);
        let mut synced = self.synced.subscribe();
        let confirmed = tokio::time::timeout(Duration::from_secs(1), synced.wait_for(|seen| *seen >= number)).await;
        confirmed.map(drop).map_err(unavailable)
    }
}

/// Hands over what arrives; when the connection ends, makes a new one, for ever.
async fn listen(address: SocketAddr, link: Arc<Shared>, inbox: Inbox, mut reader: OwnedReadHalf) {
    while !inbox.is_closed() {
        while let Ok(Message { kind, channel, payload }) = Message::read(&mut reader).await {
            if kind == SYNC {
                let number = payload.as_ref().try_into().map_or(0, u32::from_be_bytes);
                link.synced.send_replace(number);
                continue;
            }
            while inbox.frame(&channel, payload.clone()).is_err() {
                inbox.ready().await; // the socket waits meanwhile, and the relay with it
            }
        }
        inbox.down("the relay has gone");
        reader = loop {
            tokio::time::sleep(Duration::from_millis(50)).await;
            let Ok(stream) = TcpStream::connect(address).await else { continue };
            let (reader, mut writer) = stream.into_split();
            let wanted = inbox.channels().into_iter().flat_map(|channel| subscription(&channel).encode());
            if relay::write(&mut writer, &wanted.collect::<Vec<_>>()).await.is_ok() {
                *link.writer.lock().await = writer;
                break reader;
            }
        };
        inbox.up(LIMITS); // the relay reads one message after the other: what is published now comes after
    }
}

#[async_trait]
impl Backend for Link {
    fn capabilities(&self) -> Capabilities {
        Capabilities::default().ordered()
    }
    fn limits(&self) -> Limits {
        LIMITS
    }
    async fn subscribe(&self, channels: &[Channel]) -> Result<()> {
        self.link.send(channels.iter().map(subscription)).await
    }
    async fn unsubscribe(&self, _: &[Channel]) -> Result<()> {
        Ok(()) // the relay cannot; the inbox drops what it did not ask for
    }
    async fn publish(&self, frames: &[Outgoing]) -> Result<(), PublishError> {
        let message = |frame: &Outgoing| {
            Message { kind: PUBLISH, channel: frame.channel.to_string(), payload: frame.payload.clone() }
        };
        self.link.send(frames.iter().map(message)).await.map_err(PublishError::Unknown)
    }
    async fn close(&self) -> Result<()> {
        self.listener.abort();
        Ok(())
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

const LIMITS: Limits = Limits::max_frame(1 << 20);

fn subscription(channel: &Channel) -> Message {
    Message { kind: SUBSCRIBE, channel: channel.to_string(), payload: Bytes::new() }
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
