//! WebSocket clients of axum as sockets of a [`Hub`].
//!
//! # Examples
//! A lobby: what one client sends, the clients of all servers get.
//! ```no_run
//! use axum::extract::{State, WebSocketUpgrade};
//! use axum::{Router, response::Response, routing::any};
//! use roomcast::axum::{Client, upgrade};
//! use roomcast::{Hub, NamespaceHandle};
//!
//! async fn enter(ws: WebSocketUpgrade, State((hub, chat)): State<(Hub, NamespaceHandle)>) -> Response {
//!     upgrade(ws, &hub, async move |mut client: Client| {
//!         client.join("lobby").ok();
//!         while let Some(message) = client.next().await {
//!             chat.to("lobby").emit(message).await.ok();
//!         }
//!     })
//! }
//! # async fn app(hub: Hub, chat: NamespaceHandle) -> Router {
//! Router::new().route("/ws", any(enter)).with_state((hub, chat))
//! # }
//! ```

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use ::axum::extract::ws::{Message, Utf8Bytes, WebSocket, WebSocketUpgrade};
use ::axum::http::StatusCode;
use ::axum::response::{IntoResponse, Response};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{FutureExt, SinkExt, StreamExt};
use roomcast_core::{Hub, IntoRooms, Packet, PacketFormat, Result, Room, Socket, SocketHandle, SocketId};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval, timeout};

/// How long writing to one client may take. A client that reads nothing for this long is given up.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two pings to a client.
const PING: Duration = Duration::from_secs(15);
/// A client from which nothing has come for this long, not even the answer to a ping, is gone.
const SILENCE: Duration = Duration::from_secs(40);
/// So many messages of a client wait for its handler. Then no more is read from it.
const WAITING: usize = 16;
/// So many deliveries are written before they are flushed.
const TOGETHER: usize = 64;

/// One WebSocket client, as its handler sees it. Deliveries of the hub are written to it all the while, also when the handler is busy.
#[derive(Debug)]
pub struct Client {
    socket: SocketHandle,
    messages: mpsc::Receiver<Packet>,
}

impl Client {
    /// The next message of the client: text as [`PacketFormat::Text`], binary data as [`PacketFormat::Opaque`]. `None` once the client is
    /// gone, or has been disconnected by the cluster, by its [`SocketHandle`], or for being too slow.
    ///
    /// While the handler does something else, up to 16 messages wait here; then no more is read from the client, whose own sending is
    /// held up by TCP (backpressure).
    ///
    /// # Cancel safety
    /// Safe: a message is taken only when the future is ready with it.
    pub async fn next(&mut self) -> Option<Packet> {
        self.messages.recv().await
    }

    /// Its id, which is also the name of its private room.
    pub fn id(&self) -> &SocketId {
        self.socket.id()
    }

    /// Puts it into a room or several, as [`Socket::join`] does.
    ///
    /// # Errors
    /// `Config` when a name is not a valid room, `Closed` when it is disconnected.
    pub fn join(&self, rooms: impl IntoRooms) -> Result<()> {
        self.socket.join(rooms)
    }

    /// Takes it out of a room or several, as [`Socket::leave`] does.
    ///
    /// # Errors
    /// `Config` when a name is not a valid room, `Closed` when it is disconnected.
    pub fn leave(&self, rooms: impl IntoRooms) -> Result<()> {
        self.socket.leave(rooms)
    }

    /// The rooms it is in, without its private one.
    pub fn rooms(&self) -> Vec<Room> {
        self.socket.rooms()
    }

    /// For other tasks: its rooms, its data, and a way to disconnect it.
    pub fn socket(&self) -> SocketHandle {
        self.socket.clone()
    }
}

