//! Roomcast's core.

mod api;
mod driver;
mod engine;
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
    WeakNamespaceHandle,
};
pub use bytes::Bytes;
pub use hub::{AckHandle, Delivery, Hub, HubBuilder, HubStats, SlowPolicy, Socket, SocketHandle};
pub use memory::Memory;
pub use model::{
    AckError, ClusterName, Departure, Error, ErrorKind, Event, Format, GapChannel, Gathered, IntoRooms, MAX_NAME,
    Missing, Namespace, Node, NodeId, Packet, Projection, Result, Room, SocketId, SocketInfo, Stats, Why,
};
pub use seams::{Ack, AckStream, Acked, Reply, ServerEvent};

/// For authors of backends: the seam to a broker, and a kit of what most of them need.
pub mod backend {
    pub use async_trait::async_trait;

    pub use crate::api::EmitterFrames;
    pub use crate::kit::{
        Authority, Backoff, Breaker, HostPort, Keeper, Link, Ring, TlsFiles, in_turn, percent_decoded, tcp, tls,
    };
    pub use crate::model::{Limits, causes};
    pub use crate::seams::{Backend, Capabilities, Channel, Connect, Full, Inbox, Outgoing, PublishError, Reason};
}

/// For authors of servers and bridges: the seam to local sockets, and the cluster operations as a trait.
pub mod adapter {
    pub use async_trait::async_trait;

    pub use crate::model::{Change, Flags, LocalSocket, Projection, Target};
    pub use crate::seams::{Acks, Adapter, Address, AttachmentId, LocalSockets, Scope, ServerEvents, Wait};
}
