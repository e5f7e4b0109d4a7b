//! The nouns: names, nodes, targets, packets, and what is said about them. Depends on nothing.

mod change;
mod description;
mod error;
mod event;
mod event_data;
mod gathered;
mod limits;
mod name;
pub(crate) mod node;
mod packet;
pub(crate) mod serial;
mod socket;
mod stats;
mod status;
mod target;
mod trace;

pub use change::SocketChange;
pub use description::{Advice, BrokerInfo, Clock, Description, LimitUnit, ServerLimit};
pub use error::{Error, ErrorKind, Result, causes};
pub use event::{Departure, Event, GapChannel};
pub use event_data::EventData;
pub use gathered::{Gathered, MissingNode, MissingReason};
pub use limits::Limits;
pub(crate) use name::check_event_name;
pub use name::{ClusterName, IntoRooms, MAX_NAME, Namespace, Room, SocketId};
pub use node::{Node, NodeId};
pub use packet::{Packet, PacketFormat};
pub use socket::{AckError, LocalDropped, LocalSocket, Projection, SocketInfo};
pub use stats::Stats;
pub use status::{NamespaceStatus, NodeState, NodeStatus, QueueStatus, Status};
pub use target::{Target, TargetFlags};
pub use trace::TraceContext;
