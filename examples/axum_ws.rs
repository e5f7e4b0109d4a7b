//! A WebSocket lobby on any number of servers. Start two of them, with Redis on this machine:
//! `cargo run --example axum_ws -- 3001` and `cargo run --example axum_ws -- 3002`. What a client sends to
//! `ws://127.0.0.1:3001/ws`, the clients of both servers get. `ROOMCAST_URL` names another broker.

use std::time::Duration;

use axum::extract::State;
use axum::extract::ws::{Message, Utf8Bytes, WebSocket, WebSocketUpgrade};
use axum::{Router, response::Response, routing::any};
use roomcast::{Bytes, Hub, NamespaceHandle, Packet};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::var("ROOMCAST_URL").unwrap_or("redis://127.0.0.1".to_owned());
    let port = std::env::args().nth(1).unwrap_or("3000".to_owned());
    let listener = tokio::net::TcpListener::bind(format!("127.0.0.1:{port}")).await?;

    let cluster = roomcast::connect(&url).await?;
    let hub = Hub::new();
    let chat = cluster.namespace("/", hub.clone()).await?;
    axum::serve(listener, app(hub, chat)).with_graceful_shutdown(ctrl_c()).await?;
    cluster.close().await?; // the other servers know at once that this one has left
    Ok(())
}

async fn ctrl_c() {
    tokio::signal::ctrl_c().await.ok();
}

fn app(hub: Hub, chat: NamespaceHandle) -> Router {
    Router::new().route("/ws", any(upgrade)).with_state((hub, chat))
}

async fn upgrade(ws: WebSocketUpgrade, State((hub, chat)): State<(Hub, NamespaceHandle)>) -> Response {
    ws.on_upgrade(|ws| serve(ws, hub, chat))
}

/// How long writing one message may take. A client that reads nothing for this long is given up.
const PATIENCE: Duration = Duration::from_secs(10);

/// Serves one client until it closes, fails or falls behind, or until the cluster disconnects it. Then `socket` is dropped, which
/// takes it out of all rooms.
async fn serve(mut ws: WebSocket, hub: Hub, chat: NamespaceHandle) {
    let Ok(mut socket) = hub.connect() else { return };
    if socket.join("lobby").is_err() {
        return;
    }
    // Each branch takes whatever comes. A pattern that can fail, such as `Some(..) = ws.recv()`, would switch its branch off and
    // leave the loop waiting for the other one.
    loop {
        tokio::select! {
            delivery = socket.next() => {
                let Some(delivery) = delivery else { return }; // disconnected by the cluster, or too slow
                let sent = tokio::time::timeout(PATIENCE, ws.send(to_client(delivery.packet))).await;
                if !matches!(sent, Ok(Ok(()))) {
                    return;
                }
            }
            received = ws.recv() => {
                let Some(Ok(message)) = received else { return }; // closed, or broken
                let Some(packet) = from_client(message) else { continue };
                if let Err(error) = chat.to("lobby").emit(packet).await {
                    eprintln!("not sent to every server: {error}");
                }
            }
        }
    }
}

/// Before binary data on its way through the cluster. No UTF-8 text begins with this byte.
const BINARY: u8 = 0xff;

fn from_client(message: Message) -> Option<Packet> {
    match message {
        Message::Text(text) => Some(Bytes::from(text).into()),
        Message::Binary(bytes) => Some([&[BINARY], &bytes[..]].concat().into()),
        Message::Ping(_) | Message::Pong(_) | Message::Close(_) => None, // axum replies to them
    }
}

fn to_client(Packet { data, .. }: Packet) -> Message {
    if data.first() == Some(&BINARY) {
        return Message::Binary(data.slice(1..));
    }
    Utf8Bytes::try_from(data.clone()).map_or(Message::Binary(data), Message::Text)
}

#[cfg(test)]
#[path = "axum_ws/tests.rs"]
mod tests;
