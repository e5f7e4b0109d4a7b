use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use roomcast_core::adapter::{Observer, Passed, Sight, SocketChange};
use roomcast_core::{Cluster, Emitter, ErrorKind, Memory, NodeId, Packet};

use crate::support::{eventually, next, three};

/// What was seen, in short.
struct Recorder(Sender<(NodeId, String)>);

impl Observer for Recorder {
    fn saw(&self, passed: &Passed<'_>) {
        let what = match passed.what {
            Sight::Broadcast(packet) => format!("emit {:?}", packet.data),
            Sight::BroadcastWithAck(packet) => format!("ask {:?}", packet.data),
            Sight::Change(SocketChange::Disconnect) => "disconnect".to_owned(),
            Sight::Change(change) => format!("{change:?}"),
            Sight::ServerEvent { event, .. } => format!("event {event}"),
            _ => "something else".to_owned(),
        };
        let rooms = passed.target.and_then(|target| target.rooms.clone()).unwrap_or_default();
        let rooms: Vec<_> = rooms.iter().map(|room| room.as_str()).collect();
        self.0.send((passed.from, format!("{what} {} {rooms:?}", passed.namespace))).unwrap();
    }
}

fn recorder() -> (Recorder, Receiver<(NodeId, String)>) {
    let (sender, receiver) = channel();
    (Recorder(sender), receiver)
}

#[tokio::test]
async fn an_observer_sees_every_namespace_in_order() {
    let [one, two, three] = three().await;
    let (recorder, seen) = recorder();
    three.cluster.observe(recorder).unwrap();
    let id = one.cluster.node().id;
    one.cluster.of("/nobody/listens").unwrap().to("a").emit("x").await.unwrap();
    one.chat.server_side_emit("recompute", "").await.unwrap();
    let acks = one.chat.to("b").timeout(Duration::from_secs(5)).emit_with_ack("y").await.unwrap();
    assert_eq!(acks.gather().await.missing, []);
    let _ = one.chat.within("c").on_node(two.cluster.node().id).disconnect_sockets().await.unwrap();
    three.chat.emit("its own").await.unwrap();
    let _ = one.chat.count_sockets().await.unwrap(); // a question, behind everything: three has answered it
    let seen: Vec<_> = seen.try_iter().collect();
    let expected = [
        r#"emit b"x" /nobody/listens ["a"]"#,
        "event recompute /chat []",
        r#"ask b"y" /chat ["b"]"#,
        r#"disconnect /chat ["c"]"#,
    ];
    assert_eq!(seen, expected.map(|text| (id, text.to_owned())));
}

#[tokio::test]
async fn an_observer_sees_emitters() {
    let broker = Memory::new();
    let node = Cluster::connect(broker.clone()).await.unwrap();
    let (recorder, seen) = recorder();
    node.observe(recorder).unwrap();
    let emitter = Emitter::connect(broker).await.unwrap();
    emitter.of("/").unwrap().emit(Packet::event("news", 1).unwrap()).await.unwrap();
    let mut told = Vec::new();
    eventually(|| {
        told.extend(seen.try_iter());
        !told.is_empty()
    })
    .await;
    assert_eq!(told[0].1, r#"emit b"[\"news\",1]" / []"#);
}

#[tokio::test]
async fn an_observer_that_panics_is_counted_and_stops_nothing() {
    struct Bad;
    impl Observer for Bad {
        fn saw(&self, _: &Passed<'_>) {
            panic!("as a test");
        }
    }
    let [one, _two, three] = three().await;
    three.cluster.observe(Bad).unwrap();
    assert_eq!(three.cluster.observe(Bad).unwrap_err().kind(), ErrorKind::Config);
    let mut socket = three.socket(["room"]);
    one.chat.to("room").emit("x").await.unwrap();
    assert_eq!(next(&mut socket).await, "x");
    assert_eq!(three.cluster.stats().panics, 1);
    three.cluster.close().await.unwrap();
    assert_eq!(three.cluster.observe(Bad).unwrap_err().kind(), ErrorKind::Closed);
}
