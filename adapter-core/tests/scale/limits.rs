//! What a cluster may cost: the promises G5, G18 and G22 as data.

use std::time::Duration;

/// What holds for clusters of up to so many nodes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) nodes: usize,
    /// Bytes that the broker adds to each message.
    pub(crate) overhead: u64,
    /// Control messages that a node receives each second, at rest.
    pub(crate) rest_messages: f64,
    /// Bytes that all nodes receive each second, at rest.
    pub(crate) rest_bytes: u64,
    /// Bytes that a newcomer receives.
    pub(crate) join_received: u64,
    /// Bytes that all nodes receive for one newcomer, beyond what they receive at rest.
    pub(crate) join_bytes: u64,
    /// Bytes that all nodes receive after a cut of every link.
    pub(crate) back_bytes: u64,
    /// From the broker's return until everybody hears everybody again.
    pub(crate) back_within: Duration,
}

const MB: u64 = 1_000_000;
const SECOND: Duration = Duration::from_secs(1);

/// By size. Up to some 64 nodes everybody hears everybody's heartbeat.
const LIMITS: [Limits; 4] = [
    Limits {
        nodes: 3,
        overhead: 60,
        rest_messages: 6.0,
        rest_bytes: 5_000,
        join_received: 10_000,
        join_bytes: 20_000,
        back_bytes: 50_000,
        back_within: SECOND,
    },
    Limits {
        nodes: 30,
        overhead: 60,
        rest_messages: 35.0,
        rest_bytes: 200_000,
        join_received: 30_000,
        join_bytes: 50_000,
        back_bytes: 3 * MB,
        back_within: SECOND,
    },
    Limits {
        nodes: 200,
        overhead: 60,
        rest_messages: 20.0,
        rest_bytes: 400_000,
        join_received: 200_000,
        join_bytes: 200_000,
        back_bytes: 15 * MB,
        back_within: SECOND,
    },
    Limits {
        nodes: 1000,
        overhead: 0,
        rest_messages: 20.0,
        rest_bytes: 4 * MB,
        join_received: 200_000,
        join_bytes: 500_000,
        back_bytes: 300 * MB,
        back_within: Duration::from_secs(5),
    },
];

/// A new node is seen by all, and has connected.
pub(crate) const JOIN_WITHIN: Duration = SECOND;
/// A graceful leave is known to all.
pub(crate) const LEAVE_WITHIN: Duration = Duration::from_millis(200);
/// A killed node is known to be dead to all.
pub(crate) const CRASH_WITHIN: Duration = Duration::from_secs(3);
/// A stall of so long evicts nobody.
pub(crate) const STALL: Duration = SECOND;
/// Nodes that are started at once know each other.
pub(crate) const START_WITHIN: Duration = Duration::from_secs(5);

impl Limits {
    /// Those of the smallest size that is not below.
    pub(crate) fn of(nodes: usize) -> Self {
        *LIMITS.iter().find(|limits| nodes <= limits.nodes).unwrap_or(&LIMITS[LIMITS.len() - 1])
    }
}
