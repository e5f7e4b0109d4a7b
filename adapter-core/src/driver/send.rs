//! Sending an operation, and gathering what is answered.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::mpsc;
use tracing::Span;

use super::capacity::Capacity;
use super::core::{Core, deadline, now};
use super::traces::mark_failure;
use super::waiters::{Reply, Waiter};
use crate::engine::{Asked, Delivery, Engine};
use crate::model::{AckError, Error, ErrorKind, Gathered, MissingNode, MissingReason, NodeId, Result, SocketId};
use crate::seams::AckSink;
use crate::seams::acks::Collector;
use crate::seams::{Acks, Scope};
use crate::wire::{Answer, Operation};

/// After its deadline a question is waited for no longer than this.
const GRACE: Duration = Duration::from_millis(250);

/// What became of an answer.
pub(crate) enum Took {
    Item,
    /// It answers another question.
    Strange,
}

pub(crate) fn check_timeout(timeout: Duration) -> Result<()> {
    if timeout.is_zero() { Err(Error::config("a timeout of zero leaves no time for a reply")) } else { Ok(()) }
}

/// A question whose answers nobody wants once this is dropped.
pub(crate) struct Forget {
    core: Arc<Core>,
    pub(crate) asked: Asked,
    kind: &'static str,
    at: Instant,
    span: Span,
}

impl Drop for Forget {
    fn drop(&mut self) {
        if !self.asked.nodes.is_empty() {
            self.core.measure_request(self.kind, now().saturating_duration_since(self.at));
        }
        // A span ends when it is left last.
        self.span.in_scope(|| self.core.forget(self.asked.request));
    }
}

impl Core {
    /// Sends an operation and carries it out here, in the same order as everything else in its namespace.
    pub(crate) async fn send(
        &self,
        operation: &Operation,
        scope: Scope,
        delivery: Delivery,
        wait: Duration,
    ) -> Result<()> {
        self.check_open()?;
        let mut content = operation.encode();
        self.check_size(&content)?;
        if !leaves_this_node(operation, scope, self.node.id) {
            let served = self.serve(operation, scope, None, None, |_, _| {});
            tokio::task::coop::consume_budget().await;
            return served;
        }
        let span = self.sending(operation, &mut content);
        let capacity = match delivery {
            Delivery::Numbered => self.reserve(&content, wait).await,
            Delivery::Volatile => match self.try_reserve(&content) {
                Some(capacity) => Ok(capacity),
                None => {
                    self.engine().drop_volatile();
                    return self.serve(operation, scope, None, None, |_, _| {});
                }
            },
        };
        let queue = |engine: &mut Engine, cost| {
            if !engine.send(content, delivery, cost, now()) {
                self.release(cost);
            }
        };
        let sent = span.in_scope(|| self.serve(operation, scope, Some(capacity), None, queue));
        // A loop of emits gives way to others now and then, so that what it emits leaves meanwhile.
        tokio::task::coop::consume_budget().await;
        sent.map_err(|error| mark_failure(&span, error))
    }

    /// The same for a question: `waiter` is told whom it asks, before anybody can answer. Nothing is answered by
    /// others when there is nothing to forget.
    pub(crate) async fn ask(
        self: &Arc<Self>,
        operation: &Operation,
        scope: Scope,
        until: Instant,
        acks: Option<Acks>,
        waiter: impl FnOnce(&[NodeId]) -> Waiter + Send,
    ) -> Result<Option<Forget>> {
        self.check_open()?;
        let (kind, at, mut content) = (operation.name(), now(), operation.encode());
        self.check_size(&content)?;
        if !leaves_this_node(operation, scope, self.node.id) {
            return self.serve(operation, scope, None, acks, |_, _| {}).map(|()| None);
        }
        let only = operation.target().and_then(|target| target.node);
        let out_of_reach = if operation.only_asks() { self.engine().out_of_reach(only) } else { None };
        if let Some(missing) = out_of_reach {
            let asked = Asked { request: 0, nodes: Vec::new(), missing };
            return Ok(Some(Forget { core: Arc::clone(self), asked, kind, at, span: Span::none() }));
        }
        let span = self.sending(operation, &mut content);
        let capacity = self.reserve(&content, until.saturating_duration_since(now())).await;
        let mut forget = None;
        let queue = |engine: &mut Engine, cost| {
            let asked = engine.ask(content, only, cost, until, now());
            if !asked.nodes.is_empty() {
                self.wait_for(asked.request, waiter(&asked.nodes));
            }
            forget = Some(asked);
        };
        let sent = span.in_scope(|| self.serve(operation, scope, Some(capacity), acks, queue));
        sent.map_err(|error| mark_failure(&span, error))?;
        self.sooner.notify_one();
        tokio::task::coop::consume_budget().await;
        Ok(forget.map(|asked| Forget { core: Arc::clone(self), asked, kind, at, span }))
    }

