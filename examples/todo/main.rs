//! A to-do list on any number of servers: every request has an acknowledgement, and changes reach everybody else.
//!
//! ```sh
//! export STORE=postgres://postgres:secret@127.0.0.1/postgres
//! cargo run --example todo -- --store $STORE --adapter $STORE --port 3001
//! cargo run --example todo -- --store $STORE --adapter $STORE --port 3002   # --adapter may be another broker, such as redis://127.0.0.1
//! ```
//!
//! The list is in PostgreSQL, because what every server changes has to be in one place. Each entry has a revision. An update says which one it
//! has seen, so that none overwrites another unseen; and since changes from two servers may arrive in either order, a client
//! keeps the higher revision.
//!
//! A client sends `list`, `read id`, `create {title}`, `update {id, revision, title?, done?}` and `delete id`. The ack is `{Ok}` or `{Err: {kind, ..}}`.
//! It gets `created entry`, `updated entry` and `deleted id` for what others do.

#[path = "../applications/server.rs"]
mod server;
mod store;

use axum::Router;
use roomcast::socketioxide::{AckSender, Adapter, SocketRef};
use serde::Serialize;
use socketioxide::SocketIo;
use socketioxide::extract::{State, TryData};
use socketioxide::handler::ConnectHandler;
use store::{Create, Failure, List, Update};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let options = server::Options::read(&["--store"])?;
    let list = List::open(options.get("--store")?).await?;
    let listener = options.listen().await?; // before the cluster is joined
    let cluster = options.join("todo").await?;
    let (layer, io) =
        SocketIo::builder().with_state(list).with_adapter::<Adapter<_>>(cluster.clone().into()).build_layer();
    io.ns("/", (async || {}).with(listen)).await?;
    server::run(listener, Router::new().layer(layer), io, cluster).await
}

async fn listen(socket: SocketRef) -> Result<(), std::convert::Infallible> {
    socket.on("list", list);
    socket.on("read", read);
    socket.on("create", create);
    socket.on("update", update);
    socket.on("delete", delete);
    Ok(())
}

async fn list(State(list): State<List>, ack: AckSender) {
    ack.send(&list.all().await).ok();
}

async fn read(TryData(id): TryData<i32>, State(list): State<List>, ack: AckSender) {
    ack.send(&list.read(id).await).ok();
}

async fn create(socket: SocketRef, TryData(new): TryData<Create>, State(list): State<List>, ack: AckSender) {
    answer(socket, ack, "created", list.create(new).await).await;
}

async fn update(socket: SocketRef, TryData(wish): TryData<Update>, State(list): State<List>, ack: AckSender) {
    answer(socket, ack, "updated", list.update(wish).await).await;
}

async fn delete(socket: SocketRef, TryData(id): TryData<i32>, State(list): State<List>, ack: AckSender) {
    answer(socket, ack, "deleted", list.delete(id).await).await;
}

/// Tells everybody else on every server what has changed, and the client what has become of its request.
async fn answer<T: Serialize>(socket: SocketRef, ack: AckSender, event: &str, outcome: Result<T, Failure>) {
    if let Ok(change) = &outcome
        && let Err(error) = socket.broadcast().emit(event, change).await
    {
        eprintln!("not told to everybody: {error}"); // it is done all the same
    }
    ack.send(&outcome).ok();
}
