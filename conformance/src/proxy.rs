//! Link faults. (A stand-in until the real one is merged.)

use std::net::SocketAddr;
use std::time::Duration;

/// A TCP proxy in front of one address.
#[derive(Debug)]
pub struct Proxy(SocketAddr);

/// Bytes that went through.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// From the client.
    pub to_broker: u64,
    /// From the broker.
    pub to_client: u64,
    /// Connections.
    pub accepted: u64,
}

#[expect(missing_docs, clippy::unused_async, reason = "a stand-in")]
impl Proxy {
    pub async fn to(upstream: SocketAddr) -> std::io::Result<Self> {
        Ok(Self(upstream))
    }
    pub fn address(&self) -> SocketAddr {
        self.0
    }
    pub fn cut(&self) {}
    pub fn refuse(&self, _: bool) {}
    pub fn black_hole(&self) {}
    pub fn black_hole_all(&self, _: bool) {}
    pub fn delay(&self, _: Duration) {}
    pub fn throttle(&self, _: Option<u64>) {}
    pub fn drop_after(&self, _: u64) {}
    pub fn drop_replies(&self, _: bool) {}
    pub fn counts(&self) -> Counts {
        Counts::default()
    }
}
