//! The backend.

use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use roomcast_core::backend::{
    Backend, Backoff, Capabilities, Channel, Connect, Inbox, Limits, Outgoing, PublishError, Reason, async_trait,
};
use roomcast_core::{Error, ErrorKind, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{Mutex, Notify, watch};

use super::wire::{FULL, HELLO, Message, PUBLISH, SUBSCRIBE, SYNC, UNSUBSCRIBE};

const BACKOFF: Duration = Duration::from_millis(50);
/// How long the relay may take to confirm, on a link that is there and on a new one.
const PATIENCE: Duration = Duration::from_secs(10);
const NEW: Duration = Duration::from_secs(1);

/// The configuration: where the relay is, and what this backend does wrong there.
pub(crate) struct Relay(String, Fault);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    SubscribesOnce,
    NeverSaysDown,
    IgnoresReset,
    GivesUp,
    TriesHotly,
    SaysUpTooEarly,
    ConfirmsWhatItHasWritten,
    LeavesATask,
    LeavesAConnection,
    LogsEachFailure,
    BlocksTheRuntime,
    BuffersWithoutBound,
    DialsTenfold,
    RemembersItsLimit,
    LeavesAFullBroker,
}

impl Relay {
    /// `relay://host:port`, or `relay://host:port?fault=ignores-reset`.
    pub(crate) fn from_url(url: &str) -> Result<Self> {
        let bad = || Error::new(ErrorKind::Config, "relay://host:port");
        let address = url.strip_prefix("relay://").ok_or_else(bad)?;
        let (address, options) = address.split_once('?').unwrap_or((address, ""));
        let fault = match options {
            "" => Fault::None,
            "fault=subscribes-once" => Fault::SubscribesOnce,
            "fault=never-says-down" => Fault::NeverSaysDown,
            "fault=ignores-reset" => Fault::IgnoresReset,
            "fault=gives-up" => Fault::GivesUp,
            "fault=tries-hotly" => Fault::TriesHotly,
            "fault=says-up-too-early" => Fault::SaysUpTooEarly,
            "fault=confirms-what-it-has-written" => Fault::ConfirmsWhatItHasWritten,
            "fault=leaves-a-task" => Fault::LeavesATask,
            "fault=leaves-a-connection" => Fault::LeavesAConnection,
            "fault=logs-each-failure" => Fault::LogsEachFailure,
            "fault=blocks-the-runtime" => Fault::BlocksTheRuntime,
            "fault=buffers-without-bound" => Fault::BuffersWithoutBound,
            "fault=remembers-its-limit" => Fault::RemembersItsLimit,
            "fault=leaves-a-full-broker" => Fault::LeavesAFullBroker,
            "fault=dials-tenfold" => Fault::DialsTenfold,
            _ => return Err(bad()),
        };
        Ok(Self(address.to_owned(), fault))
    }
}

struct Link {
    address: String,
    fault: Fault,
    inbox: Inbox,
    /// None while there is no connection.
    writer: Mutex<Option<OwnedWriteHalf>>,
    numbers: std::sync::atomic::AtomicU64,
    /// Which connection it is (0: none), and what it has confirmed.
    synced: watch::Sender<(u64, u64)>,
    /// What it refused last, by the number after it.
    refused: std::sync::atomic::AtomicU64,
    reset: Notify,
    /// The largest payload, as the relay said.
    limit: AtomicU32,
}

#[async_trait]
impl Connect for Relay {
    async fn connect(&self, inbox: Inbox) -> Result<Arc<dyn Backend>> {
        let link = Arc::new(Link {
            address: self.0.clone(),
            fault: self.1,
            inbox: inbox.clone(),
            writer: Mutex::default(),
            numbers: 1.into(),
            synced: watch::Sender::new((0, 0)),
            refused: 0.into(),
            reset: Notify::new(),
            limit: 0.into(),
        });
        let reader = link.open(1).await?;
        let listening = Arc::clone(&link);
        tokio::spawn(async move {
            tokio::select! {
                () = inbox.closed() => {}
                () = listening.listen(reader) => {}
            }
            listening.writer.lock().await.take();
        });
        Ok(link)
    }
}

