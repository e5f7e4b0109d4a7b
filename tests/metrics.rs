//! What Prometheus gets to see, and whether the documents tell the same.

#![expect(clippy::unwrap_used, reason = "tests: an error is a failure")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::Duration;

use metrics_exporter_prometheus::PrometheusBuilder;
use roomcast::metrics::{METRICS, MetricKind};
use roomcast::{Cluster, Hub, Memory};

/// Names of samples with their labels, and their values.
type Samples = BTreeMap<String, f64>;

fn samples(scrape: &str) -> Samples {
    let lines = scrape.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    lines
        .map(|line| line.rsplit_once(' ').unwrap())
        .map(|(name, value)| (name.to_owned(), value.parse().unwrap()))
        .collect()
}

#[test]
fn a_scrape_has_every_metric_and_the_numbers_of_what_has_happened() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let scrape = recorder.handle();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    metrics::with_local_recorder(&recorder, || runtime.block_on(two_nodes_at_work()));

    let text = scrape.render();
    let samples = samples(&text);
    let one = |name: &str, more: &str| {
        let wanted = format!("{name}{{cluster=\"shop\",node=\"one\"{more}}}");
        *samples.get(&wanted).unwrap_or_else(|| panic!("{wanted} is not in\n{text}"))
    };
    assert_eq!(one("roomcast_sent_total", ",namespace=\"/chat\""), 5.0, "three emits, and two questions");
    assert_eq!(one("roomcast_node_downs_total", ",reason=\"left\""), 1.0);
    assert_eq!(one("roomcast_request_seconds_count", ",kind=\"fetch_sockets\""), 1.0);
    assert_eq!(one("roomcast_answers_missing_total", ",kind=\"server_side_emit_with_ack\",reason=\"no_handler\""), 1.0);
    assert!(one("roomcast_round_trip_seconds_count", "") >= 1.0);
    assert!(one("roomcast_sent_bytes_total", "") > 0.0);
    let two = "roomcast_delivered_total{cluster=\"shop\",node=\"two\",namespace=\"/chat\"}";
    assert_eq!(samples.get(two), Some(&3.0), "{text}");

    // An alert on an increase sees the first one only if the counter was 0 before.
    assert_eq!(one("roomcast_node_downs_total", ",reason=\"died\""), 0.0);
    assert_eq!(one("roomcast_gaps_total", ""), 0.0);

    // Every metric of the table is there, and there is no other.
    for metric in METRICS {
        let kind = format!("{:?}", metric.kind).to_lowercase().replace("histogram", "summary");
        assert!(text.contains(&format!("# TYPE {} {kind}\n", metric.name)), "{} is not in\n{text}", metric.name);
        assert!(text.contains(&format!("# HELP {} {}\n", metric.name, metric.help)), "{}", metric.name);
    }
    let names: BTreeSet<_> = METRICS.iter().map(|metric| metric.name).collect();
    for sample in samples.keys() {
        let name = sample.split('{').next().unwrap().trim_end_matches("_count").trim_end_matches("_sum");
        assert!(names.contains(name), "{name} is in no table");
    }
}

async fn two_nodes_at_work() {
    let memory = Memory::named("shop");
    let connect = |name: &str| Cluster::builder().cluster("shop").node_name(name).connect(memory.clone());
    let (one, two) = (connect("one").await.unwrap(), connect("two").await.unwrap());
    let hub = Hub::new();
    let chat = one.namespace("/chat", Hub::new()).await.unwrap();
    let _there = two.namespace("/chat", hub.clone()).await.unwrap();
    let mut socket = hub.connect().unwrap();
    for n in 0..3 {
        chat.emit(n.to_string()).await.unwrap();
        socket.next().await.unwrap();
    }
    assert_eq!(chat.fetch_sockets().await.unwrap().items.len(), 1);
    let answers = chat.server_side_emit_with_ack("nobody", "listens", Duration::from_secs(5)).await.unwrap();
    assert_eq!(answers.missing.len(), 1);
    let mut events = one.events();
    two.close().await.unwrap();
    while !matches!(events.next().await, Some(roomcast::Event::NodeDown(..))) {}
    one.close().await.unwrap();
}

fn read(path: &str) -> String {
    fs::read_to_string(format!("{}/{path}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

#[test]
fn the_table_in_the_documents_is_the_one_in_the_code() {
    let row = |metric: &roomcast::metrics::Metric| {
        let kind = match metric.kind {
            MetricKind::Counter => "counter",
            MetricKind::Gauge => "gauge",
            _ => "histogram",
        };
        let labels: Vec<_> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        format!("| `{}` | {kind} | {} | {} | {} |\n", metric.name, metric.unit, labels.join(", "), metric.help)
    };
    let table: String = METRICS.iter().map(row).collect();
    assert!(read("docs/metrics.md").contains(&table), "docs/metrics.md should have\n{table}");
}

/// The metrics that an expression of Prometheus names.
fn asked(expression: &str) -> impl Iterator<Item = &str> {
    let words = expression.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("roomcast_"))
}

fn is_a_metric(name: &str) -> bool {
    METRICS.iter().any(|metric| metric.name == name.trim_end_matches("_sum").trim_end_matches("_count"))
}

#[test]
fn the_dashboard_asks_for_metrics_that_there_are() {
    let dashboard: serde_json::Value = serde_json::from_str(&read("deploy/grafana.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let asks = panels.iter().flat_map(|panel| panel["targets"].as_array().unwrap());
    let names: BTreeSet<_> = asks.flat_map(|target| asked(target["expr"].as_str().unwrap())).collect();
    let unknown: Vec<_> = names.iter().filter(|name| !is_a_metric(name)).collect();
    assert!(unknown.is_empty(), "the dashboard asks for {unknown:?}");
    assert!(names.len() >= 15, "only {names:?}");
}

#[test]
fn the_alerts_watch_metrics_that_there_are_and_the_document_names_each() {
    let (rules, document) = (read("deploy/alerts.yaml"), read("docs/metrics.md"));
    let expressions: Vec<_> = rules.lines().filter_map(|line| line.trim().strip_prefix("expr: ")).collect();
    let alerts: Vec<_> = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(alerts.len() >= 5 && alerts.len() == expressions.len(), "{rules}");
    for expression in expressions {
        let unknown: Vec<_> = asked(expression).filter(|name| !is_a_metric(name)).collect();
        assert!(unknown.is_empty(), "{expression} asks for {unknown:?}");
    }
    for alert in alerts {
        assert!(document.contains(&format!("`{alert}`")), "docs/metrics.md does not name {alert}");
    }
}
