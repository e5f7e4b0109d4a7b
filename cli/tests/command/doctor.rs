//! What `doctor` says of each broker.

use roomcast_conformance::{Broker, Recipe, recipes};
use serde_json::Value;

use crate::liar::{Liar, ahead, replace};
use crate::support::{Ended, SECRET, redis, roomcast, with_users};

async fn start(recipe: Recipe) -> Broker {
    Broker::start(&recipe).await.unwrap_or_else(|missing| panic!("{missing}"))
}

/// What `doctor` found, as objects.
async fn examined(url: &str) -> (Ended, Vec<Value>) {
    let ended = roomcast("", &["doctor", url, "--timeout", "30", "--json"]).await;
    let found = ended.objects();
    (ended, found)
}

fn found<'a>(checks: &'a [Value], check: &str) -> Vec<&'a Value> {
    checks.iter().filter(|found| found["check"] == check).collect()
}

fn causes(checks: &[Value]) -> Vec<&str> {
    found(checks, "advice").iter().map(|advice| advice["cause"].as_str().unwrap()).collect()
}

/// The first number with a dot in what a program says of its version.
fn version(said: &str) -> String {
    let numbers = said.split(|letter: char| !letter.is_ascii_digit() && letter != '.');
    numbers.filter(|word| word.contains('.')).map(|word| word.trim_matches('.').to_owned()).next().expect(said)
}

/// Product and version are what the server's program says of itself, and the clock, if there is one, is this machine's.
async fn is_known(broker: &Broker, product: &str, program: &[&str], tells_time: bool) {
    let expected = version(&broker.run(0, program).await.unwrap());
    let (ended, checks) = examined(&broker.url()).await;
    assert_eq!(ended.code, 0, "{ended:?}");
    let [known] = found(&checks, "broker")[..] else { panic!("{ended:?}") };
    assert_eq!((known["product"].as_str(), known["mend"].as_str()), (Some(product), None), "{ended:?}");
    assert_eq!(version(known["version"].as_str().unwrap()), expected, "{ended:?}");
    let [clock] = found(&checks, "clock")[..] else { panic!("{ended:?}") };
    assert_eq!(clock["ahead_ms"].is_f64(), tells_time, "{clock}");
    assert!(clock["ahead_ms"].as_f64().unwrap_or(0.0).abs() < 1000.0 && clock["mend"].is_null(), "{clock}");
    let limits = found(&checks, "limit");
    assert!(!limits.is_empty() && limits.iter().all(|limit| limit["most"].is_u64()), "{ended:?}");
    assert!(found(&checks, "unknown").is_empty(), "{ended:?}");
    let text = roomcast("", &["doctor", &broker.url(), "--timeout", "30"]).await;
    assert!(text.out.contains(&format!("ok    broker     {product} {expected}")), "{text:?}");
}

#[tokio::test]
async fn redis_is_known_and_a_lie_is_advised_against() {
    let broker = redis().await;
    is_known(&broker, "Redis", &["redis-server", "--version"], true).await;
    let real = version(&broker.run(0, &["redis-server", "--version"]).await.unwrap());
    let old = format!("6{}", &real[1..]);
    let told = old.clone();
    let liar = Liar::before(&broker, move |said| {
        replace(said, &real, &told);
        replace(said, "pubsub 33554432 ", "pubsub 00000000 ");
        ahead(said, "*2\r\n$10\r\n", "\r\n");
    });
    let (ended, checks) = examined(&liar.await.url(&broker.url())).await;
    assert_eq!((ended.code, found(&checks, "broker")[0]["version"].as_str()), (0, Some(&*old)), "{ended:?}");
    assert_eq!(causes(&checks), ["output_buffer"], "{ended:?}");
    is_five_minutes_ahead(&checks);
}

