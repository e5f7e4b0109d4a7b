#![doc = include_str!("../README.md")]

mod acks;
mod asked;
mod backlog;
mod between;
mod bridge;
mod delivery;
mod dialect;
mod error;
mod local;
mod losses;
mod news;
mod peers;
mod reader;
mod sockets;
mod state;
mod target;
mod value;

pub use acks::Acks;
pub use bridge::{Adapter, Attached};
pub use error::Error;
pub use news::tell_clients;
pub use state::State;

use socketioxide::adapter::Emitter;

/// socketioxide's server over the cluster. It is built by socketioxide's own `SocketIo::builder()`.
pub type SocketIo = socketioxide::SocketIo<Adapter<Emitter>>;
/// The builder of the server, after `with_adapter`.
pub type SocketIoBuilder = socketioxide::SocketIoBuilder<Adapter<Emitter>>;
/// The server as a layer of tower.
pub type SocketIoLayer = socketioxide::layer::SocketIoLayer<Adapter<Emitter>>;
/// The server as a service of tower, around the service `S`.
pub type SocketIoService<S> = socketioxide::service::SocketIoService<S, Adapter<Emitter>>;
/// A socket of this node, as handlers take it.
pub type SocketRef = socketioxide::extract::SocketRef<Adapter<Emitter>>;
/// The socket that a [`SocketRef`] dereferences to.
pub type Socket = socketioxide::socket::Socket<Adapter<Emitter>>;
/// Sends the ack of a client's event.
pub type AckSender = socketioxide::extract::AckSender<Adapter<Emitter>>;
/// A socket of any node, as `fetch_sockets` returns it.
pub type RemoteSocket = socketioxide::socket::RemoteSocket<Adapter<Emitter>>;
/// Sockets selected by `to`, `within`, `except` and so on.
pub type BroadcastOperators = socketioxide::operators::BroadcastOperators<Adapter<Emitter>>;
/// One socket with a timeout or flags, as `socket.timeout(..)` and `socket.volatile()` return it.
pub type ConfOperators<'a> = socketioxide::operators::ConfOperators<'a, Adapter<Emitter>>;
/// The stream of acks of a broadcast.
pub type AckStream<T> = socketioxide::ack::AckStream<T, Adapter<Emitter>>;
