#![doc = include_str!("../README.md")]

mod backend;
mod config;
mod connection;
mod description;
mod error;
mod intake;
mod pair;
mod streams;
mod topology;
mod url;

pub use config::Redis;
#[cfg(feature = "tls")]
pub use roomcast_core::backend::tls::rustls;
pub use roomcast_core::backend::{Credentials, Login};
