//! Real WebSocket clients against two servers of the example, joined by the memory backend.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use roomcast::{Cluster, Hub, Memory, NamespaceHandle};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

/// How long what has to happen may take.
const PATIENCE: Duration = Duration::from_secs(20);

struct Server {
    cluster: Cluster,
    hub: Hub,
    chat: NamespaceHandle,
    address: SocketAddr,
    serving: JoinHandle<std::io::Result<()>>,
}

impl Server {
    async fn start(broker: &Memory) -> Self {
        let hub = Hub::new();
        let cluster = Cluster::connect(broker.clone()).await.expect("connected");
        let chat = cluster.namespace("/", hub.clone()).await.expect("attached");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let app = super::app(hub.clone(), chat.clone());
        let serving = tokio::spawn(axum::serve(listener, app).into_future());
        Self { cluster, hub, chat, address, serving }
    }

    async fn client(&self) -> Client {
        let stream = TcpStream::connect(self.address).await.expect("it listens");
        let before = self.hub.stats().sockets;
        let (ws, _) =
            tokio_tungstenite::client_async(format!("ws://{}/ws", self.address), stream).await.expect("upgraded");
        self.has_sockets(before + 1).await; // the handshake ends before the server's task begins
        Client(ws)
    }

    /// Waits until so many sockets are connected.
    async fn has_sockets(&self, count: u64) {
        let so = async {
            while self.hub.stats().sockets != count {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let stats = || format!("{count} sockets were expected, not {:?}", self.hub.stats());
        tokio::time::timeout(PATIENCE, so).await.unwrap_or_else(|_| panic!("{}", stats()));
    }

    async fn stop(self) {
        self.serving.abort();
        self.cluster.close().await.expect("closed");
    }
}

struct Client(WebSocketStream<TcpStream>);

impl Client {
    async fn send(&mut self, message: impl Into<Message>) {
        self.0.send(message.into()).await.expect("sent");
    }

    /// What comes next, control frames too; `None` once the connection has ended.
    async fn any(&mut self) -> Option<Message> {
        let next = tokio::time::timeout(PATIENCE, self.0.next()).await;
        next.expect("a message or the end")?.ok()
    }

    /// What comes next, apart from control frames; `None` once the connection has ended.
    async fn next(&mut self) -> Option<Message> {
        loop {
            let message = self.any().await?;
            if message.is_text() || message.is_binary() {
                return Some(message);
            }
        }
    }
}

async fn two() -> (Server, Server) {
    let broker = Memory::new();
    (Server::start(&broker).await, Server::start(&broker).await)
}

#[tokio::test]
async fn text_arrives_as_text_and_binary_as_binary_on_both_servers() {
    let (one, two) = two().await;
    let (mut sender, mut other) = (one.client().await, two.client().await);
    let all = ["hello", "", "\u{ff}é", "T", "{\"a\":1}"].map(Message::text);
    let binary =
        [&b"bytes"[..], b"", b"\xff", b"\xff\x00", b"not \xc3 text"].map(|bytes| Message::binary(bytes.to_vec()));
    for message in all.into_iter().chain(binary) {
        sender.send(message.clone()).await;
        for client in [&mut sender, &mut other] {
            assert_eq!(client.next().await.as_ref(), Some(&message));
        }
    }
    one.stop().await;
    two.stop().await;
}

#[tokio::test]
async fn what_others_emit_arrives_as_text() {
    let (one, two) = two().await;
    let mut client = one.client().await;
    two.chat.to("lobby").emit("plain").await.expect("emitted");
    assert_eq!(client.next().await, Some(Message::text("plain")));
    let event = roomcast::Packet::event("news", "we open at nine").expect("JSON");
    two.chat.to("lobby").emit(event).await.expect("emitted");
    assert_eq!(client.next().await, Some(Message::text("[\"news\",\"we open at nine\"]")));
    one.stop().await;
    two.stop().await;
}

#[tokio::test]
async fn pings_are_answered_and_not_passed_on() {
    let (one, two) = two().await;
    let (mut sender, mut other) = (one.client().await, two.client().await);
    sender.send(Message::Ping("ping".into())).await;
    assert_eq!(sender.any().await, Some(Message::Pong("ping".into())));
    sender.send(Message::Pong("unasked".into())).await;
    sender.send("behind them").await;
    assert_eq!(other.next().await, Some(Message::text("behind them")));
    one.stop().await;
    two.stop().await;
}

#[tokio::test]
async fn a_client_that_closes_is_gone() {
    let (one, two) = two().await;
    let mut client = one.client().await;
    client.send("hello").await;
    client.next().await.expect("its own message");
    client.0.close(None).await.expect("closed");
    one.has_sockets(0).await;
    one.stop().await;
    two.stop().await;
}

#[tokio::test]
async fn a_client_whose_connection_ends_is_gone() {
    let (one, two) = two().await;
    let client = one.client().await;
    drop(client);
    one.has_sockets(0).await;
    one.stop().await;
    two.stop().await;
}

#[tokio::test]
async fn a_client_that_breaks_the_protocol_is_gone() {
    use tokio::io::AsyncWriteExt;
    let (one, two) = two().await;
    let mut client = one.client().await;
    client.0.get_mut().write_all(&[0xff; 16]).await.expect("written");
    one.has_sockets(0).await;
    assert_eq!(client.next().await, None);
    one.stop().await;
    two.stop().await;
}

#[tokio::test]
async fn who_is_disconnected_by_another_server_sees_the_end() {
    let (one, two) = two().await;
    let mut client = one.client().await;
    let gone = two.chat.within("lobby").disconnect_sockets().await.expect("disconnected");
    assert!(gone.is_complete());
    assert_eq!(client.next().await, None);
    one.has_sockets(0).await;
    one.stop().await;
    two.stop().await;
}

/// The client reads nothing until the hub has given it up: what the kernel holds for it comes, then the end.
#[tokio::test]
async fn who_does_not_keep_up_sees_the_end() {
    let (one, two) = two().await;
    let mut client = one.client().await;
    let packet = vec![b'x'; 64 << 10];
    while one.hub.stats().sockets == 1 {
        two.chat.to("lobby").emit(packet.clone()).await.expect("emitted");
        tokio::task::yield_now().await;
    }
    assert_eq!(one.hub.stats().disconnected_slow, 1);
    while client.next().await.is_some() {}
    one.stop().await;
    two.stop().await;
}

#[test]
fn the_guide_shows_this_code() {
    let file = include_str!("../axum_ws.rs");
    let (_, code) = file.split_once("\n\n").expect("a header");
    let (code, _) = code.split_once("\n#[cfg(test)]").expect("these tests");
    let guide = include_str!("../../docs/websocket.md");
    assert!(
        guide.contains(&format!("```rust,no_run\n{code}```")),
        "the code in docs/websocket.md and in examples/axum_ws.rs differ"
    );
}
