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
    // They tell of each other by ports alone, so that a client stays at the host by which it came: a proxy's, say.
    "--cluster-preferred-endpoint-type",
    "unknown-endpoint",
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
pub const ALL: &[&Recipe] = &[&REDIS, &REDIS_CLUSTER, &NATS, &NATS_CLUSTER, &RABBITMQ, &RABBITMQ_CLUSTER, &POSTGRES];

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

// Every server has an address of its own within 127.0.0.0/8, so that all of a cluster can have the same port for each other
// and none needs Erlang's port mapper, a daemon that would outlive the test.
const RABBITMQ_ENVIRONMENT: &[(&str, &str)] = &[
    ("RABBITMQ_NODENAME", "rabbit@127.0.0.1{index}"),
    ("RABBITMQ_USE_LONGNAME", "true"),
    ("RABBITMQ_NODE_IP_ADDRESS", "{bind}"),
    ("RABBITMQ_NODE_PORT", "{port}"),
    ("RABBITMQ_DIST_PORT", "{peer0}"),
    ("RABBITMQ_MNESIA_BASE", "{folder}/data"),
    ("RABBITMQ_LOG_BASE", "{folder}/log"),
    ("RABBITMQ_LOGS", "-"),
    ("RABBITMQ_PID_FILE", "{folder}/pid"),
    ("RABBITMQ_ENABLED_PLUGINS_FILE", "{folder}/enabled"),
    ("RABBITMQ_CONFIG_FILE", "{folder}/none"),
    ("RABBITMQ_CONF_ENV_FILE", "{folder}/none"),
    // The script becomes the server, as it does under systemd, and is not its parent: so it is the server that is killed.
    ("RUNNING_UNDER_SYSTEMD", "true"),
    ("HOME", "{folder}"),
    ("ERL_FLAGS", "-start_epmd false -erl_epmd_port {peer0}"),
    ("ERL_EPMD_PORT", "1"),
    (
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS",
        "-name rabbit@127.0.0.1{index} -setcookie roomcast -kernel inet_dist_use_interface {127,0,0,1{index}} \
         -rabbit loopback_users [] +S 1:1 +sbwt none +sbwtdcpu none +sbwtdio none",
    ),
    ("RABBITMQ_CTL_ERL_ARGS", "-dist_listen false -setcookie roomcast"),
];

const RABBITMQ_CLUSTER_ARGUMENTS: &[&str] =
    &["-rabbit", "cluster_nodes", "{['rabbit@127.0.0.10','rabbit@127.0.0.11'],disc}"];

/// A copy of the server's scripts beside links to what it needs: it starts in two thirds of the time, which it spends looking for
/// code in the folders of some 40 plugins.
const RABBITMQ_WITHOUT_PLUGINS: &str = "
    set -e
    for home in /usr/lib/rabbitmq/lib/rabbitmq_server-*; do :; done
    cp -r \"$home/sbin\" bin
    mkdir plugins
    for part in \"$home\"/plugins/*; do
        case ${part##*/} in
            rabbitmq_prelaunch*) ln -s \"$part\" plugins ;;
            rabbitmq_* | README) ;;
            *) ln -s \"$part\" plugins ;;
        esac
    done";

/// One RabbitMQ server, without plugins; the user `guest` may come from anywhere.
pub const RABBITMQ: Recipe = Recipe {
    name: "rabbitmq",
    setting: "RABBITMQ",
    family: "RABBITMQ",
    scheme: "amqp",
    servers: 1,
    // Not the one on the PATH, which changes the user and stays the server's parent.
    local: Launch {
        what: "/usr/lib/rabbitmq/bin/rabbitmq-server",
        arguments: &[],
        environment: RABBITMQ_ENVIRONMENT,
        prepare: &[&["sh", "-c", RABBITMQ_WITHOUT_PLUGINS]],
        user: None,
        stop: "TERM",
    },
    container: Launch {
        what: "rabbitmq:3",
        arguments: &[],
        environment: RABBITMQ_ENVIRONMENT,
        prepare: &[],
        user: None,
        stop: "TERM",
    },
    probe: Probe::Answer { port: 5672, ask: b"AMQP\0\0\x09\x01", before_version: "\x07version" },
    setup: Setup::None,
};

/// A RabbitMQ cluster of two servers; a queue is on the one that its client is connected to.
pub const RABBITMQ_CLUSTER: Recipe = Recipe {
    name: "rabbitmq-cluster",
    setting: "RABBITMQ_CLUSTER",
    servers: 2,
    local: Launch { arguments: &[RABBITMQ_CLUSTER_ARGUMENTS], ..RABBITMQ.local },
    container: Launch { arguments: &[&["rabbitmq-server"], RABBITMQ_CLUSTER_ARGUMENTS], ..RABBITMQ.container },
    setup: Setup::InTurn,
    ..RABBITMQ
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
