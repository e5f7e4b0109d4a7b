#![doc = include_str!("../README.md")]

mod backend;
mod config;
mod connection;
mod emitted;
mod error;
mod install;
mod intake;
mod text;
#[cfg_attr(not(feature = "tls"), path = "tls_off.rs")]
mod tls;
mod url;

#[cfg(feature = "tls")]
pub use adapter_core::backend::tls::rustls;
pub use adapter_core::backend::{Credentials, Login};
pub use config::Postgres;
pub use tokio_postgres;
