//! The brokers that the suite knows how to start.

use super::recipe::{Probe, Setup};
use super::{Filling, Launch, Recipe};

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
    // None takes another for dead because the machine stood still.
    "--cluster-node-timeout",
    "15000",
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

// In the file that its configuration is read from.
const RABBITMQ_TAKES_LESS: &[&str] = &["sh", "-c", "echo max_message_size = 65536 > {folder}/none.conf"];

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

// In front of a PostgreSQL at `{peer}`. Every node of a test has two connections, in session mode for itself.
const PGBOUNCER: &str = "
[databases]
* = host=127.0.0.1 port=SERVER
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = POOLER
unix_socket_dir =
auth_type = trust
auth_file = users
pool_mode = MODE
max_client_conn = 1000
default_pool_size = SIZE
server_login_retry = 0.1
";

// Those that publish and those that subscribe.
const REDIS_ENDS_LINKS: [&str; 3] = [
    "sh",
    "-c",
    "cli=$(command -v redis-cli || command -v valkey-cli)
    for type in normal pubsub; do $cli -p {port} CLIENT KILL TYPE $type; done",
];

const POSTGRES_ENDS_LINKS: [&str; 9] = [
    "psql",
    "-h",
    "127.0.0.1",
    "-p",
    "{port}",
    "-U",
    "postgres",
    "-c",
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()",
];

const REDIS_MEMORY: &str = "cli=$(command -v redis-cli || command -v valkey-cli); $cli -p {port} CONFIG SET maxmemory ";

