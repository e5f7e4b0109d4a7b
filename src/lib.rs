#![doc = include_str!("../README.md")]

pub use adapter_core::*;

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

/// The guides, whose code is compiled and run with the tests.
#[cfg(doctest)]
mod guides {
    #[doc = include_str!("../docs/coming-from-redis-adapter.md")]
    mod coming_from_redis_adapter {}
    #[doc = include_str!("../docs/coming-from-sails.md")]
    mod coming_from_sails {}
    #[doc = include_str!("../docs/coming-from-socketioxide-redis.md")]
    mod coming_from_socketioxide_redis {}
    #[doc = include_str!("../docs/from-one-server-to-many.md")]
    mod from_one_server_to_many {}
    #[doc = include_str!("../docs/operating.md")]
    mod operating {}
    #[doc = include_str!("../docs/security.md")]
    mod security {}
    #[doc = include_str!("../docs/websocket.md")]
    mod websocket {}
}
