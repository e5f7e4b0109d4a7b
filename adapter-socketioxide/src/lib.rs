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
mod route;
mod sockets;
mod state;
mod target;
mod value;

pub use acks::Acks;
pub use bridge::{Adapter, Attached};
pub use error::Error;
pub use news::tell_clients;
pub use state::State;

/// socketioxide's server over the cluster: what handlers take, and what a `State` of axum holds. It is built by socketioxide's own
/// `SocketIo::builder()`.
///
/// # Examples
/// ```
/// use roomcast_socketioxide::SocketIo;
///
/// async fn news(axum::extract::State(io): axum::extract::State<SocketIo>) {
///     io.emit("news", "we open at nine").await.ok();
/// }
/// # let _ = axum::Router::<SocketIo>::new().route("/news", axum::routing::post(news));
/// ```
pub type SocketIo = socketioxide::SocketIo<Adapter>;

/// The builder of the server, after `with_adapter`.
///
/// # Examples
/// ```
/// # use roomcast_core::Cluster;
/// use roomcast_socketioxide::{Adapter, SocketIoBuilder};
///
/// fn builder(cluster: Cluster) -> SocketIoBuilder {
///     socketioxide::SocketIo::builder().with_adapter::<Adapter<_>>(cluster.into())
/// }
/// ```
pub type SocketIoBuilder = socketioxide::SocketIoBuilder<Adapter>;

/// The server as a layer of tower.
///
/// # Examples
/// ```
/// # use roomcast_socketioxide::SocketIoBuilder;
/// use roomcast_socketioxide::{SocketIo, SocketIoLayer};
///
/// # fn example(builder: SocketIoBuilder) {
/// let (layer, io): (SocketIoLayer, SocketIo) = builder.build_layer();
/// let app: axum::Router = axum::Router::new().layer(layer).with_state(io);
/// # }
/// ```
pub type SocketIoLayer = socketioxide::layer::SocketIoLayer<Adapter>;

/// The server as a service of tower, around the service `S`.
///
/// # Examples
/// ```
/// # use roomcast_socketioxide::SocketIoBuilder;
/// use roomcast_socketioxide::SocketIoService;
///
/// fn service<S: Clone>(builder: SocketIoBuilder, inner: S) -> SocketIoService<S> {
///     builder.build_with_inner_svc(inner).0
/// }
/// ```
pub type SocketIoService<S> = socketioxide::service::SocketIoService<S, Adapter>;

/// A socket of this node, as handlers take it.
///
/// # Examples
/// ```
/// use roomcast_socketioxide::SocketRef;
///
/// async fn connected(socket: SocketRef) {
///     socket.join("lobby");
///     socket.to("lobby").emit("joined", &socket.id).await.ok(); // on every server
/// }
/// ```
pub type SocketRef = socketioxide::extract::SocketRef<Adapter>;

/// The socket that a [`SocketRef`] dereferences to: for functions that need no more than a reference.
///
/// # Examples
/// ```
/// use roomcast_socketioxide::{Socket, SocketRef};
///
/// fn in_lobby(socket: &Socket) -> bool {
///     socket.rooms().iter().any(|room| room == "lobby")
/// }
///
/// async fn say(socket: SocketRef) {
///     println!("{}", in_lobby(&socket));
/// }
/// ```
pub type Socket = socketioxide::socket::Socket<Adapter>;

/// Sends the ack of a client's event.
///
/// # Examples
/// ```
/// use roomcast_socketioxide::AckSender;
/// use socketioxide::extract::Data;
///
/// async fn double(Data(number): Data<u32>, ack: AckSender) {
///     ack.send(&(2 * number)).ok();
/// }
/// ```
pub type AckSender = socketioxide::extract::AckSender<Adapter>;

/// A socket of any node, as `fetch_sockets` returns it.
///
/// # Examples
/// ```
/// use roomcast_socketioxide::{RemoteSocket, SocketIo};
///
/// async fn one_of(io: SocketIo, room: String) -> Option<RemoteSocket> {
///     io.within(room).fetch_sockets().await.ok()?.pop()
/// }
/// ```
pub type RemoteSocket = socketioxide::socket::RemoteSocket<Adapter>;

/// Sockets selected by `to`, `within`, `except` and so on. It holds neither the sockets nor the one that selected them, so a task may
/// keep it.
///
/// # Examples
/// ```
/// use roomcast_socketioxide::{BroadcastOperators, SocketRef};
///
/// async fn connected(socket: SocketRef) {
///     tokio::spawn(count_down(socket.within("lobby")));
/// }
///
/// async fn count_down(lobby: BroadcastOperators) {
///     for left in (0..10).rev() {
///         lobby.clone().emit("left", &left).await.ok();
///     }
/// }
/// ```
pub type BroadcastOperators = socketioxide::operators::BroadcastOperators<Adapter>;

/// One socket with a timeout or flags, as `socket.timeout(..)` and `socket.volatile()` return it.
///
/// # Examples
/// ```
/// use std::time::Duration;
///
/// use roomcast_socketioxide::{ConfOperators, SocketRef};
///
/// fn patient(socket: &SocketRef) -> ConfOperators<'_> {
///     socket.timeout(Duration::from_secs(60))
/// }
/// ```
pub type ConfOperators<'a> = socketioxide::operators::ConfOperators<'a, Adapter>;

/// The stream of acks of a broadcast, and of a [`RemoteSocket`]. That of a single [`Socket`] needs no cluster: it is socketioxide's own
/// `AckStream<T>`, without the adapter.
///
/// # Examples
/// ```
/// use roomcast_socketioxide::{AckStream, SocketIo};
///
/// async fn ages(io: SocketIo) -> Option<AckStream<u8>> {
///     io.emit_with_ack("your age?", &()).await.ok() // from the sockets of every server
/// }
/// ```
pub type AckStream<T> = socketioxide::ack::AckStream<T, Adapter>;
