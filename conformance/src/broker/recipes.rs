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

/// One Redis server, without persistence.
pub const REDIS: Recipe = Recipe {
    name: "redis",
    setting: "REDIS",
    family: "REDIS",
    scheme: "redis",
    servers: 1,
    local: Launch {
        what: "redis-server",
        arguments: &[REDIS_ARGUMENTS],
        environment: &[],
        prepare: &[],
        user: None,
        stop: "TERM",
    },
    container: Launch {
        what: "redis:8",
        arguments: &[REDIS_ARGUMENTS],
        environment: &[],
        prepare: &[],
        user: None,
        stop: "TERM",
    },
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
    local: Launch {
        what: "nats-server",
        arguments: &[NATS_ARGUMENTS],
        environment: &[],
        prepare: &[],
        user: None,
        stop: "TERM",
    },
    container: Launch {
        what: "nats:2",
        arguments: &[NATS_ARGUMENTS],
        environment: &[],
        prepare: &[],
        user: None,
        stop: "TERM",
    },
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

// It is for no longer than a test, and speed is all.
const POSTGRES_ARGUMENTS: &[&str] = &[
    "-p",
    "{port}",
    "-c",
    "fsync=off",
    "-c",
    "full_page_writes=off",
    "-c",
    "max_connections=500",
    "-c",
    "shared_buffers=32MB",
];

/// One PostgreSQL server, which trusts everybody.
pub const POSTGRES: Recipe = Recipe {
    name: "postgres",
    setting: "POSTGRES",
    family: "POSTGRES",
    scheme: "postgres",
    servers: 1,
    local: Launch {
        what: "postgres",
        arguments: &[&["-D", "{folder}/data", "-k", "{folder}", "-h", "{bind}"], POSTGRES_ARGUMENTS],
        environment: &[],
        prepare: &[&[
            "initdb",
            "--pgdata={folder}/data",
            "--username=postgres",
            "--auth=trust",
            "--encoding=UTF8",
            "--locale=C",
            "--no-sync",
        ]],
        user: Some("postgres"),
        stop: "INT", // by TERM it would wait for its clients to go
    },
    container: Launch {
        what: "postgres:17",
        arguments: &[POSTGRES_ARGUMENTS],
        environment: &[("POSTGRES_HOST_AUTH_METHOD", "trust"), ("POSTGRES_INITDB_ARGS", "--no-sync")],
        prepare: &[],
        user: None,
        stop: "TERM",
    },
    probe: Probe::Postgres,
    setup: Setup::None,
};