impl Link {
    async fn open(&self, connection: u64) -> Result<OwnedReadHalf> {
        if self.fault == Fault::BlocksTheRuntime {
            std::thread::sleep(Duration::from_millis(2_500));
        }
        let stream = TcpStream::connect(&self.address).await.map_err(unavailable)?;
        stream.set_nodelay(true).map_err(unavailable)?;
        let (mut reader, mut writer) = stream.into_split();
        writer.write_all(&[HELLO]).await.map_err(unavailable)?;
        let limit = reader.read_u32().await.map_err(unavailable)?;
        if self.fault != Fault::RemembersItsLimit || self.limit.load(Relaxed) == 0 {
            self.limit.store(limit, Relaxed);
        }
        *self.writer.lock().await = Some(writer);
        self.synced.send_replace((connection, 0));
        Ok(reader)
    }

    /// Hands over what arrives; makes a new connection when this one ends, for ever.
    async fn listen(&self, mut reader: OwnedReadHalf) {
        let mut backoff = Backoff::at_most(BACKOFF);
        for connection in 2.. {
            let read = self.read(reader);
            tokio::select! {
                () = read => {}
                () = self.reset.notified() => {}
            }
            match self.fault {
                Fault::LeavesATask => drop(tokio::spawn(std::future::pending::<()>())),
                Fault::LeavesAConnection => std::mem::forget(self.writer.lock().await.take()),
                _ => {}
            }
            self.forget().await;
            if self.fault != Fault::NeverSaysDown {
                self.inbox.down("the broker has gone");
            }
            reader = loop {
                if !matches!(self.fault, Fault::TriesHotly | Fault::LogsEachFailure) {
                    backoff.wait().await;
                }
                if let Ok(Ok(reader)) = tokio::time::timeout(NEW, self.again(connection)).await {
                    break reader;
                }
                if self.fault == Fault::LogsEachFailure {
                    tracing::warn!("the relay cannot be reached");
                }
                self.forget().await;
                if self.fault == Fault::GivesUp {
                    return;
                }
            };
            self.inbox.up(self.limits());
        }
    }

    async fn forget(&self) {
        self.synced.send_replace((0, 0));
        self.writer.lock().await.take();
    }

    /// A new connection, with everything that is wanted subscribed to and confirmed.
    async fn again(&self, connection: u64) -> Result<OwnedReadHalf> {
        let mut reader = self.open(connection).await?;
        if self.fault == Fault::DialsTenfold {
            for _ in 1..10 {
                drop(self.open(connection).await?);
            }
            reader = self.open(connection).await?;
        }
        let mut wanted = self.inbox.channels();
        if self.fault == Fault::SubscribesOnce {
            wanted.clear();
        }
        let number = self.write(wanted.iter().map(|channel| message(SUBSCRIBE, channel))).await?;
        loop {
            if self.fault == Fault::SaysUpTooEarly {
                return Ok(reader);
            }
            let message = Message::read(&mut reader).await.map_err(unavailable)?;
            if self.take(message).await >= number {
                return Ok(reader);
            }
        }
    }

    async fn read(&self, reader: OwnedReadHalf) {
        let mut reader = BufReader::with_capacity(64 << 10, reader);
        while let Ok(message) = Message::read(&mut reader).await {
            self.take(message).await;
        }
    }

