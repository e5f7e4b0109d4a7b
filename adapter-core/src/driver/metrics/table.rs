//! Every metric, and where its value comes from.

use crate::model::{LocalDropped, NamespaceStatus, NodeState, Status};

pub(super) type Labels = Vec<(&'static str, String)>;

/// A metric that the feature `metrics` publishes.
///
/// The labels `cluster` (its name) and `node` (the node's name, see [`ClusterBuilder::node_name`](crate::ClusterBuilder::node_name)) are
/// on each of them, beside its own. Two nodes of one process need different names.
#[derive(Debug)]
#[non_exhaustive]
pub struct Metric {
    /// Its name, by the conventions of Prometheus.
    pub name: &'static str,
    /// What it is.
    pub kind: MetricKind,
    /// `seconds`, `bytes`, or `1` for numbers of things.
    pub unit: &'static str,
    /// Its own labels. Their values are bounded: at most 100 namespaces are told apart, and rooms and sockets never are.
    pub labels: &'static [&'static str],
    /// What it says.
    pub help: &'static str,
    pub(super) source: Source,
}

/// The kind of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MetricKind {
    /// Only grows, until the process ends.
    Counter,
    /// Goes up and down.
    Gauge,
    /// How values are spread.
    Histogram,
}

/// Where a value comes from.
#[derive(Debug)]
pub(super) enum Source {
    Total(fn(&Status) -> u64),
    Level(fn(&Status) -> f64),
    Causes(fn(&Status) -> [(&'static str, u64); 5]),
    Namespaces(fn(&NamespaceStatus) -> u64),
    NamespaceCauses(fn(&NamespaceStatus) -> [(&'static str, u64); 3]),
    RoundTrip,
    /// Counted as they happen, from 0: the values of its label, if it has one.
    Events(&'static [&'static str]),
    AsItHappens,
}

const fn counter(name: &'static str, unit: &'static str, help: &'static str, source: Source) -> Metric {
    Metric { name, kind: MetricKind::Counter, unit, labels: &[], help, source }
}

const fn gauge(name: &'static str, unit: &'static str, help: &'static str, read: fn(&Status) -> f64) -> Metric {
    Metric { name, kind: MetricKind::Gauge, unit, labels: &[], help, source: Source::Level(read) }
}

const fn histogram(name: &'static str, labels: &'static [&'static str], help: &'static str, source: Source) -> Metric {
    Metric { name, kind: MetricKind::Histogram, unit: "seconds", labels, help, source }
}

impl Metric {
    const fn with(self, labels: &'static [&'static str]) -> Self {
        Self { labels, ..self }
    }
}

/// Every metric that is published.
pub const METRICS: &[Metric] = &[
    gauge("roomcast_up", "1", "1 while this node hears the cluster and the cluster hears it, else 0", |status| {
        f64::from(u8::from(status.state == NodeState::Up))
    }),
    counter(
        "roomcast_outages_total",
        "1",
        "How often the link to the broker was down or silent",
        Source::Total(|status| status.outages),
    ),
    counter(
        "roomcast_connect_attempts_total",
        "1",
        "Attempts to connect to the broker again",
        Source::Total(|status| status.connect_attempts),
    ),
    gauge(
        "roomcast_health_seconds",
        "seconds",
        "Age of this node's last heartbeat and probe that came back, whichever is older",
        |status| status.health.map_or(f64::INFINITY, |health| health.as_secs_f64()),
    ),
    histogram(
        "roomcast_round_trip_seconds",
        &[],
        "Time of a heartbeat or probe through the broker and back",
        Source::RoundTrip,
    ),
    gauge("roomcast_nodes", "1", "Nodes that are alive, this one among them", |status| status.nodes.len() as f64 + 1.0),
    counter("roomcast_node_downs_total", "1", "Nodes that left, or died (`reason`)", Source::Events(&["left", "died"]))
        .with(&["reason"]),
    counter(
        "roomcast_sent_total",
        "1",
        "Operations that this node has queued for other nodes",
        Source::Namespaces(|row| row.sent),
    )
    .with(&["namespace"]),
    counter(
        "roomcast_delivered_total",
        "1",
        "Broadcasts of other nodes that were handed to this node's sockets",
        Source::Namespaces(|row| row.delivered),
    )
    .with(&["namespace"]),
    counter("roomcast_dropped_total", "1", "Deliveries that this node's sockets have not taken", {
        Source::NamespaceCauses(|row| {
            let LocalDropped { full, gone, unreadable } = row.dropped;
            [("full", full), ("gone", gone), ("unreadable", unreadable)]
        })
    })
    .with(&["namespace", "cause"]),
    counter(
        "roomcast_sent_messages_total",
        "1",
        "Messages that the broker has taken",
        Source::Total(|status| status.stats.sent),
    ),
    counter(
        "roomcast_sent_bytes_total",
        "bytes",
        "Bytes that were published, repairs included",
        Source::Total(|status| status.stats.sent_bytes),
    ),
    counter(
        "roomcast_received_frames_total",
        "1",
        "Frames of other nodes that were received",
        Source::Total(|status| status.stats.received),
    ),
    counter(
        "roomcast_received_bytes_total",
        "bytes",
        "Bytes that were received, own messages included",
        Source::Total(|status| status.stats.received_bytes),
    ),
    gauge("roomcast_queue_messages", "1", "Messages that wait for the broker", |status| status.queue.messages as f64),
    gauge("roomcast_queue_bytes", "bytes", "Bytes that they take of the queue", |status| status.queue.bytes as f64),
    gauge("roomcast_queue_oldest_seconds", "seconds", "For how long the oldest of them has waited", |status| {
        status.queue.oldest.as_secs_f64()
    }),
    histogram(
        "roomcast_request_seconds",
        &["kind"],
        "Time of a request to other nodes, by its kind",
        Source::AsItHappens,
    ),
    counter("roomcast_answers_missing_total", "1", "Nodes that did not reply to a request", Source::AsItHappens)
        .with(&["kind", "reason"]),
    gauge("roomcast_open_requests", "1", "Requests that wait for replies", |status| status.stats.open_requests as f64),
    counter(
        "roomcast_repaired_total",
        "1",
        "Lost messages of others that were sent again",
        Source::Total(|status| status.stats.repaired),
    ),
    counter(
        "roomcast_resent_total",
        "1",
        "Messages of this node that were sent again",
        Source::Total(|status| status.stats.resent),
    ),
    counter(
        "roomcast_lost_total",
        "1",
        "Messages of others that are lost for good, as far as their number is known",
        Source::Total(|status| status.stats.lost),
    ),
    counter("roomcast_gaps_total", "1", "Reports of lost messages, with a known number or not", Source::Events(&[])),
    counter(
        "roomcast_duplicates_total",
        "1",
        "Duplicates that were dropped",
        Source::Total(|status| status.stats.duplicates),
    ),
    gauge("roomcast_history_bytes", "bytes", "Sent messages that are kept for nodes that miss them", |status| {
        status.stats.history_bytes as f64
    }),
    gauge("roomcast_held_bytes", "bytes", "Received messages that wait for missing ones before them", |status| {
        status.stats.held_bytes as f64
    }),
    counter(
        "roomcast_refused_total",
        "1",
        "Messages that the broker has refused for good",
        Source::Total(|status| status.stats.refused),
    ),
    counter(
        "roomcast_volatile_dropped_total",
        "1",
        "Volatile packets that were not sent, because the link was down",
        Source::Total(|status| status.stats.volatile_dropped),
    ),
    counter(
        "roomcast_server_events_dropped_total",
        "1",
        "Server-side events without a handler, or with a full queue",
        Source::Total(|status| status.stats.events_dropped),
    ),
    counter(
        "roomcast_answers_dropped_total",
        "1",
        "Replies to other nodes that were dropped: their queue was full",
        Source::Total(|status| status.stats.answers_dropped),
    ),
    counter(
        "roomcast_late_answers_total",
        "1",
        "Replies that came after their request had ended",
        Source::Total(|status| status.stats.late_answers),
    ),
    counter("roomcast_rejected_total", "1", "Frames that were not accepted", {
        Source::Causes(|status| {
            let stats = &status.stats;
            [
                ("malformed", stats.malformed),
                ("too_new", stats.too_new),
                ("unknown_kind", stats.unknown_kind),
                ("too_many_nodes", stats.strangers_dropped),
                ("impersonated", stats.impersonated),
            ]
        })
    })
    .with(&["cause"]),
    counter(
        "roomcast_panics_total",
        "1",
        "Panics in code of the application that the cluster has called",
        Source::Total(|status| status.stats.panics),
    ),
];
