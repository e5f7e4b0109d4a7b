//! The guides name what exists: the calls in the tables of `docs/coming-from-*.md`, with these types, which only have to compile; and
//! the lines of the examples in `docs/from-one-server-to-many.md`.

use std::time::Duration;

use roomcast::socketioxide::{SocketIo, SocketRef, State};
use roomcast::{Bytes, Cluster, Emitter, Packet};

type Anything = Result<(), Box<dyn std::error::Error>>;

/// The column for socketioxide: `coming-from-redis-adapter.md`, `coming-from-sails.md`.
async fn by_io(io: SocketIo, socket: SocketRef, d: Duration, x: u64) -> Anything {
    io.emit("e", &x).await.ok();
    io.to(["r", "s"]).emit("e", &x).await.ok();
    io.except("r").emit("e", &x).await.ok();
    io.local().emit("e", &x).await.ok();
    io.volatile().emit("e", &x).await.ok();
    socket.to("r").emit("e", &x).await.ok();
    socket.to(["r", "s"]).emit("e", &x).await.ok();
    socket.broadcast().emit("e", &x).await.ok();
    let _stream = io.timeout(d).emit_with_ack::<_, String>("e", &x).await.ok();
    io.within("r").fetch_sockets().await?;
    io.within("r").join("s").await?;
    io.within("r").leave("s").await?;
    io.within("r").disconnect().await.ok();
    io.to(socket.id).emit("e", &x).await.ok();
    io.within(socket.id).join("r").await?;
    io.rooms().await?;
    io.sockets();
    socket.join("r");
    socket.leave("r");
    io.close().await;
    Ok(())
}

/// The column of the cluster's own handle.
async fn by_the_cluster(cluster: Cluster, url: &str, id: String, d: Duration, x: u64) -> Anything {
    let ns = cluster.of("/")?;
    ns.emit(Packet::event("e", x)?).await?;
    ns.to(["r", "s"]).emit(Packet::event("e", x)?).await?;
    ns.except("r").emit(Packet::event("e", x)?).await?;
    ns.local().emit(Packet::event("e", x)?).await?;
    ns.volatile().emit(Packet::event("e", x)?).await?;
    ns.to("r").except(&id).emit(Packet::event("e", x)?).await?;
    let _acks = ns.timeout(d).emit_with_ack(Packet::event("e", x)?).await?.gather().await;
    let _sockets = ns.within("r").fetch_sockets().await?;
    let _numbers = ns.within("r").count_sockets().await?;
    let _joined = ns.within("r").join_sockets("s").await?;
    let _left = ns.within("r").leave_sockets("s").await?;
    let _gone = ns.within("r").disconnect_sockets().await?;
    let _rooms = ns.rooms().await?;
    ns.server_side_emit("e", Bytes::new()).await?;
    let _replies = ns.server_side_emit_with_ack("e", Bytes::new(), d).await?;
    ns.on_server_event(|event| async move { drop(event.event) })?;
    let _count = cluster.nodes().len();
    let emitter = Emitter::connect(roomcast::backend(url)?).await?;
    emitter.of("/")?.to("r").emit(Packet::event("e", x)?).await?;
    cluster.close().await?;
    Ok(())
}

/// The options of `coming-from-socketioxide-redis.md`.
fn options(cluster: Cluster, d: Duration) -> State {
    State::new(cluster.into()).request_timeout(d)
}

#[test]
fn the_calls_of_the_guides_exist() {
    let _ = (by_io, by_the_cluster, options);
}

/// What a diff of the guide adds or keeps is a line of the application in whose section it is.
#[test]
fn the_lines_of_the_guide_are_those_of_the_examples() {
    let guide = include_str!("../docs/from-one-server-to-many.md");
    let messenger =
        concat!(include_str!("../examples/messenger/main.rs"), include_str!("../examples/messenger/presence.rs"));
    let todo = concat!(include_str!("../examples/todo/main.rs"), include_str!("../examples/todo/store.rs"));
    let whiteboard = include_str!("../examples/whiteboard.rs");
    let (_, sections) = guide.split_once("## Three applications").expect("the section");
    let (all, sections) = sections.split_once("### A messenger").expect("the section");
    let (of_messenger, sections) = sections.split_once("### A to-do list").expect("the section");
    let (of_todo, of_whiteboard) = sections.split_once("### A whiteboard").expect("the section");
    let mut seen = 0;
    for (text, source) in [(all, messenger), (of_messenger, messenger), (of_todo, todo), (of_whiteboard, whiteboard)] {
        for diff in text.split("```diff").skip(1) {
            let (diff, _) = diff.split_once("```").expect("its end");
            for line in diff.lines().filter(|line| !line.starts_with('-') && !line.trim().is_empty()) {
                let line = &line[1..];
                assert!(source.lines().any(|it| it == line), "no line of the example: {line:?}");
                seen += 1;
            }
        }
    }
    assert!(seen >= 15, "the diffs were not found: {seen}");
}
