//! One connection to one server, from its handshake to its end.
//!
//! The client would reconnect by itself, silently, and send what waited meanwhile. So each of its instances serves one
//! connection only, and is thrown away when that breaks; the `Keeper` makes the next one.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use async_nats::client::PublishErrorKind;
use async_nats::connection::State;
use async_nats::{Client, ServerAddr, ServerInfo, Subject, Subscriber};
use bytes::Bytes;
use futures_util::StreamExt;
use roomcast_core::backend::{Channel, Inbox, Limits, Outgoing, PublishError, Reason};
use roomcast_core::{Error, ErrorKind, NodeId, Result};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::Nats;
use crate::creds::Creds;
use crate::description::PACKED;
use crate::error;
use crate::intake::Intake;
use crate::signals::{Signals, lock};

/// How long the server may take to confirm; long after the pings have found a dead one.
const CONFIRM: Duration = Duration::from_secs(5);

/// How often the client's own word on its state is asked for, in case that its event got lost.
const LOOK: Duration = Duration::from_millis(250);

/// How long the client may take to say goodbye.
const GOODBYE: Duration = Duration::from_secs(1);

/// One connection to one server.
pub(crate) struct Connection {
    client: Client,
    signals: Arc<Signals>,
    /// The subject on which this connection alone listens, and sends itself numbers.
    echo: Subject,
    /// The number that was sent last. Held while a batch is handed to the client, so that numbers leave in order.
    sent: tokio::sync::Mutex<u64>,
    /// Who waits for a number reads them, for the others too: a task in between would cost a batch its wake-up.
    echoes: tokio::sync::Mutex<Echoes>,
    /// A task for each subscription.
    subscriptions: tokio::sync::Mutex<HashMap<Channel, Task>>,
    intake: Arc<Intake>,
    inbox: Inbox,
    /// When its login ends.
    pub(crate) expires: Option<Instant>,
    creds: Option<Creds>,
}

/// The numbers that come back.
struct Echoes {
    subscriber: Subscriber,
    last: u64,
}

