//! What is published through the `metrics` facade.

mod table;

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};

use super::core::Core;
use crate::model::{Departure, Event, MissingNode, MissingReason};
use table::{Labels, Source};

pub use table::{METRICS, Metric, MetricKind};

/// Between two looks at what was counted.
const PAUSE: Duration = Duration::from_secs(1);

/// What was published last.
#[derive(Default)]
pub(crate) struct Metrics(Mutex<State>);

#[derive(Default)]
struct State {
    looked: Option<Instant>,
    /// How many round trips there were then.
    round_trips: u64,
}

impl Core {
    /// Publishes what was counted, at most once a second.
    pub(crate) fn publish_metrics(&self, now: Instant) {
        {
            let mut state = self.metrics.0.lock().unwrap_or_else(PoisonError::into_inner);
            let due = state.looked.is_none_or(|looked| now.saturating_duration_since(looked) >= PAUSE);
            if !due {
                return;
            }
            if state.looked.replace(now).is_none() {
                for metric in METRICS {
                    describe(metric);
                    self.begin_at_zero(metric);
                }
            }
        }
        self.publish_all();
    }

    /// A counter that appears with its first event has not increased for Prometheus, so no alert would see that event.
    fn begin_at_zero(&self, metric: &Metric) {
        let Source::Events(values) = metric.source else { return };
        match metric.labels {
            [label, ..] => {
                for value in values {
                    counter!(metric.name, &self.labels([(*label, value)])).increment(0);
                }
            }
            [] => counter!(metric.name, &self.labels([])).increment(0),
        }
    }

    /// Publishes what was counted, now.
    pub(crate) fn publish_all(&self) {
        let status = self.status();
        let fresh = {
            let count = self.engine().round_trips();
            let mut state = self.metrics.0.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut state.round_trips, count) != count
        };
        for Metric { name, source, .. } in METRICS {
            match source {
                Source::Total(read) => counter!(*name, &self.labels([])).absolute(read(&status)),
                Source::Level(read) => gauge!(*name, &self.labels([])).set(read(&status)),
                Source::Causes(read) => {
                    for (cause, count) in read(&status) {
                        counter!(*name, &self.labels([("cause", cause)])).absolute(count);
                    }
                }
                Source::Namespaces(read) => {
                    for row in &status.namespaces {
                        counter!(*name, &self.labels([("namespace", &row.namespace)])).absolute(read(row));
                    }
                }
                Source::NamespaceCauses(read) => {
                    for row in &status.namespaces {
                        for (cause, count) in read(row) {
                            let labels = self.labels([("namespace", row.namespace.as_str()), ("cause", cause)]);
                            counter!(*name, &labels).absolute(count);
                        }
                    }
                }
                Source::RoundTrip => {
                    if let Some(took) = status.round_trip.filter(|_| fresh) {
                        histogram!(*name, &self.labels([])).record(took);
                    }
                }
                Source::Events(_) | Source::AsItHappens => {}
            }
        }
    }

    /// A question has ended for its asker.
    pub(crate) fn measure_request(&self, kind: &'static str, took: Duration) {
        histogram!("roomcast_request_seconds", &self.labels([("kind", kind)])).record(took);
    }

    /// These nodes have not answered.
    pub(crate) fn measure_missing(&self, kind: &'static str, missing: &[MissingNode]) {
        for missing in missing {
            let labels = self.labels([("kind", kind), ("reason", reason(missing.reason))]);
            counter!("roomcast_answers_missing_total", &labels).increment(1);
        }
    }

    pub(crate) fn measure_event(&self, event: &Event) {
        match event {
            Event::Gap { .. } => counter!("roomcast_gaps_total", &self.labels([])).increment(1),
            Event::NodeDown(_, departure) => {
                let how = if *departure == Departure::Left { "left" } else { "died" };
                counter!("roomcast_node_downs_total", &self.labels([("reason", how)])).increment(1);
            }
            _ => {}
        }
    }

    fn labels<const N: usize>(&self, more: [(&'static str, &str); N]) -> Labels {
        let own = [("cluster", self.channels.name.to_string()), ("node", self.node.name.clone())];
        own.into_iter().chain(more.map(|(key, value)| (key, value.to_owned()))).collect()
    }
}

fn describe(metric: &Metric) {
    let unit = match metric.unit {
        "seconds" => Unit::Seconds,
        "bytes" => Unit::Bytes,
        _ => Unit::Count,
    };
    match metric.kind {
        MetricKind::Counter => describe_counter!(metric.name, unit, metric.help),
        MetricKind::Gauge => describe_gauge!(metric.name, unit, metric.help),
        MetricKind::Histogram => describe_histogram!(metric.name, unit, metric.help),
    }
}

fn reason(reason: MissingReason) -> &'static str {
    match reason {
        MissingReason::Timeout => "timeout",
        MissingReason::Died => "died",
        MissingReason::Left => "left",
        MissingReason::Unsupported => "unsupported",
        MissingReason::NoHandler => "no_handler",
        MissingReason::Unreachable => "unreachable",
    }
}
