//! The spans of what is sent and delivered, where the application has asked for them.
//!
//! Names and fields follow OpenTelemetry's conventions for messaging. `tracing-opentelemetry` reads the fields that begin with `otel`.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use tracing::field::{Empty, debug};
use tracing::{Span, info_span};

use super::core::Core;
use super::panics;
use super::registry::Found;
use crate::model::{ClusterName, Error, NodeId, TraceContext};
use crate::seams::{Scope, TracePropagator};
use crate::wire::{Content, Operation};

/// Makes the spans of one node or emitter, or none.
pub(crate) struct Traces(Option<Tracer>);

struct Tracer {
    propagator: Arc<dyn TracePropagator>,
    cluster: ClusterName,
    node: NodeId,
}

impl Traces {
    pub(crate) fn new(propagator: Option<Arc<dyn TracePropagator>>, cluster: &ClusterName, node: NodeId) -> Self {
        Self(propagator.map(|propagator| Tracer { propagator, cluster: cluster.clone(), node }))
    }

    /// The span of an operation that is being sent. Its context travels with the content.
    pub(crate) fn sending(&self, operation: &Operation, content: &mut Content) -> Span {
        self.0.as_ref().map_or_else(Span::none, |tracer| tracer.sending(operation, content))
    }
}

impl Tracer {
    fn sending(&self, operation: &Operation, content: &mut Content) -> Span {
        let (name, namespace) = (called(operation), operation.namespace());
        let span = info_span!(
            target: "roomcast::trace",
            "send",
            otel.name = %format_args!("{name} {namespace}"),
            otel.kind = "producer",
            otel.status_code = Empty,
            error.type = Empty,
            messaging.system = "roomcast",
            messaging.operation.name = name,
            messaging.operation.type = "send",
            messaging.destination.name = %namespace,
            messaging.client.id = %self.node,
            messaging.message.body.size = content.packet.len(),
            roomcast.cluster = %self.cluster,
        );
        content.trace = match span.is_disabled() {
            true => self.propagator.context(&Span::current()),
            false => self.propagator.context(&span),
        };
        span
    }

    fn delivering(&self, operation: &Operation, from: NodeId, parent: TraceContext) -> Span {
        let (name, namespace) = (called(operation), operation.namespace());
        let span = info_span!(
            target: "roomcast::trace",
            parent: None,
            "deliver",
            otel.name = %format_args!("deliver {namespace}"),
            otel.kind = "consumer",
            messaging.system = "roomcast",
            messaging.operation.name = "deliver",
            messaging.operation.type = "process",
            messaging.destination.name = %namespace,
            messaging.client.id = %self.node,
            roomcast.cluster = %self.cluster,
            roomcast.operation = name,
            roomcast.sender = %from,
        );
        if !span.is_disabled() {
            self.propagator.set_parent(&span, parent);
        }
        span
    }
}

/// The name of the call that makes an operation.
fn called(operation: &Operation) -> &'static str {
    match operation {
        Operation::ServerEvent { .. } => "server_side_emit",
        other => other.name(),
    }
}

/// Says in the span of a call that it has failed.
pub(crate) fn mark_failure(span: &Span, error: Error) -> Error {
    span.record("otel.status_code", "error").record("error.type", debug(error.kind()));
    error
}

impl Core {
    /// The span of an operation that is being sent. Its context travels with the content.
    pub(super) fn sending(&self, operation: &Operation, content: &mut Content) -> Span {
        self.traced(|tracer| tracer.sending(operation, content))
    }

    /// The span of an operation that has arrived, if it has come with a context. What is meant for sockets or handlers of which none is
    /// here has none: in a large cluster that is most of what arrives.
    pub(super) fn delivering(
        &self,
        operation: &Operation,
        from: NodeId,
        context: Option<TraceContext>,
        found: &mut Found,
    ) -> Span {
        let Some(parent) = context else { return Span::none() };
        self.traced(|tracer| {
            let here = self.registry.here_again(found, operation.namespace(), Scope::Cluster);
            let concerns = match operation {
                Operation::ServerEvent { event, .. } => here.handles(event),
                _ if operation.only_asks() => true,
                _ => operation.target().is_some_and(|target| here.count(target) > 0),
            };
            if concerns { tracer.delivering(operation, from, parent) } else { Span::none() }
        })
    }

    /// Foreign code may run: no lock is held.
    fn traced(&self, span: impl FnOnce(&Tracer) -> Span) -> Span {
        let Some(tracer) = &self.traces.0 else { return Span::none() };
        catch_unwind(AssertUnwindSafe(|| span(tracer))).unwrap_or_else(|panic| {
            self.registry.panics().note("the trace propagator", &panics::message(&*panic));
            Span::none()
        })
    }
}
