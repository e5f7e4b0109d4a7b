//! The core of [Roomcast](https://docs.rs/roomcast): the cluster, without any broker.
//!
//! **Applications** use the crate `roomcast`. It re-exports everything here and adds the backends, which it picks by a URL.
//!
//! **Authors of a backend** depend on this crate alone, so that their crate brings no other broker's client. They implement
//! [`Connect`] and [`Backend`], or [`Link`] and let [`Keeper`] do the reconnecting. The
//! [guide](https://github.com/roomcast/roomcast/blob/main/docs/writing-a-backend.md) goes through it step by step.
//!
//! **Authors of a server** that is neither socketioxide nor built on the [`Hub`] implement [`LocalSockets`].
//!
//! | for | items |
//! |---|---|
//! | the application | [`Cluster`], [`ClusterBuilder`], [`NamespaceHandle`], [`BroadcastOperator`], [`Packet`], [`Event`], [`Error`] |
//! | services that emit without being a node | [`Emitter`] |
//! | WebSocket servers | [`Hub`], [`Socket`] |
//! | backends: the seam | [`Connect`], [`Backend`], [`Inbox`], [`Channel`], [`Outgoing`], [`Limits`], [`Capabilities`] |
//! | backends: help | [`Keeper`], [`Link`], [`Breaker`], [`Backoff`], [`Ring`], [`HostPort`], [`UrlParts`], [`TlsFiles`], [`tcp`], [`mod@tls`] |
//! | other servers | [`LocalSockets`], [`Acks`], [`Adapter`] |
//!
//! The core knows no broker and no server: a backend moves bytes that it does not look into, and everything else exists once,
//! here. [`Memory`], the backend of one process, is included.
//!
//! # Examples
//! ```
//! use adapter_core::{Cluster, Hub, Memory};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> adapter_core::Result<()> {
//! let broker = Memory::new();
//! let (one, two) = (Cluster::connect(broker.clone()).await?, Cluster::connect(broker).await?);
//! let hub = Hub::new();
//! let _chat = one.namespace("/chat", hub.clone()).await?;
//! let mut socket = hub.connect()?;
//! socket.join("lobby")?;
//!
//! two.of("/chat")?.to("lobby").emit("hello").await?;
//! assert_eq!(socket.next().await.expect("connected").packet.data, "hello");
//! # one.close().await?; two.close().await }
//! ```

mod acks;
mod adapter;
mod backend;
mod backoff;
mod channel;
mod cluster;
mod emitter;
mod emitter_calls;
mod emitter_frames;
mod engine;
mod error;
mod event;
mod gathered;
mod host_port;
mod hub;
mod inbox;
mod keeper;
mod link;
mod local;
mod memory;
mod name;
mod namespace;
mod node;
mod operator;
mod packet;
mod percent;
#[doc(hidden)]
pub mod probe;
mod protocol;
mod ring;
mod server_event;
#[cfg(test)]
#[path = "../tests/simulation/mod.rs"]
mod simulation;
mod stats;
mod target;
mod tcp;
#[cfg_attr(not(feature = "tls"), path = "tls_off.rs")]
pub mod tls;
mod tls_files;
mod url;

pub use acks::{Ack, AckStream, Acked};
pub use adapter::{Adapter, Address, AttachmentId, Change, Scope, Wait};
pub use async_trait::async_trait;
pub use backend::{Backend, Capabilities, Connect, Limits, Outgoing, PublishError, Reason};
pub use backoff::Backoff;
pub use bytes::Bytes;
pub use channel::Channel;
pub use cluster::{Cluster, ClusterBuilder, Events, WhenUnreachable};
pub use emitter::{Emitter, EmitterBuilder, EmitterOperator};
pub use emitter_frames::EmitterFrames;
pub use error::{Error, ErrorKind, Result, causes};
pub use event::{Departure, Event, GapChannel};
pub use gathered::{Gathered, Missing, Why};
pub use host_port::HostPort;
pub use hub::{AckHandle, Delivery, Hub, HubBuilder, HubStats, SlowPolicy, Socket, SocketHandle};
pub use inbox::{Full, Inbox};
pub use keeper::Keeper;
pub use link::{Breaker, Link};
pub use local::{AckError, Acks, LocalSocket, LocalSockets, Projection, SocketInfo};
pub use memory::Memory;
pub(crate) use name::check_event_name;
pub use name::{ClusterName, IntoRooms, MAX_NAME, Namespace, Room, SocketId};
pub use namespace::{NamespaceHandle, WeakNamespaceHandle};
pub use node::{Node, NodeId};
pub use operator::BroadcastOperator;
pub use packet::{Format, Packet};
pub use percent::percent_decoded;
pub use ring::{Ring, in_turn};
pub use server_event::{Reply, ServerEvent, ServerEvents};
pub use stats::Stats;
pub use target::{Flags, Target};
pub use tcp::tcp;
pub use tls_files::TlsFiles;
pub use url::UrlParts;
