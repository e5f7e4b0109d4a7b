#![doc = include_str!("../README.md")]

pub use adapter_core::*;

#[cfg(feature = "axum")]
pub mod axum;
#[cfg(feature = "health")]
pub mod health;
mod url;

pub use url::{backend, connect};

/// [Redis](https://redis.io) and Valkey: the URL's options, an existing client, Redis Cluster, Sentinel, streams.
#[cfg(feature = "redis")]
pub mod redis {
    pub use adapter_redis::*;
}

/// [NATS](https://nats.io): the URL's options, the client's own, a cluster of servers.
#[cfg(feature = "nats")]
pub mod nats {
    pub use adapter_nats::*;
}

/// [RabbitMQ](https://www.rabbitmq.com): the URL's options, bounds, a cluster of brokers.
#[cfg(feature = "amqp")]
pub mod amqp {
    pub use adapter_amqp::*;
}

/// [PostgreSQL](https://www.postgresql.org): the URL's options, a pooler, emitting from SQL.
#[cfg(feature = "postgres")]
pub mod postgres {
    pub use adapter_postgres::*;
}

/// The bridge to [socketioxide](https://docs.rs/socketioxide): its adapter over any backend.
#[cfg(feature = "socketioxide")]
pub mod socketioxide {
    pub use adapter_socketioxide::*;
}
