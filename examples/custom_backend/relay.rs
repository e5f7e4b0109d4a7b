//! The stranger's broker: hands every message to all connections that subscribed to its channel.

use std::collections::HashSet;
use std::io::Result;
use std::net::SocketAddr;

use roomcast::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{broadcast, mpsc};
use tokio::task::JoinSet;

pub(crate) const PUBLISH: u8 = 0;
pub(crate) const SUBSCRIBE: u8 = 1;
/// Echoed to its sender, once everything before it was read.
pub(crate) const SYNC: u8 = 2;

/// Kind (1 byte), length of the channel (1), length of the payload (4), channel, payload.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) kind: u8,
    pub(crate) channel: String,
    pub(crate) payload: Bytes,
}

impl Message {
    pub(crate) fn new(kind: u8, channel: &str, payload: Bytes) -> Self {
        Self { kind, channel: channel.to_owned(), payload }
    }

    pub(crate) fn encode(self) -> Vec<u8> {
        let payload = u32::try_from(self.payload.len()).unwrap_or(u32::MAX).to_be_bytes();
        [&[self.kind, self.channel.len() as u8], &payload[..], self.channel.as_bytes(), &self.payload].concat()
    }

    pub(crate) async fn read(reader: &mut OwnedReadHalf) -> Result<Self> {
        let kind = reader.read_u8().await?;
        let mut channel = vec![0; usize::from(reader.read_u8().await?)];
        let len = u64::from(reader.read_u32().await?);
        reader.read_exact(&mut channel).await?;
        let mut payload = Vec::new();
        if reader.take(len).read_to_end(&mut payload).await? as u64 != len {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        let channel = String::from_utf8_lossy(&channel).into_owned();
        Ok(Self { kind, channel, payload: payload.into() })
    }
}

/// A running relay; dropped, it is gone with all its connections.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    accepting: JoinSet<()>,
}

impl Server {
    pub(crate) async fn start(address: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let mut accepting = JoinSet::new();
        accepting.spawn(async move {
            let messages = broadcast::Sender::new(1024);
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream, messages.clone()));
            }
        });
        Ok(Self { address, accepting })
    }

    /// Cuts every connection, and comes back at the same address.
    pub(crate) async fn restart(mut self) -> Result<Self> {
        self.accepting.shutdown().await;
        loop {
            match Self::start(self.address).await {
                Err(busy) if busy.kind() == std::io::ErrorKind::AddrInUse => tokio::task::yield_now().await,
                result => return result,
            }
        }
    }
}

async fn serve(stream: TcpStream, messages: broadcast::Sender<Message>) {
    let (reader, writer) = stream.into_split();
    let (subscribe, subscriptions) = mpsc::unbounded_channel();
    let forward = forward(writer, messages.subscribe(), subscriptions);
    tokio::select! {
        () = forward => {}
        () = take(reader, messages, subscribe) => {}
    }
}

async fn take(mut reader: OwnedReadHalf, messages: broadcast::Sender<Message>, own: mpsc::UnboundedSender<Message>) {
    while let Ok(message) = Message::read(&mut reader).await {
        // Nobody listens: nothing to do. Both ends are of this connection's task.
        let _ = if message.kind == PUBLISH { messages.send(message).map(drop).ok() } else { own.send(message).ok() };
    }
}

async fn forward(
    mut writer: OwnedWriteHalf,
    mut messages: broadcast::Receiver<Message>,
    mut own: mpsc::UnboundedReceiver<Message>,
) {
    let mut channels = HashSet::new();
    loop {
        let message = tokio::select! {
            biased;
            Some(message) = own.recv() => message,
            Ok(message) = messages.recv() => message,
            else => return,
        };
        match message.kind {
            SUBSCRIBE => drop(channels.insert(message.channel)),
            PUBLISH if !channels.contains(&message.channel) => {}
            _ if writer.write_all(&message.encode()).await.is_err() => return,
            _ => {}
        }
    }
}
