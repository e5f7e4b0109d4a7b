//! A WebSocket lobby on any number of servers. Start two of them, with Redis on this machine:
//! `cargo run --example axum_ws -- 3001` and `cargo run --example axum_ws -- 3002`. What a client sends to
//! `ws://127.0.0.1:3001/ws`, the clients of both servers get. `ROOMCAST_URL` names another broker.

use axum::extract::{State, WebSocketUpgrade};
use axum::{Router, response::Response, routing::any};
use roomcast::axum::{Client, upgrade};
use roomcast::{Hub, NamespaceHandle};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::var("ROOMCAST_URL").unwrap_or("redis://127.0.0.1".to_owned());
    let port = std::env::args().nth(1).unwrap_or("3000".to_owned());
    let listener = tokio::net::TcpListener::bind(format!("127.0.0.1:{port}")).await?;

    let cluster = roomcast::connect(&url).await?;
    let hub = Hub::new();
    let chat = cluster.namespace("/", hub.clone()).await?;
    tokio::select! {
        served = axum::serve(listener, app(hub, chat)).into_future() => served?,
        stop = tokio::signal::ctrl_c() => stop?,
    }
    cluster.close().await?; // the other servers know at once that this one has left
    Ok(())
}

fn app(hub: Hub, chat: NamespaceHandle) -> Router {
    Router::new().route("/ws", any(enter)).with_state((hub, chat))
}

async fn enter(ws: WebSocketUpgrade, State((hub, chat)): State<(Hub, NamespaceHandle)>) -> Response {
    upgrade(ws, &hub, async move |mut client: Client| {
        client.join("lobby").ok();
        while let Some(message) = client.next().await {
            if let Err(error) = chat.to("lobby").emit(message).await {
                eprintln!("not sent to every server: {error}");
            }
        }
    })
}

#[cfg(test)]
#[path = "axum_ws/tests.rs"]
mod tests;
