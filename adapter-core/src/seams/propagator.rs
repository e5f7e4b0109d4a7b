//! The seam to an application's traces.

use std::fmt;

use tracing::Span;

use crate::model::TraceContext;

/// Carries an application's traces from node to node: says what the context of a `tracing` span is, and makes a span the child of one in another
/// process. [`ClusterBuilder::trace_propagator`](crate::ClusterBuilder::trace_propagator) takes one. The cargo feature `opentelemetry` of the crate
/// `roomcast` has that of OpenTelemetry.
///
/// # Contract
/// - Both methods return without waiting: [`set_parent`](Self::set_parent) is called on the cluster's one reader.
/// - A node counts a panic ([`Stats::panics`](crate::Stats::panics)), and sends or delivers the message without a span. An emitter's call panics.
pub trait TracePropagator: fmt::Debug + Send + Sync + 'static {
    /// The context that travels with a message; `None` sends none. The span is that of the message, which is a child of the caller's. If a filter has
    /// disabled it, it is the caller's own. Called as the emitting future is polled first, so what else is current there may be used as well.
    fn context(&self, span: &Span) -> Option<TraceContext>;

    /// Makes the span of a delivery a child of the span that has sent the message. Called before the span is entered.
    fn set_parent(&self, span: &Span, parent: TraceContext);
}
