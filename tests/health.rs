//! The health routes, asked over HTTP.

#![expect(clippy::unwrap_used, reason = "tests: an error is a failure")]

use std::net::SocketAddr;

use roomcast::{Cluster, Memory, WhenUnreachable};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

async fn serve(cluster: Cluster) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app: axum::Router = roomcast::health::router(cluster);
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

async fn get(address: SocketAddr, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).await.unwrap();
    let (head, body) = reply.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

#[tokio::test]
async fn a_node_that_is_up_is_live_and_ready_until_it_has_left() {
    let cluster = Cluster::builder().node_name("web-1").connect(Memory::new()).await.unwrap();
    let address = serve(cluster.clone()).await;
    assert_eq!(get(address, "/livez").await.0, 200);
    assert_eq!(get(address, "/readyz").await, (200, "ready: 1 nodes\n".to_owned()));
    let (code, body) = get(address, "/status").await;
    let status: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!((code, &status["state"], &status["node"]["name"]), (200, &"up".into(), &"web-1".into()));

    cluster.close().await.unwrap();
    assert_eq!((get(address, "/livez").await.0, get(address, "/readyz").await.0), (503, 503));
    assert_eq!(get(address, "/status").await.0, 200);
}

#[tokio::test]
async fn a_node_that_waits_for_its_broker_is_live_and_not_ready_and_shows_no_secret() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap(); // closed at once
    let url = format!("redis://user:wonderland@{nobody}");
    let builder = Cluster::builder().when_unreachable(WhenUnreachable::ServeLocally);
    let cluster = builder.connect(roomcast::backend(&url).unwrap()).await.unwrap();
    let address = serve(cluster.clone()).await;
    assert_eq!(get(address, "/livez").await.0, 200);
    let (code, why) = get(address, "/readyz").await;
    assert!(code == 503 && why.contains("has waited for the broker") && why.contains(&nobody.to_string()), "{why}");
    let (_, status) = get(address, "/status").await;
    assert!(status.contains("\"state\":\"joining\""), "{status}");
    assert!(!(why + &status).contains("wonderland"));
    cluster.close().await.unwrap();
}
