#![doc = include_str!("../README.md")]

mod backend;
mod config;
mod connection;
mod error;
mod listen;

pub use async_nats;
pub use config::Nats;
