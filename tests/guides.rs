//! The calls that the tables of `docs/coming-from-*.md` name exist, with these types. Nothing here runs: it has to compile.

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
