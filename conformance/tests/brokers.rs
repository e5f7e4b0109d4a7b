//! Every recipe lives through what the cases do to brokers, and leaves nothing behind.
//!
//! Where the brokers run is chosen as for the suite, by `CONFORMANCE_REDIS` and so on. A broker that cannot be had fails.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use roomcast_conformance::bare::eventually;
use roomcast_conformance::broker::{Broker, Launch, MissingBroker, Provider, Recipe, recipes};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(15);
/// How long a paused server is given to answer nevertheless.
const SILENCE: Duration = Duration::from_millis(200);

async fn start(recipe: &Recipe) -> Broker {
    let began = Instant::now();
    let broker = Broker::start(recipe).await.unwrap_or_else(|missing| panic!("{missing}"));
    let (name, version) = (broker.name(), broker.version());
    println!("{name} {version} ({}) is ready after {:?}", broker.provider(), began.elapsed());
    broker
}

/// What to ask a server. NATS speaks unasked, Redis when asked, and RabbitMQ answers eight bytes of anything with its own name.
const PING: &[u8] = b"PING\r\nPING\r\n";
/// PostgreSQL answers whether it speaks TLS.
const TLS: &[u8] = b"\0\0\0\x08\x04\xd2\x16\x2f";

fn question(broker: &Broker) -> &'static [u8] {
    if broker.url().starts_with("postgres:") { TLS } else { PING }
}

/// Whether the server speaks its protocol, at once; one that is busy may do so the next time.
async fn answers(address: SocketAddr, question: &[u8]) -> bool {
    let asked = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(question).await?;
        let mut byte = [0];
        stream.read_exact(&mut byte).await.map(|_| b"+IANS".contains(&byte[0]))
    };
    matches!(timeout(SILENCE, asked).await, Ok(Ok(true)))
}

async fn all_answer(broker: &Broker) -> bool {
    for &address in broker.addresses() {
        if !answers(address, question(broker)).await {
            return false;
        }
    }
    true
}

async fn none_answers(broker: &Broker) -> bool {
    for &address in broker.addresses() {
        if answers(address, question(broker)).await {
            return false;
        }
    }
    true
}

/// Sends this, and reads until that comes back.
async fn exchange(stream: &mut TcpStream, send: &str, expected: &str) {
    stream.write_all(send.as_bytes()).await.expect("it is open");
    let (mut heard, mut bytes) = (String::new(), [0; 4096]);
    while !heard.contains(expected) {
        let size = timeout(SOON, stream.read(&mut bytes)).await.unwrap_or_else(|_| panic!("no {expected}: {heard}"));
        let size = size.ok().filter(|size| *size > 0).unwrap_or_else(|| panic!("it ended before {expected}: {heard}"));
        heard.push_str(&String::from_utf8_lossy(&bytes[..size]));
    }
}

/// What is left on this machine of a broker: folders, processes and containers that are named after its ports.
fn remains(name: &str, addresses: &[SocketAddr]) -> Vec<String> {
    let mut found = Vec::new();
    for address in addresses {
        let mark = format!("roomcast-conformance-{name}-{}", address.port());
        let folders = std::fs::read_dir(std::env::temp_dir()).expect("it is there").flatten().map(|entry| entry.path());
        let marked = |path: &PathBuf| path.to_string_lossy().contains(&mark);
        found.extend(folders.filter(marked).map(|path| path.display().to_string()));
        found.extend(processes_with(&format!("--port\0{}\0", address.port())));
        found.extend(processes_with(&mark));
        let containers = Command::new("docker").args(["ps", "-aq", &format!("--filter=name={mark}")]).output();
        found.extend(containers.ok().filter(|listed| !listed.stdout.is_empty()).map(|_| mark));
    }
    found
}

fn processes_with(part: &str) -> Vec<String> {
    let lines = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let lines = lines.filter_map(|entry| std::fs::read_to_string(entry.path().join("cmdline")).ok());
    lines.filter(|line| line.contains(part)).collect()
}