    /// Gives the message its number and carries the operation out here, under the lock that keeps both in order.
    fn serve(
        &self,
        operation: &Operation,
        scope: Scope,
        capacity: Option<Result<Capacity<'_>>>,
        acks: Option<Acks>,
        queue: impl FnOnce(&mut Engine, usize),
    ) -> Result<()> {
        let here = self.registry.here(operation.namespace(), scope);
        let order = here.in_order();
        let queued = match capacity {
            Some(Err(closed)) if closed.kind() == ErrorKind::Closed => return Err(closed),
            Some(Ok(capacity)) => {
                let mut engine = self.engine();
                // `close` looks at the engine after it has set this: whatever is queued before is flushed.
                self.check_open()?;
                queue(&mut engine, capacity.take());
                here.count_sent();
                Ok(())
            }
            Some(Err(failed)) => Err(failed),
            None => Ok(()),
        };
        // Before this node's own sockets, which may be many.
        self.send_queued();
        let concerned = operation.target().is_some_and(|target| target.concerns(self.node.id));
        let mut served = concerned && here.has_sockets();
        match (operation, acks) {
            _ if !concerned => {}
            (Operation::Broadcast { target, packet, .. }, _) => here.broadcast(target, packet),
            (Operation::Change { target, change, .. }, _) => here.change(target, change),
            (Operation::BroadcastWithAck { target, packet, timeout, .. }, Some(acks)) => {
                here.broadcast_with_ack(target, packet, *timeout, acks);
            }
            _ => served = false,
        }
        drop(order);
        queued.map_err(|failed| if served { failed.after_local() } else { failed })
    }

    /// Asks, and puts the answers together. `mine` adds this node's own part.
    pub(crate) async fn gather<T: Send>(
        self: &Arc<Self>,
        operation: Operation,
        scope: Scope,
        timeout: Duration,
        mine: impl FnOnce(&mut Vec<T>) + Send,
        mut take: impl FnMut(&mut Vec<T>, NodeId, Answer) -> Took + Send,
    ) -> Result<Gathered<T>> {
        check_timeout(timeout)?;
        let (kind, until) = (operation.name(), deadline(timeout));
        let (sender, mut replies) = mpsc::unbounded_channel();
        let question = self.ask(&operation, scope, until, None, |_| Waiter::Gather(sender)).await?;
        let mut items = Vec::new();
        mine(&mut items);
        let mut missing: Vec<MissingNode> = Vec::new();
        if let Some(question) = &question {
            missing.extend(&question.asked.missing);
            let mut waiting: BTreeSet<_> = question.asked.nodes.iter().copied().collect();
            // The engine ends the question; this only bounds how late that may be noticed.
            let late = (until + GRACE).into();
            while !waiting.is_empty() {
                match tokio::time::timeout_at(late, replies.recv()).await {
                    // What a node says beyond its last answer is not held.
                    Ok(Some(Reply::Answer(node, _))) if !waiting.contains(&node) => {}
                    Ok(Some(Reply::Answer(node, answer))) => {
                        let last = answer.is_last();
                        let strange = matches!(take(&mut items, node, answer), Took::Strange);
                        if strange {
                            missing.push(MissingNode { node, reason: MissingReason::Unsupported });
                        }
                        if last || strange {
                            waiting.remove(&node);
                        }
                    }
                    Ok(Some(Reply::Ended(silent))) => {
                        missing.extend(silent.into_iter().filter(|missing| waiting.remove(&missing.node)));
                        break;
                    }
                    Ok(None) | Err(_) => break,
                }
            }
            missing.extend(waiting.into_iter().map(|node| MissingNode { node, reason: MissingReason::Timeout }));
        }
        drop(question);
        self.measure_missing(kind, &missing);
        missing.sort_unstable_by_key(|missing| missing.node);
        Ok(Gathered { items, missing })
    }
}

/// Whether other nodes may have something to do with it.
fn leaves_this_node(operation: &Operation, scope: Scope, me: NodeId) -> bool {
    let elsewhere = |target: &crate::model::Target| target.node != Some(me) && !target.is_nobody();
    scope != Scope::Local && operation.target().is_none_or(elsewhere)
}

/// The answers of this node's own sockets.
pub(crate) struct LocalAcks {
    pub(crate) collector: Collector,
    pub(crate) node: NodeId,
}

impl AckSink for LocalAcks {
    fn expect(&self, sockets: Vec<SocketId>) {
        self.collector.expect(self.node, sockets);
    }

    fn ack(&self, socket: SocketId, answer: Result<Bytes, AckError>) {
        self.collector.ack(self.node, socket, answer);
    }
}

impl Drop for LocalAcks {
    fn drop(&mut self) {
        self.collector.end_local(self.node);
    }
}
