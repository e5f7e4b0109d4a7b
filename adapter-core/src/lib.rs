//! The core of [Roomcast](https://docs.rs/roomcast): the cluster, without any broker.
//!
//! **Applications** use the crate `roomcast`. It re-exports everything here and adds the backends, which it picks by a URL.
//!
//! **Authors of a backend** depend on this crate alone, so that their crate brings no other broker's client. They implement
//! [`Connect`](backend::Connect) and [`Backend`](backend::Backend), or [`Link`](backend::Link) and let [`Keeper`](backend::Keeper) do the reconnecting. The
//! [guide](https://github.com/roomcast/roomcast/blob/main/docs/writing-a-backend.md) goes through it step by step.
//!
//! **Authors of a server** that is neither socketioxide nor built on the [`Hub`] implement [`LocalSockets`](adapter::LocalSockets).
//!
//! | for | items |
//! |---|---|
//! | the application | [`Cluster`], [`ClusterBuilder`], [`NamespaceHandle`], [`BroadcastOperator`], [`Packet`], [`Event`], [`Error`] |
//! | services that emit without being a node | [`Emitter`] |
//! | WebSocket servers | [`Hub`], [`Socket`] |
//! | backends: the seam | [`Connect`](backend::Connect), [`Backend`](backend::Backend), [`Inbox`](backend::Inbox), [`Channel`](backend::Channel), [`Outgoing`](backend::Outgoing), [`Limits`](backend::Limits), [`Capabilities`](backend::Capabilities), [`Description`](backend::Description) |
//! | backends: help | [`Keeper`](backend::Keeper), [`Link`](backend::Link), [`Breaker`](backend::Breaker), [`Backoff`](backend::Backoff), [`Ring`](backend::Ring), [`HostPort`](backend::HostPort), [`UrlParts`](backend::UrlParts), [`Credentials`](backend::Credentials), [`TlsFiles`](backend::TlsFiles), [`tcp`](backend::tcp), [`Wire`](backend::Wire), [`Driver`](backend::Driver), [`Turns`](backend::Turns), [`Silence`](backend::Silence), [`SevenBit`](backend::SevenBit), [`tls`](mod@backend::tls) |
//! | other servers | [`LocalSockets`](adapter::LocalSockets), [`Acks`](adapter::Acks), [`Adapter`](adapter::Adapter), [`Observer`](adapter::Observer) |
//!
//! The core knows no broker and no server: a backend moves bytes that it does not look into, and everything else exists once,
//! here. [`Memory`], the backend of one process, is included.
//!
//! # Examples
//! ```
//! use roomcast_core::{Cluster, Hub, Memory};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> roomcast_core::Result<()> {
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

mod api;
#[cfg(test)]
#[path = "../tests/bounds/mod.rs"]
mod bounds;
mod driver;
mod engine;
#[cfg(test)]
#[path = "../tests/fuzz/mod.rs"]
mod fuzz;
mod hub;
mod kit;
mod memory;
mod model;
#[doc(hidden)]
pub mod probe;
mod seams;
#[cfg(test)]
#[path = "../tests/simulation/mod.rs"]
mod simulation;
mod wire;

pub use api::{
    BroadcastOperator, Cluster, ClusterBuilder, Emitter, EmitterBuilder, EmitterOperator, Events, NamespaceHandle,
    WeakNamespaceHandle, WhenUnreachable,
};
pub use bytes::Bytes;
pub use hub::{AckHandle, Delivery, Hub, HubBuilder, HubStats, SlowPolicy, Socket, SocketHandle};
pub use memory::Memory;
pub use model::{
    AckError, BrokerInfo, ClusterName, Departure, Error, ErrorKind, Event, EventData, GapChannel, Gathered, IntoRooms,
    LocalDropped, MAX_NAME, MissingNode, MissingReason, Namespace, NamespaceStatus, Node, NodeId, NodeState,
    NodeStatus, Packet, PacketFormat, Projection, QueueStatus, Result, Room, SocketId, SocketInfo, Stats, Status,
    TraceContext,
};
pub use seams::{Ack, AckStream, GatheredAcks, ReplyHandle, ServerEvent, TracePropagator};

/// For authors of backends: the seam to a broker, and a kit of what most of them need.
pub mod backend {
    pub use async_trait::async_trait;

    pub use crate::api::EmitterFrames;
    pub use crate::kit::{
        Authority, Backoff, Breaker, Credentials, Driver, Found, HostPort, InPlace, Keeper, Link, Login, Pulse,
        Renewal, Ring, Sending, SevenBit, Silence, TlsFiles, Turns, UrlParts, Verification, Wire, at_least_one,
        compare_clocks, in_turn, in_turn_limit, percent_decoded, search, tcp, tls,
    };
    pub use crate::model::{Advice, BrokerInfo, Clock, Description, LimitUnit, Limits, ServerLimit, causes};
    pub use crate::seams::{Backend, Capabilities, Channel, Connect, Inbox, InboxFull, Outgoing, PublishError, Reason};
}

/// The metrics that the feature `metrics` publishes through the [`metrics`](https://docs.rs/metrics) facade, once a second.
#[cfg(feature = "metrics")]
pub mod metrics {
    pub use crate::driver::metrics::{METRICS, Metric, MetricKind};
}

/// For authors of servers and bridges: the seam to local sockets, and the cluster operations as a trait.
pub mod adapter {
    pub use async_trait::async_trait;

    pub use crate::model::{LocalDropped, LocalSocket, Projection, SocketChange, Target, TargetFlags};
    pub use crate::seams::{
        Acks, Adapter, Address, AttachmentId, LocalSockets, Observer, Passed, Scope, ServerEvents, Sight, WaitFor,
    };
}
