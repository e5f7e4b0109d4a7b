//! Names on the broker, minted here so that no backend escapes anything.

use std::fmt;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::model::{ClusterName, Error, NodeId};

/// A channel of the broker: 1 to 63 bytes of `[A-Za-z0-9._-]`, alphanumeric first and last, never two dots together.
///
/// 63 bytes is PostgreSQL's limit for an identifier; the letters are what every broker takes as they are.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Channel(Arc<str>);

/// The longest cluster name that is used as it is.
const PLAIN: usize = 20;
const MAX: usize = 63;

impl Channel {
    /// Checks a name that came from elsewhere (a test, a broker's listing).
    ///
    /// # Errors
    /// `Config` when it is not of the form above.
    pub fn new(name: &str) -> Result<Self, Error> {
        let bytes = name.as_bytes();
        let edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
        let inner = |byte: &u8| byte.is_ascii_alphanumeric() || b"._-".contains(byte);
        let fine = bytes.len() <= MAX
            && edge(bytes.first())
            && edge(bytes.last())
            && bytes.iter().all(inner)
            && !name.contains("..");
        if fine { Ok(Self(name.into())) } else { Err(Error::config("not the name of a channel")) }
    }

    /// The channel of the whole cluster.
    pub fn cluster(cluster: &ClusterName) -> Self {
        Self(format!("rc.{}.all", label(cluster)).into())
    }

    /// The channel on which one node listens alone.
    pub fn inbox(cluster: &ClusterName, node: NodeId) -> Self {
        // 3 + 24 + 3 + 32 = 62 bytes at most.
        Self(format!("rc.{}.n.{node}", label(cluster)).into())
    }

    /// The name on the broker.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The cluster's name if it is short and plain, else its hash. The two never meet: a hash is longer than any plain one.
fn label(cluster: &ClusterName) -> String {
    let name = cluster.as_str();
    let plain = name.len() <= PLAIN && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
    if plain {
        return name.to_owned();
    }
    // 120 bits as 24 letters of base 32: no two names are ever found that meet.
    const LETTERS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let digest = Sha256::digest(name.as_bytes());
    let letter = |group: &[u8], at: usize| {
        let bits = group.iter().fold(0u64, |bits, byte| bits << 8 | u64::from(*byte));
        char::from(LETTERS[(bits >> (35 - 5 * at) & 31) as usize])
    };
    digest[..15].chunks_exact(5).flat_map(|group| (0..8).map(move |at| letter(group, at))).collect()
}

impl std::borrow::Borrow<str> for Channel {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn channels(cluster: &str) -> [Channel; 2] {
        let cluster = ClusterName::new(cluster).expect("valid");
        [Channel::cluster(&cluster), Channel::inbox(&cluster, NodeId::from_bytes([0xab; 16]))]
    }

    #[test]
    fn a_short_plain_name_is_readable() {
        assert_eq!(channels("shop")[0].as_str(), "rc.shop.all");
        assert_eq!(channels("shop")[1].as_str(), "rc.shop.n.abababababababababababababababab");
    }

    #[test]
    fn whatever_the_cluster_is_called_the_channel_is_well_formed_and_its_own() {
        let names =
            ["a", "A", "a.b", "a..b", ".", "#", "*", ">", " ", "ü", "-", "a-", &"x".repeat(1024), &"x".repeat(1023)];
        let mut seen = std::collections::HashSet::new();
        for name in names {
            for channel in channels(name) {
                Channel::new(channel.as_str()).expect("well formed");
                assert!(seen.insert(channel));
            }
        }
    }

    #[test]
    fn malformed_names_are_refused() {
        for bad in ["", ".a", "a.", "a..b", "a b", "a*", "ü", &"x".repeat(64)] {
            assert!(Channel::new(bad).is_err(), "{bad}");
        }
    }
}
