//! One simulated node: what the driver and the local sockets hold around an engine.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;

use super::history::N;
use super::network::Swallows;
use super::random::Random;
use super::sockets::Sockets;
use crate::engine::{Destination, Engine};
use crate::model::NodeId;

/// One simulated node.
#[derive(Debug)]
pub(super) struct SimNode {
    /// None before it starts, and when it is over.
    pub(super) engine: Option<Engine>,
    pub(super) sockets: Sockets,
    pub(super) connected: usize,
    pub(super) ready: bool,
    pub(super) link_up: bool,
    pub(super) half_open: Option<Swallows>,
    /// The link has broken once.
    pub(super) was_down: bool,
    pub(super) stalled_until: Duration,
    /// For how long its clock has stood still.
    pub(super) lag: Duration,
    pub(super) closing: Closing,
    /// What arrived and what became of the link, until the reader looks.
    pub(super) inbox: VecDeque<Arrival>,
    pub(super) link: VecDeque<bool>,
    pub(super) read_due: bool,
    pub(super) timer: Option<Duration>,
    pub(super) writer: Writer,
    /// When the publish began that is under way.
    pub(super) published: Duration,
    /// Which operation an open question belongs to.
    pub(super) questions: HashMap<u64, usize>,
}

#[derive(Clone, Debug)]
pub(super) struct Arrival {
    pub(super) inbox: bool,
    pub(super) message: Bytes,
    pub(super) at: Duration,
}

/// What the writer does.
#[derive(Debug, PartialEq)]
pub(super) enum Writer {
    Idle,
    /// It has been woken, and will look soon.
    Woken,
    /// The batch is on its way; the broker has it when there is none any more.
    Publishing(Option<Vec<(Destination, Bytes)>>),
    /// Waits after an unknown outcome.
    Retrying,
}

/// How far a node is with leaving.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Closing {
    No,
    /// Waits until the broker has so many messages.
    Flushing(u64),
    SaidBye,
    /// Waits until then for the others, who may miss something.
    Confirming(Duration),
}

impl SimNode {
    pub(super) fn new() -> Self {
        Self {
            engine: None,
            sockets: Sockets::default(),
            connected: 0,
            ready: false,
            link_up: true,
            half_open: None,
            was_down: false,
            stalled_until: Duration::ZERO,
            lag: Duration::ZERO,
            closing: Closing::No,
            inbox: VecDeque::new(),
            link: VecDeque::new(),
            read_due: false,
            timer: None,
            writer: Writer::Idle,
            published: Duration::ZERO,
            questions: HashMap::new(),
        }
    }
}

/// The id of a node of this run: random, so that the order of ids is not that of the starts.
pub(super) fn id(seed: u64, node: N) -> NodeId {
    let mut random = Random::new(seed.rotate_left(17) ^ node as u64);
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&random.next().to_be_bytes());
    bytes[15] = node as u8;
    NodeId::from_bytes(bytes)
}

/// The node of an id that [`id`] has made.
pub(super) fn place(id: NodeId) -> N {
    usize::from(id.as_bytes()[15])
}
