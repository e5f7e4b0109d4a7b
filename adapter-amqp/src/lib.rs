#![doc = include_str!("../README.md")]

mod backend;
mod config;
mod connection;
mod error;
mod intake;
mod listen;
mod runtime;
mod session;
#[cfg_attr(not(feature = "tls"), path = "tls_off.rs")]
mod tls;
mod url;
mod wire;

pub use config::Amqp;
pub use lapin;
#[cfg(feature = "tls")]
pub use tokio_rustls::rustls;
