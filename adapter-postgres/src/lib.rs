#![doc = include_str!("../README.md")]

mod backend;
mod config;
mod connection;
mod description;
mod emitted;
mod error;
mod intake;
mod session;
#[cfg_attr(not(feature = "tls"), path = "tls_off.rs")]
mod tls;
mod url;

pub use config::Postgres;
#[cfg(feature = "tls")]
pub use roomcast_core::backend::tls::rustls;
pub use roomcast_core::backend::{Credentials, Login};
