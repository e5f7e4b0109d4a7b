//! The brokers that the suite knows how to start.

use super::{Launch, Probe, Recipe, Setup};

const REDIS_ARGUMENTS: &[&str] = &[
    "--port",
    "{port}",
    "--bind",
    "{bind}",
    "--protected-mode",
    "no",
    "--save",
    "",
    "--appendonly",
    "no",
    "--dir",
    "{folder}",
];

const REDIS_CLUSTER_ARGUMENTS: &[&str] = &[
    "--cluster-enabled",
    "yes",
    "--cluster-config-file",
    "nodes-{index}.conf",
    "--cluster-port",
    "{peer}",
    "--cluster-announce-ip",
    "127.0.0.1",
    "--cluster-node-timeout",
    "2000",
    // There are no replicas: without one master, the others serve their slots.
    "--cluster-require-full-coverage",
    "no",
];

// The address is announced because in a container the server sees one that nobody outside can use.
const NATS_ARGUMENTS: &[&str] = &["--addr", "{bind}", "--port", "{port}", "--client_advertise", "127.0.0.1:{port}"];

const NATS_CLUSTER_ARGUMENTS: &[&str] = &[
    "--server_name",
    "server-{index}",
    "--cluster_name",
    "roomcast",
    "--cluster",
    "nats://{bind}:{peer}",
    "--cluster_advertise",
    "127.0.0.1:{peer}",
    "--routes",
    "nats://127.0.0.1:{peer0},nats://127.0.0.1:{peer1},nats://127.0.0.1:{peer2}",
];

/// All of them.
pub const ALL: &[&Recipe] = &[&REDIS, &REDIS_CLUSTER, &NATS, &NATS_CLUSTER];

/// One Redis server, without persistence.
pub const REDIS: Recipe = Recipe {
    name: "redis",
    setting: "REDIS",
    family: "REDIS",
    scheme: "redis",
    servers: 1,
    local: Launch { what: "redis-server", arguments: &[REDIS_ARGUMENTS], environment: &[], prepare: &[] },
    container: Launch { what: "redis:8", arguments: &[REDIS_ARGUMENTS], environment: &[], prepare: &[] },
    probe: Probe::Redis,
    setup: Setup::None,
};

/// A Redis Cluster of three masters.
pub const REDIS_CLUSTER: Recipe = Recipe {
    name: "redis-cluster",
    setting: "REDIS_CLUSTER",
    servers: 3,
    local: Launch { arguments: &[REDIS_ARGUMENTS, REDIS_CLUSTER_ARGUMENTS], ..REDIS.local },
    container: Launch { arguments: &[REDIS_ARGUMENTS, REDIS_CLUSTER_ARGUMENTS], ..REDIS.container },
    probe: Probe::RedisCluster,
    setup: Setup::RedisSlots,
    ..REDIS
};

/// One NATS server, without JetStream.
pub const NATS: Recipe = Recipe {
    name: "nats",
    setting: "NATS",
    family: "NATS",
    scheme: "nats",
    servers: 1,
    local: Launch { what: "nats-server", arguments: &[NATS_ARGUMENTS], environment: &[], prepare: &[] },
    container: Launch { what: "nats:2", arguments: &[NATS_ARGUMENTS], environment: &[], prepare: &[] },
    probe: Probe::Nats,
    setup: Setup::None,
};

/// A NATS cluster of three servers.
pub const NATS_CLUSTER: Recipe = Recipe {
    name: "nats-cluster",
    setting: "NATS_CLUSTER",
    servers: 3,
    local: Launch { arguments: &[NATS_ARGUMENTS, NATS_CLUSTER_ARGUMENTS], ..NATS.local },
    container: Launch { arguments: &[NATS_ARGUMENTS, NATS_CLUSTER_ARGUMENTS], ..NATS.container },
    ..NATS
};
