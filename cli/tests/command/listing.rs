use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use roomcast::adapter::{Acks, LocalSocket, LocalSockets, Projection, Target};
use roomcast::{Cluster, Packet, Room};
use serde_json::{Value, json};
use tokio::sync::oneshot;

use crate::support::{Server, redis, roomcast, soon};

#[tokio::test]
async fn nodes_sockets_and_rooms_are_those_of_the_servers() {
    let broker = redis().await;
    let url = broker.url();
    let [one, two] = [Server::named("web-1", &url).await, Server::named("web-2", &url).await];
    let (_a, b) = (one.socket("a", ["lobby"]), two.socket("b", ["lobby", "game"]));
    b.set_data(r#"{"user":7}"#).unwrap();
    let _c = one.socket("c", []);
    let [first, second] = [&one, &two].map(|server| json!(server.cluster.node().id.to_string()));

    let nodes = roomcast(&url, &["nodes", "-n", "/chat", "--json"]).await;
    assert_eq!(nodes.code, 0, "{nodes:?}");
    let seen: Vec<_> =
        nodes.objects().iter().map(|node| json!([node["node"], node["name"], node["sockets"]])).collect();
    assert_eq!(seen, [json!([first, "web-1", 2]), json!([second, "web-2", 1])]);
    assert!(nodes.objects().iter().all(|node| node["reply_ms"].as_f64().is_some_and(|ms| ms > 0.0)));
    let text = roomcast(&url, &["nodes"]).await.out;
    assert_eq!(text.lines().count(), 3, "{text}");

    let sockets = roomcast(&url, &["sockets", "-n", "/chat", "--room", "lobby", "--json"]).await;
    let mut seen = sockets.objects();
    seen.sort_by_key(|socket| socket["socket"].to_string());
    let socket = |id: &str, node: &Value, name: &str, rooms: Value, data: Value| json!({ "type": "socket", "socket": id, "node": node, "name": name, "rooms": rooms, "data": data });
    let expected = [
        socket("a", &first, "web-1", json!(["lobby"]), Value::Null),
        socket("b", &second, "web-2", json!(["game", "lobby"]), json!({ "user": 7 })),
    ];
    assert_eq!((sockets.code, seen), (0, expected.to_vec()));

    let rooms = roomcast(&url, &["rooms", "-n", "/chat"]).await;
    let lines: Vec<Vec<_>> = rooms.out.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines, [["ROOM", "SOCKETS", "NODES"], ["game", "1", "1"], ["lobby", "2", "2"]]);
    let rooms = roomcast(&url, &["rooms", "-n", "/chat", "-r", "game", "--json"]).await.objects();
    assert_eq!(rooms[1], json!({ "type": "room", "room": "lobby", "sockets": 1, "nodes": 1 }));

    for server in [one, two] {
        server.cluster.close().await.unwrap();
    }
}

#[tokio::test]
async fn what_clients_have_chosen_does_nothing_to_the_terminal() {
    let broker = redis().await;
    let url = broker.url();
    let server = Server::named("web\u{1b}[31m", &url).await;
    let socket = server.socket("a", ["\u{1b}]0;title\u{7}"]);
    socket.set_data("\u{1b}[2J\nnext").unwrap();
    for command in ["nodes", "sockets", "rooms"] {
        let out = roomcast(&url, &[command, "-n", "/chat"]).await.out;
        assert!(!out.contains(['\u{1b}', '\u{7}']), "{command}: {out:?}");
        assert_eq!(out.lines().count(), 2, "{command}: {out:?}");
    }
    server.cluster.close().await.unwrap();
}

/// Sockets of a server that is stuck: each question about them is answered when the test lets it go on.
struct Stuck(Mutex<(Receiver<()>, Option<oneshot::Sender<()>>)>);

impl LocalSockets for Stuck {
    fn broadcast(&self, _: &Target, _: &Packet) {}
    fn broadcast_with_ack(&self, _: &Target, _: &Packet, _: Duration, _: Acks) {}
    fn join(&self, _: &Target, _: &[Room]) {}
    fn leave(&self, _: &Target, _: &[Room]) {}
    fn disconnect(&self, _: &Target) {}
    fn sockets(&self, _: &Target, _: Projection) -> Vec<LocalSocket> {
        let (go_on, end) = &mut *self.0.lock().unwrap();
        if go_on.recv().is_err() {
            let _ = end.take().map(|end| end.send(()));
        }
        Vec::new()
    }
    fn rooms(&self, _: &Target) -> Vec<Room> {
        Vec::new()
    }
}

/// A server in a thread of its own, which alone is held up. It leaves when `go_on` ends.
fn stuck(url: String) -> (String, Sender<()>, JoinHandle<()>) {
    let ((go_on, waits), (tell, told)) = (channel(), channel());
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let builder = Cluster::builder().node_name("stuck");
            let cluster = builder.connect(roomcast::backend(&url).unwrap()).await.unwrap();
            let (end, ended) = oneshot::channel();
            let sockets = Stuck(Mutex::new((waits, Some(end))));
            let _chat = cluster.namespace("/chat", sockets).await.unwrap();
            tell.send(cluster.node().id.to_string()).unwrap();
            ended.await.unwrap();
            cluster.close().await.unwrap();
        });
    });
    (told.recv().unwrap(), go_on, thread)
}

#[tokio::test]
async fn a_server_that_does_not_reply_makes_the_answer_partial() {
    let broker = redis().await;
    let url = broker.url();
    let good = Server::named("good", &url).await;
    let _socket = good.socket("a", ["lobby"]);
    let (id, go_on, thread) = stuck(url.clone());

    let ended = roomcast(&url, &["sockets", "-n", "/chat", "--timeout", "1.5"]).await;
    assert!(ended.code == 4 && ended.out.contains("lobby") && ended.complaint().contains(&id), "{ended:?}");
    go_on.send(()).unwrap();
    soon(both(&good.cluster)).await;
    let ended = roomcast(&url, &["nodes", "-n", "/chat", "--timeout", "1.5"]).await;
    let line = ended.out.lines().find(|line| line.starts_with("stuck")).unwrap_or_default();
    assert!(ended.code == 4 && line.contains(&id) && line.contains('?'), "{ended:?}");
    go_on.send(()).unwrap();
    soon(both(&good.cluster)).await;
    let ended = roomcast("", &["doctor", &url, "--json"]).await;
    assert_eq!(ended.code, 0, "it replies where it has no sockets: {ended:?}");
    drop(go_on);
    let _ = good.chat.timeout(Duration::from_secs(60)).count_sockets().await.unwrap(); // it looks, and ends
    thread.join().unwrap();
    good.cluster.close().await.unwrap();
}

/// Waits until both servers know each other.
async fn both(cluster: &Cluster) {
    let mut events = cluster.events();
    while cluster.nodes().len() < 2 {
        events.next().await;
    }
}
