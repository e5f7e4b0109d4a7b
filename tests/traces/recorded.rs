//! The spans that tests look at.

use std::future::Future;

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider, SpanData};
use roomcast::NodeId;
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt as _;

/// The spans that have ended while this ran. All tasks run on this thread, which the spans are recorded of.
pub(crate) fn recorded<T>(run: impl Future<Output = T>) -> (T, Spans) {
    recorded_but_for("nothing", run)
}

/// The same without the spans of one target.
pub(crate) fn recorded_but_for<T>(target: &'static str, run: impl Future<Output = T>) -> (T, Spans) {
    let exporter = InMemorySpanExporter::default();
    let provider = SdkTracerProvider::builder().with_simple_exporter(exporter.clone()).build();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
    let layer = layer.with_filter(filter_fn(move |metadata| metadata.target() != target));
    let _guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(layer));
    let done = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(run);
    (done, Spans(exporter.get_finished_spans().unwrap()))
}

#[derive(Debug)]
pub(crate) struct Spans(Vec<SpanData>);

impl Spans {
    /// The one span of this name.
    pub(crate) fn one(&self, name: &str) -> &SpanData {
        let [one] = self.all(name)[..] else { panic!("not one {name}: {:#?}", self.names()) };
        one
    }

    pub(crate) fn all(&self, name: &str) -> Vec<&SpanData> {
        self.0.iter().filter(|span| span.name == name).collect()
    }

    pub(crate) fn names(&self) -> Vec<&str> {
        self.0.iter().map(|span| &*span.name).collect()
    }

    /// The one span of this name that a node has made.
    pub(crate) fn of(&self, node: NodeId, name: &str) -> &SpanData {
        let id = node.to_string();
        let of: Vec<_> = self.all(name).into_iter().filter(|span| text(span, "messaging.client.id") == id).collect();
        let [one] = of[..] else { panic!("not one {name} of {id}: {:#?}", self.0) };
        one
    }
}

pub(crate) fn text(span: &SpanData, key: &str) -> String {
    let found = span.attributes.iter().find(|attribute| attribute.key.as_str() == key);
    found.unwrap_or_else(|| panic!("{key} is not in {span:#?}")).value.to_string()
}

#[track_caller]
pub(crate) fn assert_child(child: &SpanData, parent: &SpanData) {
    assert_eq!(child.span_context.trace_id(), parent.span_context.trace_id(), "another trace: {child:#?}");
    assert_eq!(child.parent_span_id, parent.span_context.span_id(), "another parent: {child:#?}");
}
