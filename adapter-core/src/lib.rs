//! Roomcast's core.

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

pub use acks::{Ack, AckStream, Acked};
pub use adapter::{Adapter, Address, AttachmentId, Change, Scope, Wait};
pub use async_trait::async_trait;
pub use backend::{Backend, Capabilities, Connect, Limits, Outgoing, PublishError, Reason};
pub use backoff::Backoff;
pub use bytes::Bytes;
pub use channel::Channel;
pub use cluster::{Cluster, ClusterBuilder, Events};
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
pub use local::{AckError, Acks, LocalDropped, LocalSocket, LocalSockets, Projection, SocketInfo};
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