async fn lives_through_everything(recipe: &Recipe) {
    let broker = start(recipe).await;
    if broker.provider() == Provider::External {
        assert!(broker.can().is_err() && broker.kill().await.is_err());
        return;
    }
    assert_eq!(broker.can(), Ok(()));
    assert!(broker.version().starts_with(|first: char| first.is_ascii_digit()), "{}", broker.version());
    eventually("all its servers answer", || all_answer(&broker)).await;
    let (url, addresses, name) = (broker.url(), broker.addresses().to_vec(), broker.name().to_owned());
    assert!(!remains(&name, &addresses).is_empty(), "what is looked for after the drop is seen now");

    broker.kill().await.expect("it can be killed");
    assert!(none_answers(&broker).await);
    broker.kill().await.expect("twice too");
    let began = Instant::now();
    broker.start_again().await.expect("it starts");
    println!("{name} is ready again after {:?}", began.elapsed());
    eventually("all its servers answer", || all_answer(&broker)).await;
    assert_eq!(broker.url(), url);

    broker.pause().await.expect("it can be paused");
    assert!(none_answers(&broker).await);
    broker.resume().await.expect("it goes on");
    eventually("it answers", || all_answer(&broker)).await;

    broker.pause().await.expect("it can be paused");
    broker.kill().await.expect("a paused one can be killed");
    broker.start_again().await.expect("it starts");

    let began = Instant::now();
    broker.restart_gently().await.expect("it restarts");
    println!("{name} has restarted gently after {:?}", began.elapsed());
    eventually("all its servers answer", || all_answer(&broker)).await;

    drop(broker);
    eventually("nothing is left", async || remains(&name, &addresses).is_empty()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_lives_through_everything() {
    lives_through_everything(&recipes::redis()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_cluster_lives_through_everything() {
    lives_through_everything(&recipes::redis_cluster()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nats_lives_through_everything() {
    lives_through_everything(&recipes::nats()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nats_cluster_lives_through_everything() {
    lives_through_everything(&recipes::nats_cluster()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rabbitmq_lives_through_everything() {
    lives_through_everything(&recipes::rabbitmq()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rabbitmq_cluster_lives_through_everything() {
    lives_through_everything(&recipes::rabbitmq_cluster()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_lives_through_everything() {
    lives_through_everything(&recipes::postgres()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pooler_and_its_server_live_through_everything() {
    lives_through_everything(&recipes::pgbouncer()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn by_tls_a_broker_has_an_authority_of_its_own() {
    let broker = start(&recipes::redis_tls()).await;
    let url = broker.url();
    let (at, authority) = url.split_once("?ca=").expect("the URL names it");
    assert_eq!(at, format!("rediss://{}", broker.addresses()[0]));
    assert!(std::fs::read_to_string(authority).expect("a file").contains("BEGIN CERTIFICATE"));
    assert!(!answers(broker.addresses()[0], PING).await, "nobody gets in without TLS");
    broker.kill().await.expect("it can be killed");
    broker.start_again().await.expect("it starts, with the same");
    assert_eq!(broker.url(), url);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operators_command_runs_where_the_server_does() {
    let broker = start(&recipes::rabbitmq_cluster()).await;
    for server in 0..2 {
        let running = "io:format(\"~p\", [length([node() | nodes()])]).";
        let said = broker.run(server, &["rabbitmqctl", "-q", "eval", running]).await.expect("it answers");
        assert!(said.starts_with('2'), "{said}");
    }
    let refused = broker.run(0, &["rabbitmqctl", "no_such_command"]).await.expect_err("there is none");
    assert!(refused.why.contains("no_such_command"), "{refused}");
    assert!(broker.run(0, &["no-such-program"]).await.is_err() && broker.run(2, &["true"]).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn one_server_of_a_cluster_dies_and_comes_back() {
    for recipe in [recipes::redis_cluster(), recipes::nats_cluster()] {
        let broker = start(&recipe).await;
        broker.kill_one(1).await.expect("it can be killed");
        let [first, second, third] = broker.addresses() else { panic!("three servers") };
        eventually("the others answer", async || answers(*first, PING).await && answers(*third, PING).await).await;
        assert!(!answers(*second, PING).await);
        broker.start_again().await.expect("it starts");
        eventually("all its servers answer", || all_answer(&broker)).await;
        assert!(broker.kill_one(3).await.is_err());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_moves_while_the_cluster_runs() {
    let broker = start(&recipes::redis_cluster()).await;
    let slot = broker.slot_of("roomcast.channel").await.expect("it answers");
    let from = broker.slot_owner(slot).await.expect("somebody has it");
    let to = (from + 1) % 3;
    let mut subscriber = TcpStream::connect(broker.addresses()[from]).await.expect("it listens");
    exchange(&mut subscriber, "SSUBSCRIBE roomcast.channel\r\n", "ssubscribe").await;
    broker.migrate_slot(slot, from, to).await.expect("it moves");
    exchange(&mut subscriber, "", "sunsubscribe").await;
    assert_eq!(broker.slot_owner(slot).await, Ok(to));
    assert!(broker.migrate_slot(slot, from, to).await.is_err(), "it is not there any more");
    broker.migrate_slot(slot, to, from).await.expect("it moves back");
    assert_eq!(broker.slot_owner(slot).await, Ok(from));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ready_nats_cluster_carries_messages_between_its_servers() {
    let broker = start(&recipes::nats_cluster()).await;
    let mut subscriber = TcpStream::connect(broker.addresses()[0]).await.expect("it listens");
    exchange(&mut subscriber, "CONNECT {\"verbose\":false}\r\nSUB a 1\r\nPING\r\n", "PONG").await;
    for &address in &broker.addresses()[1..] {
        let mut publisher = TcpStream::connect(address).await.expect("it listens");
        exchange(&mut publisher, "CONNECT {\"verbose\":false}\r\nPING\r\n", "PONG").await;
        // That somebody subscribed is told between servers without a confirmation, so it is said until it is heard.
        let publishing = async {
            loop {
                exchange(&mut publisher, "PUB a 2\r\nhi\r\nPING\r\n", "PONG").await;
            }
        };
        tokio::select! {
            () = publishing => {}
            () = exchange(&mut subscriber, "", "MSG a 1 2") => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn brokers_of_one_recipe_do_not_meet() {
    // Tasks, for the suite starts brokers in one runtime and uses them in others.
    let one = tokio::spawn(async { start(&recipes::nats()).await });
    let nats = recipes::nats();
    let (one, two) = tokio::join!(one, start(&nats));
    let one = one.expect("it starts");
    assert_ne!(one.url(), two.url());
    one.kill().await.expect("it can be killed");
    eventually("all its servers answer", || all_answer(&two)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_cannot_be_had_is_named() {
    let none = Recipe::new("none", "none")
        .program(Launch::new("no-such-server"))
        .image(Launch::new("no-such-image.invalid/none"));
    let missing: MissingBroker = Broker::start(&none).await.expect_err("there is none");
    assert_eq!(missing.what, "none");
    assert!(missing.why.contains("no-such-server"), "{missing}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_does_not_start_shows_its_log() {
    let wrong = |launch: Launch| launch.args(["--no-such-option"]);
    let broken = recipes::redis().with_program(wrong).with_image(wrong);
    let missing: MissingBroker = Broker::start(&broken).await.expect_err("it does not start");
    assert!(missing.why.contains("no-such-option"), "{missing}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_the_suite_does_not_know_is_ready_when_a_function_says_so() {
    let program =
        Launch::new("redis-server").file("conf", "port {port}\nbind {bind}\nsave \"\"").args(["{folder}/conf"]);
    let recipe = Recipe::new("a-stranger", "mine").program(program).ready(7000, |address| async move {
        if answers(address, PING).await { Ok("3.14".to_owned()) } else { Err("it is silent".to_owned()) }
    });
    let broker = Broker::start_here(&recipe).await.unwrap_or_else(|missing| panic!("{missing}"));
    assert_eq!(broker.version(), "3.14");
    assert!(broker.url().starts_with("mine://127.0.0.1:"));
    eventually("it answers", async || all_answer(&broker).await).await;

    let never = recipe.ready(7000, |_| async { Err("it is never ready".to_owned()) });
    let never = never.with_program(|program| program.args(["--no-such-option"])); // so that nobody waits for it
    let missing = Broker::start_here(&never).await.expect_err("it is not ready");
    assert!(missing.why.contains("it has ended"), "{missing}");
}

#[test]
fn the_suite_takes_few_lines_for_a_broker_that_it_knows_and_not_many_for_another() {
    let lines = |file: &str| {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").join(file);
        std::fs::read_to_string(path).expect("it is there").lines().count()
    };
    for backend in ["redis", "nats", "amqp", "postgres"] {
        assert!(lines(&format!("adapter-{backend}/tests/conformance.rs")) <= 15, "{backend}");
    }
    assert!(lines("examples/adapter-mqtt/tests/conformance.rs") <= 30);
}

/// Not a test of its own: the process that the next one kills.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "runs within servers_die_with_a_killed_process"]
async fn a_process_that_is_killed() {
    let broker = start(&recipes::nats()).await;
    println!("\naddress={} provider={}", broker.addresses()[0], broker.provider());
    std::future::pending::<()>().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_die_with_a_killed_process() {
    let mut child = Command::new(std::env::current_exe().expect("it runs"))
        .args(["--exact", "a_process_that_is_killed", "--ignored", "--nocapture"])
        .env("CONFORMANCE_NATS", "local")
        .stdout(Stdio::piped())
        .spawn()
        .expect("it is there");
    let lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
    let line = lines.map_while(Result::ok).find(|line| line.starts_with("address="));
    let line = line.expect("the child's broker starts");
    let address = line.trim_start_matches("address=").split(' ').next().and_then(|address| address.parse().ok());
    let address: SocketAddr = address.expect("an address");
    eventually("it answers", || answers(address, PING)).await;
    child.kill().expect("it runs");
    child.wait().expect("it was killed");
    eventually("the server is gone", async || TcpStream::connect(address).await.is_err()).await;
}
