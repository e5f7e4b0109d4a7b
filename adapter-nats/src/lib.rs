#![doc = include_str!("../README.md")]

mod backend;
mod config;
mod connection;
mod error;

pub use async_nats;
pub use config::Nats;
