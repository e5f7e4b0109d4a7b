#![doc = include_str!("../README.md")]

mod backend;
mod config;
mod connection;
mod error;
mod intake;

pub use adapter_core::backend::{Credentials, Login};
pub use async_nats;
pub use config::Nats;
