#![doc = include_str!("../README.md")]

mod backend;
mod config;
mod connection;
mod creds;
mod description;
mod error;
mod intake;
mod signals;

pub use async_nats;
pub use config::Nats;
pub use roomcast_core::backend::{Credentials, Login};
