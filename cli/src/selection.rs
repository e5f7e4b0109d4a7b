//! Which sockets a command means.

use std::time::Duration;

use clap::Args;
use roomcast::{BroadcastOperator, Cluster, Emitter, EmitterOperator, Result};

/// Which sockets a command means.
#[derive(Args, Clone, Debug)]
pub(crate) struct Selection {
    /// The namespace.
    #[arg(short, long, default_value = "/")]
    pub(crate) namespace: String,
    /// Only the sockets in this room; given again, those in any of the rooms. A socket's id is a room, too.
    #[arg(short, long = "room", value_name = "ROOM")]
    pub(crate) rooms: Vec<String>,
    /// Not the sockets in this room; may be given again.
    #[arg(short = 'x', long, value_name = "ROOM")]
    pub(crate) except: Vec<String>,
}

impl Selection {
    /// Whether it means every socket of the namespace.
    pub(crate) fn is_everyone(&self) -> bool {
        self.rooms.is_empty() && self.except.is_empty()
    }

    /// For a node.
    ///
    /// # Errors
    /// `Config`, for a bad namespace. A bad room is an error of the operation.
    pub(crate) fn of_node(&self, cluster: &Cluster, timeout: Duration) -> Result<BroadcastOperator> {
        let everyone = cluster.of(&self.namespace)?.timeout(timeout).except(&self.except);
        Ok(if self.rooms.is_empty() { everyone } else { everyone.to(&self.rooms) })
    }

    /// For an emitter.
    ///
    /// # Errors
    /// The same.
    pub(crate) fn of_emitter(&self, emitter: &Emitter) -> Result<EmitterOperator> {
        let everyone = emitter.of(&self.namespace)?.except(&self.except);
        Ok(if self.rooms.is_empty() { everyone } else { everyone.to(&self.rooms) })
    }
}
