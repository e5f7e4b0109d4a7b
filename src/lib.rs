#![doc = include_str!("../README.md")]

pub use adapter_core::*;

mod url;

pub use url::{backend, connect};

/// The bridge to [socketioxide](https://docs.rs/socketioxide): its adapter over any backend.
#[cfg(feature = "socketioxide")]
pub mod socketioxide {
    pub use adapter_socketioxide::*;
}
