#![doc = include_str!("../README.md")]

mod backend;
mod config;
mod connection;
mod error;
mod intake;
mod streams;
mod topology;
mod url;

#[cfg(feature = "tls")]
pub use adapter_core::backend::tls::rustls;
pub use adapter_core::backend::{Credentials, Login};
pub use config::{Mode, Redis};
pub use redis;
