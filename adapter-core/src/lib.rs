//! Roomcast's core.

mod acks;
mod adapter;
mod backend;
mod channel;
mod error;
mod event;
mod gathered;
mod hub;
mod inbox;
mod local;
mod name;
mod node;
mod packet;
mod protocol;
mod server_event;
mod target;

pub use acks::{Ack, AckStream, Acked};
pub use adapter::{Adapter, Address, AttachmentId, Change, Scope, Wait};
pub use async_trait::async_trait;
pub use backend::{Backend, Capabilities, Connect, Limits, Outgoing, PublishError, Reason};
pub use channel::Channel;
pub use error::{Error, ErrorKind, Result};
pub use event::{Departure, Event, GapChannel};
pub use gathered::{Gathered, Missing, Why};
pub use hub::{AckHandle, Delivery, Hub, HubBuilder, HubStats, SlowPolicy, Socket, SocketHandle};
pub use inbox::{Full, Inbox};
pub use local::{AckError, Acks, LocalSocket, LocalSockets, Projection, SocketInfo};
pub use name::{ClusterName, IntoRooms, MAX_NAME, Namespace, Room, SocketId};
pub use node::{Node, NodeId};
pub use packet::{Format, Packet};
pub use server_event::{Reply, ServerEvent, ServerEvents};
pub use target::{Flags, Target};