const POSTGRES_ASKS: &str = "set -e
    ask() { psql -h 127.0.0.1 -p {port} -U postgres -qtAc \"$1\"; }
    ";

const POSTGRES_PREPARES: &str = "version=$(ask 'SHOW server_version_num')
    if [ \"$version\" -ge 170000 ]
    then ask 'ALTER SYSTEM SET max_notify_queue_pages = 64'
    else echo 'before release 17 the queue of PostgreSQL takes 8 GB, whatever is configured'
    fi";

// What is notified stays in the queue while a session that listens is in a transaction. In a container the server becomes the parent
// of the subshell, and would take another end than with 0 for a crash of its own.
const POSTGRES_FILLS: &str = "(
        PGAPPNAME=filler psql -h 127.0.0.1 -p {port} -U postgres -c 'LISTEN filler' -c BEGIN -c 'SELECT pg_sleep(3600)' -c COMMIT || true
    ) >/dev/null 2>&1 </dev/null &
    asleep=\"SELECT count(*) FROM pg_stat_activity WHERE application_name = 'filler' AND wait_event = 'PgSleep'\"
    n=0
    until [ \"$(ask \"$asleep\")\" = 1 ]; do n=$((n + 1)); [ $n -lt 300 ] || exit 1; sleep 0.1; done
    n=0
    while [ $n -lt 1000 ] && n=$((n + 1)) && ask \"SELECT count(pg_notify('filler', n || repeat('x', 7000))) FROM generate_series(1, 10) AS n\" 2>{folder}/refused; do :; done
    grep -q 'too many notifications' {folder}/refused";

const POSTGRES_RELIEVES: &str =
    "ask \"SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE application_name = 'filler'\"";

/// Those that a program or a person asks for by name: of each family one server, and a cluster.
pub fn all() -> [Recipe; 7] {
    [redis(), redis_cluster(), nats(), nats_cluster(), rabbitmq(), rabbitmq_cluster(), postgres()]
}

/// One Redis server, without persistence.
pub fn redis() -> Recipe {
    Recipe::new("redis", "redis")
        .program(Launch::new("redis-server").args(REDIS_ARGUMENTS.iter().copied()))
        .image(Launch::new("redis:8").args(REDIS_ARGUMENTS.iter().copied()))
        .probe(Probe::Redis)
        .takes_all("Redis cannot be configured to take less than 1 MiB")
        .never_full("without memory Redis still passes on what is published, which it does not keep")
        .ends_links(REDIS_ENDS_LINKS)
}

/// One Redis server whose streams are published on: those are kept.
pub fn redis_streams() -> Recipe {
    let memory = |bytes: &str| ["sh".to_owned(), "-c".to_owned(), format!("{REDIS_MEMORY}{bytes}")];
    redis().filled_by(Filling::new(memory("1"), memory("0"), "maxmemory"))
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
    let program = Launch::new("nats-server")
        .args(NATS_ARGUMENTS.iter().copied())
        .file("limits", "")
        .args(["--config", "{folder}/limits"])
        .takes_less_by(["sh", "-c", "echo max_payload: 65536 > {folder}/limits"]);
    Recipe::new("nats", "nats")
        .program(program)
        .image(Launch::new("nats:2").args(NATS_ARGUMENTS.iter().copied()))
        .probe(Probe::Nats)
        .never_full("core NATS keeps nothing of what is published")
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
        .takes_less_by(RABBITMQ_TAKES_LESS.iter().copied())
        .prepare(["sh", "-c", RABBITMQ_WITHOUT_PLUGINS]);
    Recipe::new("rabbitmq", "amqp")
        .program(program)
        .image(
            Launch::new("rabbitmq:4")
                .envs(RABBITMQ_ENVIRONMENT.iter().copied())
                .envs(RABBITMQ_WITH_EPMD.iter().copied())
                .takes_less_by(RABBITMQ_TAKES_LESS.iter().copied()),
        )
        .answers(5672, *b"AMQP\0\0\x09\x01", "\x07version")
        .ends_links(["rabbitmqctl", "-q", "close_all_connections", "maintenance"])
        .never_full("RabbitMQ refuses nothing: under an alarm it does not read, and the links are down")
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
        .takes_all("what a notification of PostgreSQL takes, 8,000 bytes, is fixed when it is built")
        .ends_links(POSTGRES_ENDS_LINKS)
        .filled_by(
            Filling::new(asks(POSTGRES_FILLS), asks(POSTGRES_RELIEVES), "a listener does not read")
                .prepared_by(asks(POSTGRES_PREPARES)),
        )
}

fn asks(script: &str) -> [String; 3] {
    ["sh".to_owned(), "-c".to_owned(), format!("{POSTGRES_ASKS}{script}")]
}

/// One Redis server by `rediss://`.
pub fn redis_tls() -> Recipe {
    let plain = redis().with_program(|program| {
        let files = ["--tls-ca-cert-file", "ca.pem", "--tls-cert-file", "server.pem", "--tls-key-file", "server.key"];
        // Of a setting that is there twice the last one holds.
        program.args(["--port", "{peer}", "--tls-port", "{port}", "--tls-auth-clients", "no"]).args(files)
    });
    plain.named("redis-tls").family("REDIS").tls("rediss", "ca={folder}/ca.pem").asked_at_peer()
}

/// One NATS server by `tls://`.
pub fn nats_tls() -> Recipe {
    let files = ["--tlscert", "{folder}/server.pem", "--tlskey", "{folder}/server.key"];
    let plain = nats().with_program(|program| program.args(["--tls"]).args(files));
    plain.named("nats-tls").family("NATS").tls("tls", "ca={folder}/ca.pem")
}

/// One RabbitMQ server by `amqps://`.
pub fn rabbitmq_tls() -> Recipe {
    let plain = rabbitmq().with_program(|program| {
        let options = "[{cacertfile,\"{folder}/ca.pem\"},{certfile,\"{folder}/server.pem\"},{keyfile,\"{folder}/server.key\"},{verify,verify_none}]";
        // The port for other servers is at another address.
        program.envs([("RABBITMQ_NODE_PORT", "{peer}")]).args([
            "-rabbit",
            "ssl_listeners",
            "[{\"127.0.0.1\",{port}}]",
            "-rabbit",
            "ssl_options",
            options,
        ])
    });
    plain.named("rabbitmq-tls").family("RABBITMQ").tls("amqps", "ca={folder}/ca.pem").asked_at_peer()
}

/// One PostgreSQL server by TLS.
pub fn postgres_tls() -> Recipe {
    let files = ["ssl_cert_file={folder}/server.pem", "ssl_key_file={folder}/server.key"];
    let plain = postgres().with_program(|program| program.args(["-c", "ssl=on", "-c", files[0], "-c", files[1]]));
    let query = "sslmode=verify-full&sslrootcert={folder}/ca.pem";
    plain.named("postgres-tls").family("POSTGRES").tls("postgres", query)
}

/// PgBouncer in session mode in front of one PostgreSQL server: everything goes through it.
pub fn pgbouncer() -> Recipe {
    let ini = pooled("{port}", "{peer}", "session", "400");
    let server = postgres().named("pgbouncer").family("POSTGRES").without_image();
    server.with_program(|server| bouncer(ini).in_front_of(server.args(["-p", "{peer}"])))
}

/// PgBouncer in transaction mode beside the way to one PostgreSQL server: `publish_url` leads through it.
pub fn pgbouncer_transaction() -> Recipe {
    let ini = pooled("{peer}", "{port}", "transaction", "20");
    let server = postgres().named("pgbouncer-transaction").family("POSTGRES").without_image();
    server
        .with_program(|server| bouncer(ini).in_front_of(server))
        .url_options("publish_url=postgres://{host}:{peer}")
        .also_at_peer()
}

fn pooled(pooler: &str, server: &str, mode: &str, size: &str) -> String {
    PGBOUNCER.replace("POOLER", pooler).replace("SERVER", server).replace("MODE", mode).replace("SIZE", size)
}

fn bouncer(ini: String) -> Launch {
    Launch::new("pgbouncer")
        .file("ini", ini)
        .file("users", "\"postgres\" \"\"")
        .args(["{folder}/ini"])
        .user("postgres")
        .stop("QUIT") // by others, which differ between versions, it would wait for its clients or servers to go
}

/// The same broker with these arguments more, wherever it runs.
fn with_args(recipe: Recipe, arguments: &'static [&'static str]) -> Recipe {
    let more = |launch: Launch| launch.args(arguments.iter().copied());
    recipe.with_program(more).with_image(more)
}
