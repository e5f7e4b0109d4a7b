//! What the nemesis needs of a node: one of Roomcast's, or a peer's.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use roomcast_core::adapter::WaitFor;

use super::listener::Listener;

/// How an operation of a [`Node`] ends.
pub type NodeResult<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

/// One server under load: it has one socket that gets what is emitted to all, and one guest that others let into rooms.
///
/// The nemesis measures Roomcast by it, and a peer's adapter beside it: [`Contestant::peer`](super::Contestant::peer).
#[async_trait]
pub trait Node: Send + Sync + 'static {
    /// The name by which other nodes speak of this one in [`Listener::gap`]. It is one word, and another one after a restart.
    fn id(&self) -> String;

    /// Emits to the socket of every node.
    ///
    /// # Errors
    /// When other nodes do not get it.
    async fn emit(&self, packet: &[u8]) -> NodeResult;

    /// Emits to the guest of every node.
    ///
    /// # Errors
    /// When other nodes do not get it.
    async fn emit_to_guests(&self, packet: &[u8]) -> NodeResult;

    /// Emits to the guests that are in a room.
    ///
    /// # Errors
    /// When other nodes do not get it.
    async fn emit_to_room(&self, room: &str, packet: &[u8]) -> NodeResult;

    /// Lets the guest of a node into a room, and waits for that as far as the adapter can.
    ///
    /// # Errors
    /// When that was not sent, or its end is not known.
    async fn join(&self, guest_of: u32, room: &str, wait: WaitFor) -> NodeResult;

    /// Lets it out again.
    ///
    /// # Errors
    /// When that was not sent, or its end is not known.
    async fn leave(&self, guest_of: u32, room: &str, wait: WaitFor) -> NodeResult;

    /// Asks all nodes something, within [`Place::QUESTION`]. An adapter that knows several kinds of questions takes turns by `n`.
    ///
    /// # Errors
    /// When it could not be asked.
    async fn ask(&self, n: u64) -> NodeResult<Answered>;

    /// Returns when the link works and what was emitted is with the broker, as far as the adapter can know; the caller gives up
    /// after a while.
    ///
    /// # Errors
    /// When that cannot happen any more.
    async fn settle(&self) -> NodeResult {
        Ok(())
    }

    /// Leaves the cluster. What comes afterwards is not looked at; by default the node just ends.
    ///
    /// # Errors
    /// When it could not leave as it should.
    async fn close(&self) -> NodeResult {
        Ok(())
    }

    /// What this node has repaired and sent again, if the adapter does such things.
    fn repairs(&self) -> Repairs {
        Repairs::default()
    }
}

/// Connects a node, with its socket and its guest: from then on it is owed what is sent.
#[async_trait]
pub trait Join: Send + Sync + 'static {
    /// Connects. While the broker is away it waits, for as long as [`Place::CONNECTING`].
    ///
    /// # Errors
    /// When it cannot be connected.
    async fn join(&self, place: &Place, listener: Listener) -> NodeResult<Arc<dyn Node>>;
}

/// Where a node is, and what it is called.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Place {
    /// The broker's URL, through a proxy of this node's own.
    pub url: String,
    /// The name of the cluster; a peer may use it as a prefix.
    pub cluster: String,
    /// The node's number, from 0 on.
    pub node: u32,
    /// How often it was started before.
    pub start: u32,
    /// How many nodes there are.
    pub nodes: u32,
    /// As in [`Options`](super::Options).
    pub history_bytes: Option<usize>,
}

/// What came of a question.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Answered {
    /// How many nodes answered.
    pub answered: u64,
    /// How many did not.
    pub missing: u64,
    /// How many of those because the time was up.
    pub late: u64,
}

/// What a node has repaired.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Repairs {
    /// Messages that it had missed, asked for and got.
    pub repaired: u64,
    /// Messages that it has sent again.
    pub resent: u64,
}

impl Place {
    /// How long connecting may take.
    pub const CONNECTING: std::time::Duration = std::time::Duration::from_secs(60);
    /// How long a question may take.
    pub const QUESTION: std::time::Duration = std::time::Duration::from_secs(5);
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "node {}.{}", self.node, self.start)
    }
}