    /// Takes what came; answers the number that it confirms, else 0.
    async fn take(&self, Message { kind, channel, payload }: Message) -> u64 {
        if kind == SYNC || kind == FULL {
            let number = payload.as_ref().try_into().map_or(0, u64::from_be_bytes);
            if kind == FULL {
                self.refused.store(number, Relaxed);
            }
            self.synced.send_modify(|(_, synced)| *synced = number);
            return number;
        }
        if self.fault == Fault::BuffersWithoutBound {
            let inbox = self.inbox.clone();
            tokio::spawn(async move {
                while inbox.frame(&channel, payload.clone()).is_err() {
                    inbox.ready().await;
                }
            });
            return 0;
        }
        while self.inbox.frame(&channel, payload.clone()).is_err() {
            self.inbox.ready().await; // the relay waits with us
        }
        0
    }

    /// Writes the messages, and a number that the relay echoes once it has read them.
    async fn write(&self, messages: impl IntoIterator<Item = Message>) -> Result<u64> {
        let mut guard = self.writer.lock().await;
        let writer = guard.as_mut().ok_or_else(|| Error::new(ErrorKind::Unavailable, "no connection to the relay"))?;
        let number = self.numbers.fetch_add(1, Relaxed);
        let sync = Message::new(SYNC, "", Bytes::copy_from_slice(&number.to_be_bytes()));
        let mut bytes = BytesMut::new();
        messages.into_iter().chain([sync]).for_each(|message| message.encode(&mut bytes));
        writer.write_all(&bytes).await.map_err(unavailable)?;
        Ok(number)
    }

    /// Returns the number that was confirmed.
    async fn send(&self, messages: impl IntoIterator<Item = Message>) -> Result<u64> {
        let connection = self.synced.borrow().0;
        let number = self.write(messages).await?;
        if self.fault == Fault::ConfirmsWhatItHasWritten {
            return Ok(number);
        }
        let mut synced = self.synced.subscribe();
        let confirmed = synced.wait_for(|(on, synced)| *on != connection || *synced >= number).await;
        let same = confirmed.is_ok_and(|synced| synced.0 == connection);
        if same { Ok(number) } else { Err(Error::new(ErrorKind::Unavailable, "the connection to the relay has ended")) }
    }
}

#[async_trait]
impl Backend for Link {
    fn capabilities(&self) -> Capabilities {
        Capabilities::default().ordered()
    }

    fn limits(&self) -> Limits {
        Limits::max_frame(self.limit.load(Relaxed) as usize)
    }

    async fn subscribe(&self, channels: &[Channel]) -> Result<()> {
        let sent = self.send(channels.iter().map(|channel| message(SUBSCRIBE, channel)));
        tokio::time::timeout(PATIENCE, sent).await.map_err(unavailable)?.map(drop)
    }

    async fn unsubscribe(&self, channels: &[Channel]) -> Result<()> {
        let sent = self.send(channels.iter().map(|channel| message(UNSUBSCRIBE, channel)));
        tokio::time::timeout(PATIENCE, sent).await.map_err(unavailable)?.map(drop)
    }

    async fn publish(&self, frames: &[Outgoing]) -> Result<(), PublishError> {
        let (fine, refused) = self.limits().sendable(frames);
        let message = |frame: &Outgoing| Message::new(PUBLISH, frame.channel.as_str(), frame.payload.clone());
        let number = self.send(fine.iter().map(message)).await.map_err(PublishError::Unknown)?;
        if self.refused.load(Relaxed) != number {
            return refused;
        }
        let full = Error::new(ErrorKind::Unavailable, "the relay is full");
        if self.fault == Fault::LeavesAFullBroker {
            self.reset.notify_one();
            return Err(PublishError::Unknown(full));
        }
        Err(PublishError::NotNow(full))
    }

    async fn reset(&self, _: Reason) {
        if self.fault != Fault::IgnoresReset {
            self.reset.notify_one();
        }
    }

    async fn close(&self) -> Result<()> {
        self.writer.lock().await.take();
        Ok(())
    }
}

fn message(kind: u8, channel: &Channel) -> Message {
    Message::new(kind, channel.as_str(), Bytes::new())
}

fn unavailable(cause: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(ErrorKind::Unavailable, "the relay cannot be reached").with_source(cause)
}
