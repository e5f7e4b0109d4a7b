use roomcast::{Emitter, Packet};
use serde_json::{Value, json};

use crate::support::{Running, Server, redis, roomcast};

#[tokio::test]
async fn watch_shows_packets_of_every_namespace_and_nodes_that_come() {
    let broker = redis().await;
    let url = broker.url();
    let server = Server::named("web-1", &url).await;
    let mut watch = Running::start(&url, &["watch", "--json"], "other nodes: 1").await;
    let id = server.cluster.node().id.to_string();
    let common = |object: &Value| {
        assert!(object["at"].as_u64().is_some_and(|at| at > 1_700_000_000_000));
        assert_eq!((&object["from"], &object["node"]), (&json!(id), &json!("web-1")));
        let mut rest = object.clone();
        for name in ["at", "from", "node"] {
            rest.as_object_mut().unwrap().remove(name);
        }
        rest
    };

    server.chat.to(["lobby", "game"]).except("muted").emit(Packet::event("news", [1]).unwrap()).await.unwrap();
    let expected = json!({ "type": "emit", "namespace": "/chat", "to": ["lobby", "game"], "except": ["muted"],
                           "event": "news", "args": [[1]], "ack": false });
    assert_eq!(common(&watch.object().await), expected);

    server.cluster.of("/elsewhere").unwrap().emit("\u{1b}[2J").await.unwrap();
    let expected = json!({ "type": "emit", "namespace": "/elsewhere", "to": null, "except": [], "text": "\u{1b}[2J", "ack": false });
    assert_eq!(common(&watch.object().await), expected);

    let _ = server.chat.within("lobby").join_sockets("late").await.unwrap();
    assert_eq!(common(&watch.object().await)["rooms"], json!(["late"]));
    server.chat.server_side_emit("recompute", "now").await.unwrap();
    let expected = json!({ "type": "server_event", "namespace": "/chat", "event": "recompute", "data": "now" });
    assert_eq!(common(&watch.object().await), expected);

    let other = Server::named("web-2", &url).await;
    let came = watch.object().await;
    assert_eq!((&came["type"], &came["event"]), (&json!("event"), &json!("node_up")));
    assert!(came["text"].as_str().unwrap().contains("web-2"));
    other.cluster.close().await.unwrap();
    assert_eq!(watch.object().await["event"], "node_down");
    watch.interrupt().await;
    assert_eq!(watch.ended().await, 0);
    server.cluster.close().await.unwrap();
}

#[tokio::test]
async fn filters_choose_namespace_room_and_event() {
    let broker = redis().await;
    let url = broker.url();
    let server = Server::named("web-1", &url).await;
    let arguments = ["watch", "-n", "chat", "-r", "lobby", "-e", "news", "--packets-only", "--count", "2"];
    let mut watch = Running::start(&url, &arguments, "other nodes: 1").await;
    let emit = async |namespace: &str, room: &str, event: &str, number: u32| {
        let packet = Packet::event(event, number).unwrap();
        server.cluster.of(namespace).unwrap().to(room).emit(packet).await.unwrap();
    };
    emit("/shop", "lobby", "news", 1).await;
    emit("/chat", "game", "news", 2).await;
    emit("/chat", "lobby", "said", 3).await;
    emit("/chat", "lobby", "news", 4).await;
    server.chat.emit(Packet::event("news", 5).unwrap()).await.unwrap();
    let emitter = Emitter::connect(roomcast::backend(&url).unwrap()).await.unwrap();
    emitter.of("/chat").unwrap().to("lobby").emit(Packet::event("news", "\u{1b}[2J").unwrap()).await.unwrap();
    let line = watch.line().await;
    let words: Vec<_> = line.split_whitespace().skip(1).collect();
    assert_eq!(words, ["web-1", "/chat", "to", "lobby", "news", "4"]);
    let line = watch.line().await;
    assert!(line.contains("to lobby") && line.ends_with(r#"news "\u001b[2J""#), "{line}");
    assert_eq!(watch.ended().await, 0, "two were enough");
    server.cluster.close().await.unwrap();
}

#[tokio::test]
async fn the_observer_has_no_sockets_and_leaves_with_a_goodbye() {
    let broker = redis().await;
    let url = broker.url();
    let server = Server::named("web-1", &url).await;
    let _socket = server.socket("a", ["lobby"]);
    let watch = Running::start(&url, &["watch"], "other nodes: 1").await;
    assert_eq!(server.cluster.nodes().len(), 2);
    let sockets = server.chat.fetch_sockets().await.unwrap();
    assert!(sockets.is_complete() && sockets.items.len() == 1);
    let counted = server.chat.count_sockets().await.unwrap();
    assert!(counted.is_complete() && counted.total() == 1);
    let joined = server.chat.within("lobby").join_sockets("late").await.unwrap();
    assert!(joined.is_complete() && joined.items.len() == 2);
    let mut events = server.cluster.events();
    watch.interrupt().await;
    let gone = crate::support::soon(events.next()).await.unwrap();
    assert!(gone.to_string().contains("(roomcast-cli) is down: it left"), "{gone}");
    assert_eq!(watch.ended().await, 0);
    let listed = roomcast(&url, &["nodes", "--json"]).await.objects();
    assert_eq!(listed.len(), 1, "neither is in the list");
    server.cluster.close().await.unwrap();
}