/// Accepts a WebSocket, makes it a socket of the hub, and runs `serve` for it.
///
/// Text packets and events are written as text (an event is the JSON array `["name",argument]`), all others as binary data; an event
/// with attachments is its JSON and then one binary message for each of them. A question
/// ([`emit_with_ack`](roomcast_core::BroadcastOperator::emit_with_ack)) is written like any packet, and counts as unanswered.
///
/// When `serve` returns, what was emitted to the client before is still written, and the connection is closed. When the client closes, breaks
/// the protocol, reads nothing for 10 s or sends nothing for 40 s (it is pinged every 15 s), or when the cluster disconnects it, its socket
/// leaves all rooms at once: a client cannot leak. Then [`Client::next`] returns `None`, so that `serve` comes to its end; it is never cut off.
///
/// Limits of a message's size are those of the [`WebSocketUpgrade`] (64 MiB by default: set less with `max_message_size`).
pub fn upgrade<F, Fut>(ws: WebSocketUpgrade, hub: &Hub, serve: F) -> Response
where
    F: FnOnce(Client) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    match hub.connect() {
        Ok(socket) => ws.on_upgrade(|ws| run(ws, socket, serve)),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

async fn run<F: FnOnce(Client) -> Fut, Fut: Future<Output = ()>>(ws: WebSocket, mut socket: Socket, serve: F) {
    let handle = socket.handle();
    let (mut sink, stream) = ws.split();
    let (received, messages) = mpsc::channel(WAITING);
    {
        let mut serving = pin!(serve(Client { socket: handle.clone(), messages }));
        let mut reading = Box::pin(read(stream, received));
        let mut writing = pin!(write(&mut socket, &mut sink));
        tokio::select! {
            () = &mut serving => {
                // What was emitted to it before is still written.
                handle.disconnect();
                let _ = timeout(PATIENCE, writing).await; // the client may be gone
            }
            // In both cases `Client::next` returns `None` from now on, and nobody finds the socket in a room.
            () = &mut reading => {
                handle.disconnect();
                serving.await;
            }
            () = &mut writing => {
                handle.disconnect();
                drop(reading);
                serving.await;
            }
        }
    }
    let _ = timeout(PATIENCE, sink.close()).await; // the client may be gone
}

/// Hands on what the client sends, until it is gone.
async fn read(mut stream: SplitStream<WebSocket>, received: mpsc::Sender<Packet>) {
    while let Ok(Some(Ok(message))) = timeout(SILENCE, stream.next()).await {
        let packet = match message {
            Message::Text(text) => Packet::new(PacketFormat::Text, text),
            Message::Binary(data) => Packet::opaque(data),
            Message::Ping(_) | Message::Pong(_) => continue, // axum replies to pings
            Message::Close(_) => return,
        };
        if received.send(packet).await.is_err() {
            return;
        }
    }
}

/// Writes what the hub delivers, until the socket is disconnected or the client does not take it.
async fn write(socket: &mut Socket, sink: &mut SplitSink<WebSocket, Message>) {
    let mut ping = interval(PING);
    ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ping.reset();
    loop {
        let mut messages = tokio::select! {
            delivery = socket.next() => match delivery {
                Some(delivery) => to_client(&delivery.packet),
                None => return,
            },
            _ = ping.tick() => vec![Message::Ping(Default::default())],
        };
        while messages.len() < TOGETHER
            && let Some(Some(delivery)) = socket.next().now_or_never()
        {
            messages.append(&mut to_client(&delivery.packet));
        }
        let writing = async {
            for message in messages {
                sink.feed(message).await?;
            }
            sink.flush().await
        };
        if !matches!(timeout(PATIENCE, writing).await, Ok(Ok(()))) {
            return;
        }
    }
}

fn to_client(packet: &Packet) -> Vec<Message> {
    let text = |data: &roomcast_core::Bytes| {
        Utf8Bytes::try_from(data.clone()).map_or_else(|_| Message::Binary(data.clone()), Message::Text)
    };
    match packet.format {
        PacketFormat::Text | PacketFormat::Event => vec![text(&packet.data)],
        PacketFormat::BinaryEvent => {
            let event = packet.event_data().unwrap_or_default(); // what is malformed is written as nothing
            let binary = event.attachments.into_iter().map(Message::Binary);
            if event.json.is_empty() { Vec::new() } else { std::iter::once(text(&event.json)).chain(binary).collect() }
        }
        _ => vec![Message::Binary(packet.data.clone())],
    }
}
