#![doc = include_str!("../README.md")]

mod backend;
mod config;
mod connection;
mod description;
mod error;
mod greeting;
mod intake;
mod runtime;
mod url;

pub use config::Amqp;
#[cfg(feature = "tls")]
pub use roomcast_core::backend::tls::rustls;
pub use roomcast_core::backend::{Credentials, Login};
