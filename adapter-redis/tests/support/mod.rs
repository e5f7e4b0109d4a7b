//! Servers of our own, through the suite's brokers, and nodes without a cluster behind them.

#![allow(dead_code, unused_imports, reason = "each test file uses its part of it")]

use std::time::Instant;

use roomcast_conformance::bare::with_arguments;
pub(crate) use roomcast_conformance::bare::{Node, channel, eventually, tries};
use roomcast_conformance::broker::Launch;
pub(crate) use roomcast_conformance::{Broker, Recipe, recipes};
use roomcast_core::Error;
use roomcast_redis::Redis;

pub(crate) type Tested = Result<(), Box<dyn std::error::Error>>;

/// The channel of most tests.
pub(crate) const ALL: &str = "rc.shop.all";

/// A server as it comes.
pub(crate) async fn redis() -> Broker {
    Broker::start(&recipes::redis()).await.unwrap_or_else(|missing| panic!("{missing}"))
}

/// From the program of this machine, for what is not as it comes.
async fn here(recipe: Recipe) -> Broker {
    Broker::start_here(&recipe).await.unwrap_or_else(|missing| panic!("{missing}"))
}

/// With these arguments of redis-server.
pub(crate) async fn with(arguments: &[&str]) -> Broker {
    here(with_arguments(recipes::redis(), arguments)).await
}

/// A sentinel that watches this master as the service "main".
pub(crate) async fn sentinel(master: &Broker) -> Broker {
    let watch = "sentinel down-after-milliseconds main 1000\nsentinel failover-timeout main 3000";
    sentinel_with(&format!("sentinel monitor main 127.0.0.1 {} 1\n{watch}", port(master))).await
}

/// A sentinel with these settings.
pub(crate) async fn sentinel_with(settings: &str) -> Broker {
    let settings = format!("port {{port}}\nbind {{bind}}\n{settings}");
    let program = Launch::new("redis-server").file("conf", settings).args(["{folder}/conf", "--sentinel"]);
    here(recipes::redis().named("sentinel").program(program)).await
}

/// The suite's Redis Cluster, whose servers tell of each other by ports alone.
pub(crate) async fn cluster_by_ports() -> Broker {
    here(recipes::redis_cluster()).await
}

/// How servers tell of each other as they come. One that is dead is known to be soon.
const BY_ADDRESS: [&str; 4] = ["--cluster-preferred-endpoint-type", "ip", "--cluster-node-timeout", "2000"];

/// A Redis Cluster of three masters.
pub(crate) async fn cluster() -> Broker {
    here(with_arguments(recipes::redis_cluster(), &BY_ADDRESS)).await
}

/// One more server, in no cluster yet.
pub(crate) async fn cluster_server() -> Broker {
    let recipe = with_arguments(recipes::redis_cluster(), &BY_ADDRESS);
    here(recipe.alone()).await
}

pub(crate) fn port(broker: &Broker) -> u16 {
    broker.addresses()[0].port()
}

/// What redis-cli prints for a command.
pub(crate) async fn ask(broker: &Broker, command: &str) -> String {
    ask_one(broker, 0, command).await
}

/// What it prints when it asks one server of several.
pub(crate) async fn ask_one(broker: &Broker, server: usize, command: &str) -> String {
    let port = broker.addresses()[server].port().to_string();
    let words: Vec<_> = ["redis-cli", "-p", &port].into_iter().chain(command.split(' ')).collect();
    broker.run(server, &words).await.expect("redis-cli is installed")
}

/// Subscribed to the channel of most tests.
pub(crate) async fn on(url: &str) -> Node {
    Node::on(Redis::from_url(url), ALL).await
}

/// Two of them.
pub(crate) async fn pair(url: &str) -> (Node, Node) {
    (on(url).await, on(url).await)
}

/// Why this URL is refused.
pub(crate) async fn refusal(url: &str) -> Error {
    roomcast_conformance::bare::refusal(&Redis::from_url(url).expect("valid")).await
}

/// Each publishes, and both hear it, and nothing else.
pub(crate) async fn talk(one: &mut Node, two: &mut Node) {
    for text in ["by one", "by two"] {
        let from = if text == "by one" { &one } else { &two };
        from.publish(ALL, text).await.expect("published");
        assert_eq!((one.frame().await, two.frame().await), (text.into(), text.into()));
    }
}

/// Each publishes until the other hears it: while a cluster is settling, a link that is up may have to be made again.
pub(crate) async fn settle(one: &mut Node, two: &mut Node) {
    one.reaches(two, ALL).await;
    two.reaches(one, ALL).await;
}

/// For the record.
pub(crate) fn told(what: &str, since: Instant) {
    println!("{what}: {:?}", since.elapsed());
}