fn is_five_minutes_ahead(checks: &[Value]) {
    let clock = found(checks, "clock")[0];
    let apart = clock["ahead_ms"].as_f64().unwrap() - 300_000.0;
    assert!(apart.abs() < 1000.0 && clock["mend"].as_str().unwrap().contains("NTP"), "{clock}");
    assert!(clock["text"].as_str().unwrap().contains("ahead of this machine's"), "{clock}");
}

#[tokio::test]
async fn what_a_login_may_not_ask_is_said() {
    let broker = with_users().await;
    let (ended, checks) = examined(&broker.url().replace("://", &format!("://app:{SECRET}@"))).await;
    assert_eq!(ended.code, 0, "{ended:?}");
    assert_eq!(found(&checks, "broker")[0]["product"], "Redis", "by its greeting: {ended:?}");
    let unknown = found(&checks, "unknown")[0]["text"].as_str().unwrap();
    assert!(["TIME", "INFO", "CONFIG GET"].iter().all(|command| unknown.contains(command)), "{unknown}");
    assert!(
        causes(&checks).is_empty() && checks.iter().all(|check| check["mend"].is_null() || check["check"] == "nodes")
    );
}

#[tokio::test]
async fn nats_is_known_and_tells_no_time() {
    let broker = start(recipes::nats()).await;
    is_known(&broker, "NATS", &["nats-server", "--version"], false).await;
    let liar = Liar::before(&broker, |said| {
        replace(said, "\"max_payload\":1048576", "\"max_payload\":4096,\"ldm\":true");
    });
    let (ended, checks) = examined(&liar.await.url(&broker.url())).await;
    assert_eq!(causes(&checks), ["small_payload", "lame_duck"], "{ended:?}");
}

#[tokio::test]
async fn rabbitmq_is_known_and_its_alarm_is_the_advice() {
    let broker = start(recipes::rabbitmq()).await;
    is_known(&broker, "RabbitMQ", &["rabbitmqctl", "version"], false).await;
    let liar = Liar::before(&broker, |said| replace(said, "RabbitMQ", "LavinMQ "));
    let (ended, checks) = examined(&liar.await.url(&broker.url())).await;
    assert_eq!((ended.code, &found(&checks, "broker")[0]["product"]), (0, &"LavinMQ".into()), "{ended:?}");
    assert!(causes(&checks).is_empty(), "{ended:?}");

    broker.run(0, &["rabbitmqctl", "set_vm_memory_high_watermark", "0"]).await.unwrap();
    let (ended, checks) = examined(&broker.url()).await;
    assert_eq!((ended.code, causes(&checks)), (3, vec!["alarm"]), "{ended:?}");
    assert!(ended.out.contains("rabbitmq-diagnostics alarms") && !ended.out.contains("is that its port"), "{ended:?}");
}

#[tokio::test]
async fn postgres_is_known_and_an_old_release_is_advised_against() {
    let broker = start(recipes::postgres()).await;
    is_known(&broker, "PostgreSQL", &["postgres", "--version"], true).await;
    let real = version(&broker.run(0, &["postgres", "--version"]).await.unwrap());
    let old = format!("12{}", &real[2..]);
    let liar = Liar::before(&broker, move |said| {
        replace(said, &real, &old);
        ahead(said, "", ".");
    });
    let (ended, checks) = examined(&liar.await.url(&broker.url())).await;
    assert_eq!((ended.code, causes(&checks)), (0, vec!["old_release"]), "{ended:?}");
    assert!(found(&checks, "advice")[0]["mend"].as_str().unwrap().contains("13 or later"), "{ended:?}");
    is_five_minutes_ahead(&checks);
}

#[tokio::test]
async fn a_pooler_by_session_before_postgres_is_nothing_to_mend() {
    let (ended, checks) = examined(&start(recipes::pgbouncer()).await.url()).await;
    assert_eq!((ended.code, causes(&checks).iter().any(|cause| cause.contains("pooler"))), (0, false), "{ended:?}");
}
