//! The same over each broker.

use roomcast::Packet;
use roomcast_conformance::{Broker, Recipe, recipes};

use crate::support::{Running, Server, next, roomcast};

async fn works_over(recipe: Recipe) {
    let broker = Broker::start(&recipe).await.unwrap_or_else(|missing| panic!("{missing}"));
    works_at(&format!("{}?cluster=command", broker.url())).await;
}

async fn works_at(url: &str) {
    let server = Server::named("web-1", url).await;
    let mut socket = server.socket("a", ["lobby"]);

    let broker = server.cluster.status().broker.expect("each of them says what it is");
    let top = roomcast(url, &["top", "--json", "--count", "1", "--timeout", "30"]).await;
    assert_eq!(top.objects()[0]["broker"], broker.to_string(), "{top:?}");
    let doctor = roomcast("", &["doctor", url, "--timeout", "30"]).await;
    assert!(doctor.code == 0 && doctor.out.contains("web-1; all reply"), "{doctor:?}");
    assert!(!doctor.out.contains("FAIL"), "{doctor:?}");
    let emitted = roomcast(url, &["emit", "-n", "/chat", "-r", "lobby", "news", "1", "--timeout", "30"]).await;
    assert_eq!((emitted.code, next(&mut socket).await.as_str()), (0, r#"["news",1]"#), "{emitted:?}");
    let sockets = roomcast(url, &["sockets", "-n", "/chat", "--timeout", "30", "--json"]).await;
    assert_eq!((sockets.code, &sockets.objects()[0]["socket"]), (0, &"a".into()), "{sockets:?}");
    let watch = ["watch", "--timeout", "30", "--json", "--count", "1", "--packets-only"];
    let mut watch = Running::start(url, &watch, "other nodes: 1").await;
    server.chat.emit(Packet::event("said", 2).unwrap()).await.unwrap();
    assert_eq!(watch.object().await["args"], serde_json::json!([2]));
    assert_eq!(watch.ended().await, 0);
    server.cluster.close().await.unwrap();
}

#[tokio::test]
async fn nats() {
    works_over(recipes::nats()).await;
}

#[tokio::test]
async fn rabbitmq() {
    works_over(recipes::rabbitmq()).await;
}

#[tokio::test]
async fn postgres() {
    works_over(recipes::postgres()).await;
}

#[tokio::test]
async fn redis_with_streams() {
    let broker = crate::support::redis().await;
    works_at(&broker.url().replace("redis://", "redis+streams://")).await;
}
