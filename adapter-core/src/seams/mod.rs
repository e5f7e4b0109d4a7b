//! The seams: what a broker's driver implements and is given (below), what a server's sockets implement (above), and the
//! cluster operations as a trait.

pub(crate) mod acks;
mod adapter;
mod arrival;
mod backend;
mod channel;
pub(crate) mod inbox;
mod local;
mod observer;
mod owner;
mod propagator;
mod server_event;

pub use acks::{Ack, AckStream, GatheredAcks};
pub use adapter::{Adapter, Address, AttachmentId, Scope, WaitFor};
pub(crate) use backend::cluster_name;
pub use backend::{Backend, Capabilities, Connect, Outgoing, PublishError, Reason};
pub use channel::Channel;
pub use inbox::{Inbox, InboxFull};
pub(crate) use local::AckSink;
pub use local::{Acks, LocalSockets};
pub use observer::{Observer, Passed, Sight};
pub(crate) use owner::Owner;
pub use propagator::TracePropagator;
pub(crate) use server_event::ReplySink;
pub use server_event::{ReplyHandle, ServerEvent, ServerEvents};
