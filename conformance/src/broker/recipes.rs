//! The brokers that the suite knows how to start.

use super::recipe::{Probe, Setup};
use super::{Launch, Recipe};

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

// Every server has an address of its own within 127.0.0.0/8, so that all of a cluster can have the same port for each other.
const RABBITMQ_ENVIRONMENT: &[(&str, &str)] = &[
    ("RABBITMQ_NODENAME", "rabbit{index}@127.0.0.1{index}"),
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
    (
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS",
        "-setcookie roomcast -kernel inet_dist_use_interface {127,0,0,1{index}} \
         -rabbit loopback_users [] +S 1:1 +sbwt none +sbwtdcpu none +sbwtdio none",
    ),
    ("RABBITMQ_CTL_ERL_ARGS", "-dist_listen false -setcookie roomcast"),
];

// In a container with Erlang's port mapper, which RabbitMQ 4 needs.
const RABBITMQ_WITH_EPMD: &[(&str, &str)] = &[("RABBITMQ_DIST_PORT", "{peer}")];

// On this machine without it: it is a daemon that would outlive the test.
const RABBITMQ_WITHOUT_EPMD: &[(&str, &str)] = &[
    ("ERL_FLAGS", "-start_epmd false -erl_epmd_port {peer0}"),
    ("ERL_EPMD_PORT", "1"),
    (
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS",
        "-name rabbit{index}@127.0.0.1{index} -setcookie roomcast -kernel inet_dist_use_interface {127,0,0,1{index}} \
         -rabbit loopback_users [] +S 1:1 +sbwt none +sbwtdcpu none +sbwtdio none",
    ),
];

// The first does not wait for the others, which join it.
const RABBITMQ_CLUSTER_ARGUMENTS: &[&str] = &[
    "-rabbit",
    "cluster_nodes",
    "{['rabbit0@127.0.0.10','rabbit1@127.0.0.11'],disc}",
    "-rabbit",
    "cluster_formation",
    "[{discovery_retry_limit,1},{discovery_retry_interval,100}]",
];

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

/// All of them.
pub fn all() -> [Recipe; 7] {
    [redis(), redis_cluster(), nats(), nats_cluster(), rabbitmq(), rabbitmq_cluster(), postgres()]
}

/// One Redis server, without persistence.
pub fn redis() -> Recipe {
    Recipe::new("redis", "redis")
        .program(Launch::new("redis-server").args(REDIS_ARGUMENTS.iter().copied()))
        .image(Launch::new("redis:8").args(REDIS_ARGUMENTS.iter().copied()))
        .probe(Probe::Redis)
}

/// A Redis Cluster of three masters.
pub fn redis_cluster() -> Recipe {
    with_args(redis(), REDIS_CLUSTER_ARGUMENTS)
        .named("redis-cluster")
        .family("REDIS")
        .several(3, Setup::RedisSlots)
        .probe(Probe::RedisCluster)
}

/// One NATS server, without JetStream.
pub fn nats() -> Recipe {
    Recipe::new("nats", "nats")
        .program(Launch::new("nats-server").args(NATS_ARGUMENTS.iter().copied()))
        .image(Launch::new("nats:2").args(NATS_ARGUMENTS.iter().copied()))
        .probe(Probe::Nats)
}

/// A NATS cluster of three servers.
pub fn nats_cluster() -> Recipe {
    with_args(nats(), NATS_CLUSTER_ARGUMENTS).named("nats-cluster").family("NATS").several(3, Setup::None)
}

/// One RabbitMQ server, without plugins; the user `guest` may come from anywhere.
pub fn rabbitmq() -> Recipe {
    // Not the program on the PATH, which changes the user and stays the server's parent.
    let program = Launch::new("/usr/lib/rabbitmq/bin/rabbitmq-server")
        .envs(RABBITMQ_ENVIRONMENT.iter().copied())
        .envs(RABBITMQ_WITHOUT_EPMD.iter().copied())
        .prepare(["sh", "-c", RABBITMQ_WITHOUT_PLUGINS]);
    Recipe::new("rabbitmq", "amqp")
        .program(program)
        .image(
            Launch::new("rabbitmq:4")
                .envs(RABBITMQ_ENVIRONMENT.iter().copied())
                .envs(RABBITMQ_WITH_EPMD.iter().copied()),
        )
        .answers(5672, *b"AMQP\0\0\x09\x01", "\x07version")
}

/// A RabbitMQ cluster of two servers; a queue is on the one that its client is connected to.
pub fn rabbitmq_cluster() -> Recipe {
    let cluster = rabbitmq().with_image(|image| image.args(["rabbitmq-server"]));
    with_args(cluster, RABBITMQ_CLUSTER_ARGUMENTS)
        .named("rabbitmq-cluster")
        .family("RABBITMQ")
        .several(2, Setup::InTurn)
}

/// One PostgreSQL server, which trusts everybody.
pub fn postgres() -> Recipe {
    let program = Launch::new("postgres")
        .args(["-D", "{folder}/data", "-k", "{folder}", "-h", "{bind}"])
        .prepare([
            "initdb",
            "--pgdata={folder}/data",
            "--username=postgres",
            "--auth=trust",
            "--encoding=UTF8",
            "--locale=C",
            "--no-sync",
        ])
        .user("postgres")
        .stop("INT"); // by TERM it would wait for its clients to go
    let image = Launch::new("postgres:17")
        .envs([("POSTGRES_HOST_AUTH_METHOD", "trust"), ("POSTGRES_INITDB_ARGS", "--no-sync")]);
    with_args(Recipe::new("postgres", "postgres").program(program).image(image), POSTGRES_ARGUMENTS)
        .probe(Probe::Postgres)
}

/// The same broker with these arguments more, wherever it runs.
fn with_args(recipe: Recipe, arguments: &'static [&'static str]) -> Recipe {
    let more = |launch: Launch| launch.args(arguments.iter().copied());
    recipe.with_program(more).with_image(more)
}