/// A task that ends with its owner.
struct Task(JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What a connection tells before it ends.
pub(crate) enum News {
    /// Messages are missing: the node did not take them in time.
    Dropped,
    /// The connection is of no use any more.
    Over(Reason),
}

impl Connection {
    /// Connects to this server, and to no other.
    ///
    /// # Errors
    /// `Config`, `Denied` or `Unavailable`.
    pub(crate) async fn open(nats: &Nats, server: ServerAddr, inbox: &Inbox) -> Result<Arc<Self>> {
        let signals = Arc::new(Signals::default());
        let hear = Arc::clone(&signals);
        let mut creds = nats.creds()?;
        let (options, expires) = nats.connection(creds.as_mut()).await?;
        let options = options.event_callback(move |event| {
            hear.event(event);
            std::future::ready(())
        });
        let client = options
            .connect(server)
            .await
            .map_err(|cause| error::connecting(cause, creds.as_ref().and_then(Creds::expires)))?;
        let echo = Subject::from(format!("rc.sync.{}", NodeId::random()?));
        let subscriber =
            client.subscribe(echo.clone()).await.map_err(|_| Error::unavailable("the connection ended at once"))?;
        let lost = Arc::clone(&signals);
        let intake = Intake::new(inbox.clone(), nats.most_waiting(), move || lost.dropped());
        let connection = Arc::new(Self {
            client,
            signals,
            echo,
            sent: tokio::sync::Mutex::new(0),
            echoes: tokio::sync::Mutex::new(Echoes { subscriber, last: 0 }),
            subscriptions: tokio::sync::Mutex::default(),
            intake: Arc::new(intake),
            inbox: inbox.clone(),
            expires,
            creds,
        });
        connection.confirm(&[]).await.map_err(|(_, error)| error)?;
        Ok(connection)
    }

    /// Whether this is still the connection that was opened.
    fn is_alive(&self) -> bool {
        !self.signals.over.is_tripped()
            && self.client.statistics().connects.load(Ordering::Relaxed) == 1
            && self.client.connection_state() == State::Connected
    }

    /// What the server announced. The payload alone counts: we send no headers.
    pub(crate) fn limits(&self) -> Limits {
        // One batch is handed to the client after the other.
        Limits::max_frame(self.client.max_payload()).in_flight(2).packed(PACKED)
    }

    /// Whether there is another login by now than the one of this connection, as far as that is known: code is asked with the next
    /// connection.
    ///
    /// # Errors
    /// `Unavailable` while the file of credentials is not renewed; `Config` if it cannot be read.
    pub(crate) fn has_next_login(&self) -> Result<()> {
        match &self.creds {
            Some(creds) if creds.expires().is_some() && !creds.is_renewed()? => Err(error::not_renewed()),
            _ => Ok(()),
        }
    }

    /// What the server announced last.
    pub(crate) fn info(&self) -> ServerInfo {
        self.client.server_info()
    }

    /// Gives the connection up.
    pub(crate) fn end(&self, reason: impl Into<Reason>) {
        self.signals.over.trip(reason);
    }

    /// Subscribes where this connection is not subscribed yet, and waits for the server's word.
    ///
    /// # Cancel safety
    /// Safe: what was subscribed stays so.
    pub(crate) async fn subscribe(&self, channels: &[Channel]) -> Result<()> {
        for channel in channels {
            let mut subscriptions = self.subscriptions.lock().await;
            if subscriptions.contains_key(channel) {
                continue;
            }
            let subscriber = self.client.subscribe(channel.to_string()).await.map_err(|_| self.broken())?;
            let task = Task(tokio::spawn(Arc::clone(&self.intake).forward(subscriber)));
            subscriptions.insert(channel.clone(), task);
        }
        // A refusal comes before the first echo, but on another path inside the client: the second gives it time.
        // One that is later still ends the connection (`news`).
        self.confirm(&[]).await.map_err(|(_, error)| error)?;
        self.confirm(&[]).await.map_err(|(_, error)| error)?;
        let Some(refused) =
            channels.iter().find(|channel| lock(&self.signals.denied).subscribe.remove(channel.as_str()))
        else {
            return Ok(());
        };
        self.unsubscribe(channels).await;
        Err(error::denied(refused))
    }

    /// Stops forwarding; the client tells the server.
    pub(crate) async fn unsubscribe(&self, channels: &[Channel]) {
        let mut subscriptions = self.subscriptions.lock().await;
        for channel in channels {
            subscriptions.remove(channel);
        }
    }

    /// Hands the frames to the server, and waits until it has them.
    ///
    /// # Cancel safety
    /// Safe; any of the frames may have been sent then.
    pub(crate) async fn publish(&self, frames: &[Outgoing]) -> Result<(), PublishError> {
        if !self.is_alive() {
            return Err(PublishError::Unknown(self.broken())); // the client would send it on the next connection
        }
        let refused = |index: usize, kind| Err(PublishError::Refused { index, kind });
        let sendable = {
            let denied = lock(&self.signals.denied);
            frames.iter().position(|frame| denied.publish.contains(frame.channel.as_str())).unwrap_or(frames.len())
        };
        match self.confirm(&frames[..sendable]).await {
            Err((Some(index), _)) => return refused(index, ErrorKind::TooLarge),
            Err((None, error)) => return Err(PublishError::Unknown(error)),
            Ok(()) => {}
        }
        let denied = lock(&self.signals.denied);
        match frames.iter().position(|frame| denied.publish.contains(frame.channel.as_str())) {
            Some(index) => refused(index, ErrorKind::Denied),
            None => Ok(()),
        }
    }

    /// Publishes the frames and a number behind them to ourselves: when it is back, the server has worked on everything
    /// before it, subscriptions too. A request that finds no responder would say the same, but a curious
    /// subscriber to `>` is a responder and never answers.
    ///
    /// # Errors
    /// With the index of the frame that is too large, when those before it are confirmed; else the outcome is unknown.
    async fn confirm(&self, frames: &[Outgoing]) -> Result<(), (Option<usize>, Error)> {
        let mut too_large = None;
        let number = {
            let mut sent = self.sent.lock().await;
            for (index, frame) in frames.iter().enumerate() {
                let given = self.client.publish(frame.channel.to_string(), frame.payload.clone()).await;
                match given.map_err(|error| error.kind()) {
                    Ok(()) => {}
                    Err(PublishErrorKind::MaxPayloadExceeded) => {
                        too_large = Some(index);
                        break;
                    }
                    Err(_) => return Err((None, self.broken())),
                }
            }
            *sent += 1;
            let number = Bytes::copy_from_slice(&sent.to_be_bytes());
            self.client.publish(self.echo.clone(), number).await.map_err(|_| (None, self.broken()))?;
            *sent
        };
        let late = || Err((None, Error::unavailable("the NATS server does not confirm")));
        let came_back = async { self.echoes.lock().await.until(number).await };
        tokio::select! {
            () = came_back => {}
            () = self.ended() => {}
            // A publish has the core's limit, which knows the bytes.
            () = sleep(CONFIRM), if frames.is_empty() => return late(),
        }
        // Only now: the client may have reconnected in between, and the echo be that of the new connection.
        match (self.is_alive(), too_large) {
            (false, _) => Err((None, self.broken())),
            (true, Some(index)) => {
                Err((Some(index), Error::unavailable("the message is over the server's max_payload")))
            }
            (true, None) => Ok(()),
        }
    }

    /// Waits for something that the node must know.
    ///
    /// # Cancel safety
    /// Safe.
    pub(crate) async fn news(&self) -> News {
        loop {
            if !self.is_alive() {
                self.end("the connection broke"); // unless the client has said more
                return News::Over(self.signals.over.tripped().await);
            }
            let wanted = self.inbox.channels();
            let refused = {
                let denied = lock(&self.signals.denied);
                wanted.iter().any(|channel| denied.subscribe.contains(channel.as_str()))
            };
            if refused {
                self.end("the server does not permit one of the subscriptions any more");
                continue;
            }
            if self.signals.dropped.swap(false, Ordering::AcqRel) {
                return News::Dropped;
            }
            tokio::select! {
                () = self.ended() => {}
                () = self.signals.told.notified() => {}
            }
        }
    }

    /// Confirms that the server works on what we send, after messages were dropped.
    pub(crate) async fn is_confirmed(&self) -> bool {
        self.confirm(&[]).await.is_ok()
    }

    /// Forgets that messages were dropped: the node has been told.
    pub(crate) fn forget_drops(&self) {
        self.signals.dropped.store(false, Ordering::Release);
    }

    /// Ends the subscriptions and the connection.
    pub(crate) async fn close(&self) {
        let drained = self.is_alive() && self.client.drain().await.is_ok();
        if drained {
            let _ = timeout(GOODBYE, self.signals.over.tripped()).await; // it ends without a goodbye then
        }
        self.end("closed");
        let mut tasks = std::mem::take(&mut *self.subscriptions.lock().await);
        // What has been received is handed over, if the node takes it; then they end by themselves.
        let handed_over = async {
            for task in tasks.values_mut() {
                let _ = (&mut task.0).await;
            }
        };
        if drained && !self.inbox.is_closed() && timeout(GOODBYE, handed_over).await.is_err() {
            self.inbox.dropped("this node has not taken its messages before the server's shutdown");
        }
    }

    /// Waits until the server says that it is going to shut down.
    ///
    /// # Cancel safety
    /// Safe.
    pub(crate) async fn leaving(&self) -> Reason {
        self.signals.leaving.tripped().await
    }

    /// Waits until the connection is of no use any more.
    async fn ended(&self) {
        let bytes = || self.client.statistics().in_bytes.load(Ordering::Relaxed);
        let mut seen = bytes();
        while self.is_alive() {
            let _ = timeout(LOOK, self.signals.over.tripped()).await;
            // More than pings: a large message on its way.
            if bytes().saturating_sub(seen) > 4096 {
                self.inbox.alive();
            }
            seen = bytes();
        }
    }

    fn broken(&self) -> Error {
        self.end("the connection broke");
        Error::unavailable("there is no connection to a NATS server")
    }
}

impl Echoes {
    /// Returns when this number came back, or nothing comes any more. Anything else is a stranger's.
    async fn until(&mut self, number: u64) {
        while self.last < number {
            let Some(message) = self.subscriber.next().await else { return };
            if let Ok(back) = message.payload.as_ref().try_into().map(u64::from_be_bytes) {
                self.last = self.last.max(back);
            }
        }
    }
}
