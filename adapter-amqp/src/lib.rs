#![doc = include_str!("../README.md")]

mod backend;
mod belongings;
mod config;
mod connection;
mod description;
mod error;
mod greeting;
mod intake;
mod runtime;
mod session;
mod url;
mod wire;

pub use config::Amqp;
pub use lapin;
#[cfg(feature = "tls")]
pub use roomcast_core::backend::tls::rustls;
pub use roomcast_core::backend::{Credentials, Login};
