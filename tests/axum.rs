//! WebSocket clients of axum as sockets of a Hub.

#![expect(clippy::unwrap_used, reason = "tests: an error is a failure")]

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::WebSocketUpgrade;
use axum::routing::any;
use futures_util::{SinkExt, StreamExt};
use roomcast::axum::{Client, upgrade};
use roomcast::{Bytes, Cluster, Hub, Memory, Packet};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

async fn server<F, Fut>(hub: &Hub, serve: F) -> SocketAddr
where
    F: Fn(Client) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let hub = hub.clone();
    let enter = move |ws: WebSocketUpgrade| std::future::ready(upgrade(ws, &hub, serve.clone()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(axum::serve(listener, Router::new().route("/", any(enter))).into_future());
    address
}

async fn connect(address: SocketAddr) -> WebSocketStream<TcpStream> {
    let stream = TcpStream::connect(address).await.unwrap();
    tokio_tungstenite::client_async(format!("ws://{address}/"), stream).await.unwrap().0
}

#[tokio::test]
async fn a_handler_is_not_cut_off_when_its_client_goes() {
    let hub = Hub::new();
    let (done, mut is_done) = mpsc::unbounded_channel();
    let (go, _) = tokio::sync::broadcast::channel::<()>(1);
    let waits = go.clone();
    let address = server(&hub, move |mut client: Client| {
        let (done, mut go) = (done.clone(), waits.subscribe());
        async move {
            client.next().await.unwrap();
            done.send("has the message").unwrap();
            go.recv().await.unwrap();
            assert!(client.next().await.is_none(), "the client is gone");
            done.send("has finished").unwrap();
        }
    })
    .await;
    let mut client = connect(address).await;
    client.send(Message::text("hello")).await.unwrap();
    assert_eq!(is_done.recv().await, Some("has the message"));
    client.close(None).await.unwrap();
    drop(client);
    go.send(()).unwrap();
    assert_eq!(is_done.recv().await, Some("has finished"));
}

#[tokio::test]
async fn what_a_handler_emits_last_is_written_before_the_connection_is_closed() {
    let hub = Hub::new();
    let cluster = Cluster::connect(Memory::new()).await.unwrap();
    let chat = cluster.namespace("/", hub.clone()).await.unwrap();
    let address = server(&hub, move |client: Client| {
        let chat = chat.clone();
        async move {
            for n in 0..100 {
                chat.to(client.id()).emit(format!("{n}")).await.unwrap();
            }
        }
    })
    .await;
    let mut client = connect(address).await;
    for n in 0..100 {
        assert_eq!(client.next().await.unwrap().unwrap(), Message::text(n.to_string()));
    }
    assert!(matches!(client.next().await, Some(Ok(Message::Close(_)))));
}

/// One that does not ask for the next message would otherwise keep its socket in its rooms.
#[tokio::test]
async fn a_client_that_is_gone_is_in_no_room_although_its_handler_goes_on() {
    let hub = Hub::new();
    let (goes_on, mut at_work) = mpsc::unbounded_channel();
    let address = server(&hub, move |client: Client| {
        let goes_on = goes_on.clone();
        async move {
            client.join("lobby").unwrap();
            goes_on.send(()).unwrap();
            std::future::pending::<()>().await;
        }
    })
    .await;
    let client = connect(address).await;
    at_work.recv().await.unwrap();
    assert_eq!(hub.stats().sockets, 1);
    drop(client);
    while hub.stats().sockets > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_handler_that_returns_closes_the_connection() {
    let hub = Hub::new();
    let address = server(&hub, |client: Client| async move { drop(client) }).await;
    let mut client = connect(address).await;
    let end = client.next().await;
    assert!(matches!(end, Some(Ok(Message::Close(_)))), "a closing handshake, and not {end:?}");
}

#[tokio::test]
async fn an_event_with_binary_data_is_its_json_and_then_the_data() {
    let hub = Hub::new();
    let cluster = Cluster::connect(Memory::new()).await.unwrap();
    let chat = cluster.namespace("/", hub.clone()).await.unwrap();
    let address = server(&hub, |mut client: Client| async move { while client.next().await.is_some() {} }).await;
    let mut client = connect(address).await;
    client.send(Message::text("I am there")).await.unwrap();
    while hub.stats().sockets == 0 {
        tokio::task::yield_now().await;
    }
    chat.emit(Packet::event("file", ("cat.png", Bytes::from_static(b"\x89PNG"))).unwrap()).await.unwrap();
    chat.emit_event("end", 7).await.unwrap();
    let mut next = async || client.next().await.unwrap().unwrap();
    assert_eq!(next().await, Message::text(r#"["file",["cat.png",{"_placeholder":true,"num":0}]]"#));
    assert_eq!(next().await, Message::binary(&b"\x89PNG"[..]));
    assert_eq!(next().await, Message::text(r#"["end",7]"#));
}

/// A client whose host has vanished neither closes nor replies to pings, and nobody emits.
#[tokio::test]
async fn a_client_that_is_silent_for_too_long_is_gone() {
    let hub = Hub::new();
    let (done, mut is_done) = mpsc::unbounded_channel();
    let address = server(&hub, move |mut client: Client| {
        let done = done.clone();
        async move {
            client.next().await.unwrap();
            done.send("is there").unwrap();
            assert!(client.next().await.is_none());
            done.send("is gone").unwrap();
        }
    })
    .await;
    let mut client = connect(address).await;
    client.send(Message::text("hello")).await.unwrap();
    assert_eq!(is_done.recv().await, Some("is there"));
    tokio::time::pause(); // the clock runs as fast as nothing happens
    let began = tokio::time::Instant::now();
    assert_eq!(is_done.recv().await, Some("is gone"));
    assert!(began.elapsed() >= Duration::from_secs(40), "not before it was pinged twice");
    drop(client);
}
