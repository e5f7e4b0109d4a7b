#![doc = include_str!("../README.md")]

mod backend;
mod belongings;
mod config;
mod connection;
mod error;
mod intake;
mod runtime;
mod session;
mod url;
mod wire;

#[cfg(feature = "tls")]
pub use adapter_core::backend::tls::rustls;
pub use adapter_core::backend::{Credentials, Login};
pub use config::Amqp;
pub use lapin;
