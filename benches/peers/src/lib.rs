//! Roomcast beside the adapters of others, with the same server and the same client.

pub mod adapters;
pub mod client;
pub mod server;

/// Why something failed, for people.
pub type Failed = Box<dyn std::error::Error + Send + Sync>;
