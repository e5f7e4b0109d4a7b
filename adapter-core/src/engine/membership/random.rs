//! Numbers that differ from node to node and are the same in every run: the engine has no randomness of its own.

use crate::model::NodeId;

/// A number for a node, and whatever else it is to depend on.
pub(super) fn hash(node: NodeId, salt: u64) -> u64 {
    let (high, low) = halves(node);
    mix(mix(high ^ mix(salt)) ^ low)
}

/// A number for two nodes, in any order.
pub(super) fn hash_pair(a: NodeId, b: NodeId) -> u64 {
    let ((a_high, a_low), (b_high, b_low)) = (halves(a), halves(b));
    mix(mix(a_high ^ b_high) ^ a_low ^ b_low)
}

fn halves(node: NodeId) -> (u64, u64) {
    let number = u128::from_be_bytes(*node.as_bytes());
    ((number >> 64) as u64, number as u64)
}

/// The finisher of SplitMix64.
fn mix(number: u64) -> u64 {
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}
