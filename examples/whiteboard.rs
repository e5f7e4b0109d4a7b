//! A whiteboard on any number of servers, over msgpack: what one client draws, all others in the room get, and a newcomer gets the
//! board so far from one of them, on whichever server that is.
//!
//! ```sh
//! cargo run --example whiteboard -- --port 3001
//! cargo run --example whiteboard -- --port 3002   # --adapter URL takes another broker than Redis on this machine
//! ```
//!
//! A client has `parser: msgpack` of `socket.io-msgpack-parser`, and connects with `auth: { room }`. It sends `draw stroke`, where a stroke is binary
//! data that the server does not look into; the ack says whether it was taken. It gets `drawn [stroke, ..]` of the others, and first of all `board [stroke, ..]`. It
//! answers `recall` with the list of all strokes that it knows. A stroke can come both ways: to draw it twice changes nothing.
//! What is on its way from a third server while somebody enters can be missing there. A board that must be complete belongs in a database.

use std::time::Duration;

use axum::Router;
use bytes::Bytes;
use roomcast::socketioxide::{AckSender, Adapter, BroadcastOperators, SocketRef};
use serde::Deserialize;
use socketioxide::extract::Data;
use socketioxide::handler::ConnectHandler;
use socketioxide::{ParserConfig, SocketIo};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};

#[path = "applications/server.rs"]
mod server;

/// How often what a client draws is passed on at most: what it draws in between goes as one event.
const BEAT: Duration = Duration::from_millis(40);
/// How many strokes of a client wait for that. A client draws slower when its strokes are not taken.
const WAITING: usize = 256;
const LONGEST_STROKE: usize = 4 << 10;
/// A client that answers with its board sends it as one packet.
const LARGEST_BOARD: u64 = 4 << 20;
/// How long a newcomer waits for one of the others; then another is asked.
const PATIENCE: Duration = Duration::from_secs(1);
const MOST_ASKED: usize = 3;

#[derive(Deserialize)]
struct Enter {
    room: String,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let options = server::Options::read(&[])?;
    let listener = options.listen().await?; // before the cluster is joined
    let cluster = options.join("whiteboard").await?;
    let (layer, io) = SocketIo::builder()
        .with_parser(ParserConfig::msgpack()) // the same on every server
        .max_payload(LARGEST_BOARD)
        .with_adapter::<Adapter<_>>(cluster.clone().into())
        .build_layer();
    io.ns("/", enter.with(listen)).await?;
    server::run(listener, Router::new().layer(layer), io, cluster).await
}

async fn listen(socket: SocketRef, Data(Enter { room }): Data<Enter>) -> Result<(), &'static str> {
    if room.is_empty() || room.len() > 64 {
        return Err("a room has 1 to 64 bytes");
    }
    let (pen, strokes) = mpsc::channel(WAITING);
    tokio::spawn(pass_on(strokes, socket.to(room)));
    socket.on("draw", move |Data::<Bytes>(stroke), ack: AckSender| {
        // Here, and not in the async block: strokes come in order, and the blocks run at the same time.
        let taken = stroke.len() <= LONGEST_STROKE && pen.try_send(stroke).is_ok();
        async move {
            ack.send(&taken).ok();
        }
    });
    Ok(())
}

/// Emits what a client draws to the others of its room, in order. Ends with the client, whose listener has the pen.
async fn pass_on(mut strokes: mpsc::Receiver<Bytes>, others: BroadcastOperators) {
    let mut beat = interval(BEAT);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut drawn = Vec::new();
    while strokes.recv_many(&mut drawn, WAITING).await > 0 {
        if let Err(error) = others.clone().emit("drawn", &drawn).await {
            eprintln!("not sent to everybody: {error}");
        }
        drawn.clear();
        beat.tick().await;
    }
}

/// Joins first, and asks then: what is drawn from now on arrives by itself.
async fn enter(socket: SocketRef, Data(Enter { room }): Data<Enter>) {
    socket.join(room.clone());
    socket.emit("board", &board_of_another(&socket, room).await.unwrap_or_default()).ok();
}

/// The board as another client of the room has it, on whichever server that is.
async fn board_of_another(socket: &SocketRef, room: String) -> Option<Vec<Bytes>> {
    for other in socket.to(room).fetch_sockets().await.ok()?.iter().take(MOST_ASKED) {
        let other = socket.to(other.data().id).timeout(PATIENCE);
        if let Ok(board) = other.emit_with_ack("recall", &()).await.ok()?.await {
            return Some(board);
        }
    }
    None
}
