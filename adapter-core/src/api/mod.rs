//! What applications hold.

mod builder;
mod cluster;
mod connecting;
mod emitter;
mod emitter_calls;
mod emitter_frames;
mod events;
mod namespace;
mod operations;
mod operator;
mod selection;
mod server_events;

pub use builder::{ClusterBuilder, WhenUnreachable};
pub use cluster::Cluster;
pub use emitter::{Emitter, EmitterBuilder, EmitterOperator};
pub use emitter_frames::EmitterFrames;
pub use events::Events;
pub use namespace::{NamespaceHandle, WeakNamespaceHandle};
pub use operator::BroadcastOperator;
