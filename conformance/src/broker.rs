//! Brokers as values. (A stand-in until the real one is merged.)

use std::net::SocketAddr;

/// How a broker is started.
#[derive(Clone, Copy, Debug)]
pub struct Recipe {
    /// The broker's name.
    pub name: &'static str,
}

/// A running broker.
#[derive(Debug)]
pub struct Broker;

/// Why there is no broker.
#[derive(Clone, Debug)]
pub struct Missing {
    /// What is missing.
    pub what: String,
    /// Why.
    pub why: String,
}

impl std::fmt::Display for Missing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.what, self.why)
    }
}

impl std::error::Error for Missing {}

/// How a broker was provided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Provider {
    /// A program of this machine.
    Local,
    /// A container.
    Container,
    /// A URL.
    External,
}

#[expect(missing_docs, clippy::unused_async, reason = "a stand-in")]
impl Broker {
    pub async fn start(recipe: &Recipe) -> Result<Self, Missing> {
        Err(Missing { what: recipe.name.to_owned(), why: "brokers are not merged yet".to_owned() })
    }
    pub fn url(&self) -> String {
        String::new()
    }
    pub fn url_at(&self, address: SocketAddr) -> String {
        address.to_string()
    }
    pub fn addresses(&self) -> &[SocketAddr] {
        &[]
    }
    pub fn provider(&self) -> Provider {
        Provider::External
    }
    pub fn can(&self) -> Result<(), Missing> {
        Err(Missing { what: String::new(), why: "not merged yet".to_owned() })
    }
    pub async fn kill(&self) -> Result<(), Missing> {
        Ok(())
    }
    pub async fn kill_one(&self, _: usize) -> Result<(), Missing> {
        Ok(())
    }
    pub async fn start_again(&self) -> Result<(), Missing> {
        Ok(())
    }
    pub async fn restart_gently(&self) -> Result<(), Missing> {
        Ok(())
    }
    pub async fn pause(&self) -> Result<(), Missing> {
        Ok(())
    }
    pub async fn resume(&self) -> Result<(), Missing> {
        Ok(())
    }
    pub fn version(&self) -> &str {
        ""
    }
}
