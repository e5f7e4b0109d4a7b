//! Brokers, and nodes without a cluster behind them.
#![allow(clippy::unwrap_used, reason = "how a test fails")]
#![allow(dead_code, unused_imports, reason = "each test file uses its part of it")]

use roomcast_amqp::Amqp;
pub(crate) use roomcast_conformance::bare::{Node, channel, eventually};
use roomcast_conformance::broker::{Broker, Recipe, recipes};
use roomcast_core::Error;
use tokio::sync::OnceCell;

/// A broker for all tests that leave it as it is. Starting one takes seconds; it ends with the process.
pub(crate) async fn shared() -> &'static Broker {
    static BROKER: OnceCell<Broker> = OnceCell::const_new();
    BROKER.get_or_init(own).await
}

/// A broker that may be broken.
pub(crate) async fn own() -> Broker {
    start(&recipes::rabbitmq()).await
}

/// A broker that takes commands: it takes connections a moment before.
pub(crate) async fn start(recipe: &Recipe) -> Broker {
    let broker = Broker::start(recipe).await.unwrap();
    ctl(&broker, &["await_startup"]).await;
    broker
}

/// A virtual host of this name on the shared broker, where `guest` may do everything: its broker, and its URL.
pub(crate) async fn vhost(name: &str) -> (&'static Broker, String) {
    let broker = shared().await;
    ctl(broker, &["add_vhost", name]).await;
    ctl(broker, &["set_permissions", "-p", name, "guest", ".*", ".*", ".*"]).await;
    (broker, format!("{}/{name}", broker.url()))
}

/// Runs `rabbitmqctl`; answers what it prints.
pub(crate) async fn ctl(broker: &Broker, words: &[&str]) -> String {
    let command: Vec<_> = ["rabbitmqctl", "-q"].iter().chain(words).copied().collect();
    broker.run(0, &command).await.unwrap()
}

/// Names, or other columns, of the queues of a virtual host.
pub(crate) async fn queues(broker: &Broker, vhost: &str, columns: &[&str]) -> Vec<String> {
    let words: Vec<_> = ["list_queues", "-p", vhost, "--no-table-headers"].iter().chain(columns).copied().collect();
    ctl(broker, &words).await.lines().map(str::to_owned).collect()
}

/// Why this URL is refused.
pub(crate) async fn refusal(url: &str) -> Error {
    roomcast_conformance::bare::refusal(&Amqp::from_url(url).unwrap()).await
}

/// Subscribed to this channel alone.
pub(crate) async fn on(url: &str, name: &str) -> Node {
    Node::on(Amqp::from_url(url), name).await
}
