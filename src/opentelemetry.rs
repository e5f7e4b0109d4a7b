//! Traces across nodes, for applications whose spans go to OpenTelemetry by
//! [`tracing-opentelemetry`](https://docs.rs/tracing-opentelemetry): an emit on one node and its deliveries on the others are one trace.
//!
//! # Examples
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> roomcast::Result<()> {
//! use roomcast::{Cluster, opentelemetry::Propagator};
//!
//! let builder = Cluster::builder().cluster("shop").trace_propagator(Propagator);
//! let cluster = builder.connect(roomcast::backend("memory://")?).await?;
//! # cluster.close().await }
//! ```
//! [docs/traces.md](https://github.com/roomcast/roomcast/blob/main/docs/traces.md) says which spans there are.

use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState};
use roomcast_core::{TraceContext, TracePropagator};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// Carries the contexts of OpenTelemetry's spans from node to node; for
/// [`ClusterBuilder::trace_propagator`](crate::ClusterBuilder::trace_propagator) and
/// [`EmitterBuilder::trace_propagator`](crate::EmitterBuilder::trace_propagator).
///
/// The parent of an emit is the current span of `tracing`, or else OpenTelemetry's own current context. A process without the layer of
/// `tracing-opentelemetry` has no spans to carry, and works as one without a propagator. `tracestate` and baggage do not travel.
#[derive(Clone, Copy, Debug, Default)]
pub struct Propagator;

impl TracePropagator for Propagator {
    fn context(&self, span: &Span) -> Option<TraceContext> {
        let of = |context: &Context| {
            let span = context.span();
            let span = span.span_context();
            TraceContext::new(span.trace_id().to_bytes(), span.span_id().to_bytes(), span.trace_flags().to_u8())
        };
        of(&span.context()).or_else(|| of(&Context::current()))
    }

    fn set_parent(&self, span: &Span, parent: TraceContext) {
        let (trace, id) = (TraceId::from_bytes(parent.trace_id()), SpanId::from_bytes(parent.span_id()));
        let remote = SpanContext::new(trace, id, TraceFlags::new(parent.flags()), true, TraceState::NONE);
        // Without the layer, or with a filter that takes the span from it, there is no span that could have a parent.
        let _ = span.set_parent(Context::new().with_remote_span_context(remote));
    }
}
