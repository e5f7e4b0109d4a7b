//! A server that is taken down while others go on: the recipe of the documentation, with connections over a network.

use std::time::Duration;

use axum::Router;
use futures_util::{SinkExt, StreamExt};
use roomcast_core::{Cluster, Memory};
use roomcast_socketioxide::{Adapter, SocketIo, SocketRef};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

struct Server {
    cluster: Cluster,
    io: SocketIo,
    url: String,
    stop: oneshot::Sender<()>,
    serving: tokio::task::JoinHandle<std::io::Result<()>>,
}

/// Tells the others when one has left, after it has looked at its rooms and something else.
async fn connected(socket: SocketRef) {
    socket.join("lobby");
    socket.on_disconnect(async |socket: SocketRef| {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let rooms = socket.rooms().join(",");
        socket.broadcast().emit("left", &rooms).await.ok();
    });
}

async fn serve(memory: &Memory) -> Server {
    let cluster = Cluster::connect(memory.clone()).await.expect("connected");
    let builder = socketioxide::SocketIo::builder();
    let (layer, io) = builder.with_adapter::<Adapter<_>>(cluster.clone().into()).build_layer();
    io.ns("/", connected).await.expect("attached");
    io.ns("/other", connected).await.expect("attached");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("ws://{}/socket.io/?EIO=4&transport=websocket", listener.local_addr().expect("bound"));
    let (stop, stopped) = oneshot::channel();
    let serving = axum::serve(listener, Router::new().layer(layer)).with_graceful_shutdown(async { _ = stopped.await });
    Server { cluster, io, url, stop, serving: tokio::spawn(serving.into_future()) }
}

struct Client(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Client {
    async fn connect(server: &Server, namespace: &str) -> Self {
        let mut client = Self(tokio_tungstenite::connect_async(&server.url).await.expect("connected").0);
        assert!(client.next().await.expect("open").starts_with('0'));
        client.0.send(Message::text(format!("40{namespace}"))).await.expect("sent");
        let hello = client.next().await.expect("connected");
        assert!(hello.starts_with("40"), "{hello}");
        client
    }

    /// The next packet but a ping; `None` when the connection is closed.
    async fn next(&mut self) -> Option<String> {
        loop {
            let message = tokio::time::timeout(Duration::from_secs(10), self.0.next()).await;
            match message.expect("something in time") {
                Some(Ok(Message::Text(ping))) if ping.as_str() == "2" => {}
                Some(Ok(Message::Text(text))) => return Some(text.to_string()),
                _ => return None,
            }
        }
    }
}

#[tokio::test]
async fn clients_of_other_servers_hear_who_leaves_with_a_server_that_is_closed() {
    let memory = Memory::new();
    let (staying, leaving) = (serve(&memory).await, serve(&memory).await);
    let mut alice = Client::connect(&staying, "").await;
    let mut carol = Client::connect(&staying, "/other,").await;
    let mut bobs = [Client::connect(&leaving, "").await, Client::connect(&leaving, "").await];
    let mut dave = Client::connect(&leaving, "/other,").await;

    // The recipe: sockets first, then requests, then the cluster.
    leaving.io.close().await;
    leaving.stop.send(()).expect("serving");
    leaving.serving.await.expect("ended").expect("served");
    leaving.cluster.close().await.expect("closed");

    for _ in &bobs {
        assert_eq!(alice.next().await.expect("connected"), r#"42["left","lobby"]"#);
    }
    assert_eq!(carol.next().await.expect("connected"), r#"42/other,["left","lobby"]"#);
    for client in bobs.iter_mut().chain([&mut dave]) {
        while let Some(packet) = client.next().await {
            assert!(
                !packet.starts_with("41"),
                "told to stay away, clients would not connect to another server: {packet}"
            );
        }
    }
    assert_eq!(staying.cluster.of("/").expect("valid").count_sockets().await.expect("counted").total(), 1);
}

#[tokio::test]
async fn a_handler_of_a_deleted_namespace_still_has_its_rooms() {
    let memory = Memory::new();
    let (staying, leaving) = (serve(&memory).await, serve(&memory).await);
    let mut alice = Client::connect(&staying, "/other,").await;
    let _dave = Client::connect(&leaving, "/other,").await;
    leaving.io.delete_ns("/other");
    assert_eq!(alice.next().await.expect("connected"), r#"42/other,["left","lobby"]"#);
}
