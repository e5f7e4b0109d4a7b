//! Roomcast under [socketioxide]: many Socket.IO servers act as one, over any broker.
//!
//! ```
//! use adapter_core::{Cluster, Memory};
//! use adapter_socketioxide::Adapter;
//! use socketioxide::SocketIo;
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), adapter_core::Error> {
//! let cluster = Cluster::connect(Memory::new()).await?; // or any broker
//! let (layer, io) = SocketIo::builder().with_adapter::<Adapter<_>>(cluster.into()).build_layer();
//! # let _ = (layer, io); Ok(()) }
//! ```
//!
//! That is the one line that changes. Everything else is socketioxide's own: `io.to("room").emit(..)` now reaches the
//! sockets of every node, `fetch_sockets` finds them all, acknowledgements come from all of them.
//!
//! # Handlers
//! `SocketRef` without an argument means socketioxide's own local adapter, so handlers have to be generic:
//!
//! ```
//! use socketioxide::{adapter::Adapter, extract::SocketRef};
//!
//! async fn on_connect<A: Adapter>(socket: SocketRef<A>) {
//!     socket.join("news");
//! }
//! ```
//!
//! or to use the names of this crate instead of socketioxide's:
//!
//! ```
//! use adapter_socketioxide::SocketRef;
//!
//! async fn on_connect(socket: SocketRef) {
//!     socket.join("news");
//! }
//! ```
//!
//! socketioxide calls a connect handler after it has told the client that it is connected, so on a busy machine a client's
//! first event can come before the listener. A middleware runs before:
//!
//! ```
//! use std::convert::Infallible;
//!
//! use adapter_socketioxide::{SocketIo, SocketRef};
//! use socketioxide::handler::ConnectHandler;
//!
//! async fn listen(socket: SocketRef) -> Result<(), Infallible> {
//!     socket.on("say", async || {});
//!     Ok(())
//! }
//!
//! async fn on_connect(socket: SocketRef) {
//!     socket.join("news");
//! }
//!
//! # async fn serve(io: SocketIo) -> Result<(), adapter_socketioxide::Error> {
//! io.ns("/", on_connect.with(listen)).await?;
//! # Ok(()) }
//! ```
//!
//! # What differs from a single server
//! - Every socket is alone in the room named by its id: `io.to(id)`, `io.except(id)` reach it on whichever node it is.
//!   With socketioxide alone it has to join that room first; an application that does so still works.
//! - `emit` does not wait for the broker, only for room in the outgoing queue ([`State::emit_timeout`]). Local sockets
//!   are served in any case; an error says that the others were not.
//! - A dynamic namespace exists on a node once a client has opened it there; what is sent to it elsewhere is no error.
//! - `io.close()` and dropping the server take its sockets out of the cluster, and leave the cluster itself open.
//! - Nodes that do not answer are logged by name: socketioxide's types cannot carry them.
//! - All nodes should use the same parser in a namespace. If not, what has no binary data is translated, and the rest is
//!   dropped, counted ([`State::refused`]) and logged once.
//! - socketioxide has no `server_side_emit`; the cluster has, for the same namespaces.
//! - Joins cannot be observed here, so the cluster sends everything to every node.
//!
//! # Versions
//! Patch releases of socketioxide change the interface for adapters. Each release of this crate is for exactly one of
//! them, 0.18.9 now, and holds the application there.

mod acks;
mod asked;
mod backlog;
mod bridge;
mod delivery;
mod dialect;
mod error;
mod local;
mod losses;
mod peers;
mod reader;
mod sockets;
mod state;
mod target;
mod value;

pub use acks::Acks;
pub use bridge::{Adapter, Attached};
pub use error::Error;
pub use state::State;

use socketioxide::adapter::Emitter;

/// socketioxide's server over the cluster.
pub type SocketIo = socketioxide::SocketIo<Adapter<Emitter>>;
/// A socket of this node.
pub type SocketRef = socketioxide::extract::SocketRef<Adapter<Emitter>>;
/// A socket of any node, as `fetch_sockets` returns it.
pub type RemoteSocket = socketioxide::socket::RemoteSocket<Adapter<Emitter>>;
/// Sockets selected by `to`, `within`, `except` and so on.
pub type BroadcastOperators = socketioxide::operators::BroadcastOperators<Adapter<Emitter>>;
/// The answers to a broadcast.
pub type AckStream<T> = socketioxide::ack::AckStream<T, Adapter<Emitter>>;
