//! Roomcast connects many Rust realtime servers into one. `io.to("room").emit(..)` on one server reaches the sockets of all of
//! them, over Redis, NATS, RabbitMQ or PostgreSQL. It plugs into [socketioxide](https://docs.rs/socketioxide) (Socket.IO) as an
//! adapter, and into axum or any other WebSocket server as a [`Hub`].
//!
//! # With socketioxide
//! The cargo features are `socketioxide` and the broker's, here `redis`.
//! ```no_run
//! use roomcast::socketioxide::Adapter;
//! use socketioxide::SocketIo;
//!
//! # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let cluster = roomcast::connect("redis://127.0.0.1?cluster=shop").await?;
//! let (layer, io) = SocketIo::builder().with_adapter::<Adapter<_>>(cluster.clone().into()).build_layer();
//! io.ns("/", async |socket: roomcast::socketioxide::SocketRef| socket.join("lobby")).await?;
//! io.to("lobby").emit("news", "we open at nine").await?; // on every server
//! # drop(layer); Ok(()) }
//! ```
//!
//! # With any WebSocket server
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> roomcast::Result<()> {
//! let cluster = roomcast::connect("memory://docs").await?; // one process only; for servers redis://, nats://, amqp://, postgres://
//! let hub = roomcast::Hub::new();
//! let chat = cluster.namespace("/chat", hub.clone()).await?;
//!
//! let mut socket = hub.connect()?; // one for each client
//! socket.join("lobby")?;
//! chat.to("lobby").emit("hello").await?; // on every server
//! assert_eq!(socket.next().await.expect("connected").packet.data, "hello");
//! # cluster.close().await }
//! ```
//!
//! # Where to begin
//! | to | use |
//! |---|---|
//! | join the cluster | [`connect`] with a URL; [`Cluster::builder`] and [`backend`](backend()) for names, limits and timeouts |
//! | start without the broker | [`WhenUnreachable`] |
//! | emit, ask, move and disconnect sockets of a namespace | [`NamespaceHandle`], from [`Cluster::namespace`] or [`Cluster::of`] |
//! | serve WebSocket clients | [`Hub`], [`Socket`] |
//! | emit from a process that is no server | [`Emitter`] |
//! | send an event that every kind of server can read | [`NamespaceHandle::emit_event`], [`Packet::event`] |
//! | send events between servers | [`NamespaceHandle::server_side_emit_json`], [`NamespaceHandle::on`] |
//! | know who comes, goes, and what was lost | [`Cluster::events`], [`Event`] |
//! | count and watch | [`Cluster::status`], [`Cluster::stats`], [`Cluster::health`], [`Cluster::nodes`] |
//! | stop a server | [`Cluster::close`] |
//! | connect a broker of your own | the module [`backend`](mod@backend) |
//!
//! # Cargo features
//! | feature | brings |
//! |---|---|
//! | `memory` (default) | `memory://`: nodes of one process, for development and tests |
//! | `redis`, `redis-tls` | `redis://`, `redis+cluster://`, `redis+sentinel://`, `redis+streams://`, `valkey://`; `rediss://` and the like |
//! | `nats` | `nats://`, `tls://` |
//! | `amqp`, `amqp-tls` | RabbitMQ: `amqp://`; `amqps://` |
//! | `postgres`, `postgres-tls` | `postgres://`; its `sslmode` |
//! | `socketioxide` | the bridge to socketioxide |
//! | `axum` | the module `axum`: WebSocket clients of axum as sockets of a [`Hub`] |
//! | `health` | the module `health`: an axum router with `/livez`, `/readyz` and `/status` |
//! | `metrics` | counters, gauges and histograms through the `metrics` facade |
//! | `opentelemetry` | the module `opentelemetry`: an emit and its deliveries on all nodes are one trace |
//!
//! # Guides
//! - [From one server to many](https://github.com/roomcast/roomcast/blob/main/docs/from-one-server-to-many.md)
//! - [A plain WebSocket server](https://github.com/roomcast/roomcast/blob/main/docs/websocket.md)
//! - [Operating](https://github.com/roomcast/roomcast/blob/main/docs/operating.md)
//! - [Metrics and health](https://github.com/roomcast/roomcast/blob/main/docs/metrics.md)
//! - [Traces](https://github.com/roomcast/roomcast/blob/main/docs/traces.md)
//! - [Security](https://github.com/roomcast/roomcast/blob/main/docs/security.md)
//! - [What is promised](https://github.com/roomcast/roomcast/blob/main/docs/guarantees.md), and
//!   [what does not hold yet](https://github.com/roomcast/roomcast/blob/main/docs/conformance.md#what-does-not-hold-yet)

pub use roomcast_core::*;

#[cfg(feature = "axum")]
pub mod axum;
#[cfg(feature = "health")]
pub mod health;
#[cfg(feature = "opentelemetry")]
pub mod opentelemetry;
mod url;

pub use url::{backend, connect};

/// [Redis](https://redis.io) and Valkey: the URL's options, Redis Cluster, Sentinel, streams.
#[cfg(feature = "redis")]
pub mod redis {
    pub use roomcast_redis::*;
}

/// [NATS](https://nats.io): the URL's options, the client's own, a cluster of servers.
#[cfg(feature = "nats")]
pub mod nats {
    pub use roomcast_nats::*;
}

/// [RabbitMQ](https://www.rabbitmq.com): the URL's options, bounds, a cluster of brokers.
#[cfg(feature = "amqp")]
pub mod amqp {
    pub use roomcast_amqp::*;
}

/// [PostgreSQL](https://www.postgresql.org): the URL's options, a pooler, emitting from SQL.
#[cfg(feature = "postgres")]
pub mod postgres {
    pub use roomcast_postgres::*;
}

/// The bridge to [socketioxide](https://docs.rs/socketioxide): its adapter over any backend.
#[cfg(feature = "socketioxide")]
pub mod socketioxide {
    pub use roomcast_socketioxide::*;
}

/// The README and the guides, whose code is compiled and run with the tests.
#[cfg(doctest)]
mod guides {
    #[doc = include_str!("../README.md")]
    mod readme {}
    #[doc = include_str!("../docs/coming-from-redis-adapter.md")]
    mod coming_from_redis_adapter {}
    #[doc = include_str!("../docs/coming-from-sails.md")]
    mod coming_from_sails {}
    #[doc = include_str!("../docs/coming-from-socketioxide-redis.md")]
    mod coming_from_socketioxide_redis {}
    #[doc = include_str!("../docs/from-one-server-to-many.md")]
    mod from_one_server_to_many {}
    #[doc = include_str!("../docs/operating.md")]
    mod operating {}
    #[doc = include_str!("../docs/security.md")]
    mod security {}
    #[doc = include_str!("../docs/traces.md")]
    mod traces {}
    #[doc = include_str!("../docs/websocket.md")]
    mod websocket {}
}
