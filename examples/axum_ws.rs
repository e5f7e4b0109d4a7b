//! A plain WebSocket server of several nodes. `cargo run --example axum_ws`, then connect WebSocket clients to the two
//! addresses it prints: what one of them sends, all of them get.

use axum::Router;
use axum::extract::State;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::routing::any;
use roomcast::{Hub, NamespaceHandle};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let one = node("127.0.0.1:3001").await?;
    let two = node("127.0.0.1:3002").await?;
    println!("ws://127.0.0.1:3001/ws and ws://127.0.0.1:3002/ws are one lobby");
    tokio::try_join!(one, two)?;
    Ok(())
}

/// One server: its sockets, its place in the cluster, its address.
async fn node(
    address: &str,
) -> Result<axum::serve::Serve<tokio::net::TcpListener, Router, Router>, Box<dyn std::error::Error>> {
    let hub = Hub::new();
    let cluster = roomcast::connect("memory://axum-ws").await?;
    let chat = cluster.namespace("/", hub.clone()).await?;
    let app = Router::new().route("/ws", any(upgrade)).with_state((hub, chat));
    Ok(axum::serve(tokio::net::TcpListener::bind(address).await?, app))
}

async fn upgrade(ws: WebSocketUpgrade, State((hub, chat)): State<(Hub, NamespaceHandle)>) -> axum::response::Response {
    ws.on_upgrade(|ws| serve(ws, hub, chat))
}

/// One client: what the cluster has for it goes out, what it sends goes to the lobby of every node.
async fn serve(mut ws: WebSocket, hub: Hub, chat: NamespaceHandle) {
    let Ok(mut socket) = hub.connect() else { return };
    if socket.join("lobby").is_err() {
        return;
    }
    loop {
        tokio::select! {
            delivery = socket.next() => {
                let Some(delivery) = delivery else { return }; // disconnected by the cluster, or too slow
                if ws.send(Message::Binary(delivery.packet.data)).await.is_err() {
                    return;
                }
            }
            message = ws.recv() => {
                let Some(Ok(message)) = message else { return };
                if let Message::Text(_) | Message::Binary(_) = &message
                    && let Err(error) = chat.to("lobby").emit(message.into_data()).await
                {
                    eprintln!("not everywhere: {error}");
                }
            }
        }
    }
}
