//! Brokers, and nodes without a cluster behind them.
#![allow(clippy::unwrap_used, reason = "how a test fails")]
#![allow(dead_code, unused_imports, reason = "each test file uses its part of it")]

use std::process::Command;
use std::time::Duration;

use roomcast_amqp::Amqp;
use roomcast_conformance::bare::prepared_by;
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

/// What signs tokens, and the same as a broker reads it.
const SECRET: &str = "secret-secret-secret-secret-1234";
const KEY: &str = "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LTEyMzQ";

/// A broker that takes tokens of OAuth 2 that were signed by us.
pub(crate) async fn with_tokens() -> Broker {
    let key = format!("#{{<<\"kty\">> => <<\"oct\">>, <<\"k\">> => <<\"{KEY}\">>, <<\"alg\">> => <<\"HS256\">>}}");
    let keys = format!("[{{default_key, <<\"k\">>}}, {{signing_keys, #{{<<\"k\">> => {{map, {key}}}}}}}]");
    let settings = format!("[{{resource_server_id, <<\"rabbitmq\">>}}, {{key_config, {keys}}}]");
    let advanced = format!("[{{rabbitmq_auth_backend_oauth2, {settings}}}].");
    let plugin = "ln -s /usr/lib/rabbitmq/lib/rabbitmq_server-*/plugins/rabbitmq_auth_backend_oauth2* plugins";
    let recipe = recipes::rabbitmq().with_program(|program| {
        program
            .file("enabled", "[rabbitmq_auth_backend_oauth2].")
            .file("none.conf", "auth_backends.1 = rabbit_auth_backend_oauth2\nauth_backends.2 = internal\n")
            .file("advanced.config", advanced)
            .envs([("RABBITMQ_ADVANCED_CONFIG_FILE", "{folder}/advanced.config")])
    });
    let broker = Broker::start_here(&prepared_by(recipe, &["sh", "-c", plugin])).await.unwrap();
    ctl(&broker, &["await_startup"]).await;
    broker
}

/// A token with which everything may be done for this time.
pub(crate) fn token(time: Duration) -> String {
    let script = r#"
        text() { base64 -w0 | tr '+/' '-_' | tr -d =; }
        head=$(printf '{"alg":"HS256","kid":"k","typ":"JWT"}' | text)
        may='["rabbitmq.configure:*/*","rabbitmq.write:*/*","rabbitmq.read:*/*"]'
        end=$(($(date +%s) + $1))
        body=$(printf '{"aud":["rabbitmq"],"scope":%s,"exp":%d,"sub":"app","client_id":"app"}' "$may" $end | text)
        printf '%s.%s.' "$head" "$body"
        printf '%s.%s' "$head" "$body" | openssl dgst -sha256 -hmac "$2" -binary | text"#;
    let made = Command::new("sh").args(["-c", script, "sh", &time.as_secs().to_string(), SECRET]).output().unwrap();
    String::from_utf8(made.stdout).unwrap()
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
