//! One Socket.IO client over WebSocket (Engine.IO 4, Socket.IO 5).

use std::net::SocketAddr;

use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::Failed;

/// A client that is connected to one namespace.
#[derive(Debug)]
pub struct Client {
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
    /// What a Socket.IO packet of this namespace begins with behind its type: nothing, or `/name,`.
    prefix: String,
}

impl Client {
    /// Connects to a namespace, `/` for the default one, and returns when it is in these rooms.
    ///
    /// # Errors
    /// When the server does not take it.
    pub async fn connect(server: SocketAddr, namespace: &str, rooms: &[&str]) -> Result<Self, Failed> {
        let auth = serde_json::json!({ "rooms": rooms });
        let (mut stream, _) = connect_async(format!("ws://{server}/socket.io/?EIO=4&transport=websocket")).await?;
        let prefix = if namespace == "/" { String::new() } else { format!("{namespace},") };
        loop {
            let message = stream.next().await.ok_or("the server closed while a client connected")??;
            let Message::Text(text) = message else { continue };
            match text.as_str() {
                "2" => stream.send(Message::text("3")).await?,
                text if text.starts_with('0') => stream.send(Message::text(format!("40{prefix}{auth}"))).await?,
                text if text.starts_with("40") => return Ok(Self { stream, prefix }),
                text => return Err(format!("{text:?} came instead of a connection").into()),
            }
        }
    }

    /// The next event, as its JSON text: `["name",...]`. One that asks for an acknowledgement has got it.
    ///
    /// # Errors
    /// When the connection has ended.
    pub async fn next(&mut self) -> Result<String, Failed> {
        loop {
            let message = self.stream.next().await.ok_or("the server closed")??;
            let Message::Text(text) = message else { continue };
            if text == "2" {
                self.stream.send(Message::text("3")).await?;
                continue;
            }
            let event = text.strip_prefix("42").and_then(|event| event.strip_prefix(self.prefix.as_str()));
            let Some(event) = event else { continue };
            let id: String = event.chars().take_while(char::is_ascii_digit).collect();
            if !id.is_empty() {
                self.stream.send(Message::text(format!("43{}{id}[1]", self.prefix))).await?;
            }
            return Ok(event[id.len()..].to_owned());
        }
    }
}
