//! Sending an operation, and gathering what is answered.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::mpsc;

use super::core::{Core, Reply, Room, Waiter, deadline};
use crate::acks::Collector;
use crate::engine::{Delivery, Engine};
use crate::local::AckSink;
use crate::protocol::{Answer, Operation};
use crate::{AckError, Acks, Error, ErrorKind, Gathered, Missing, NodeId, Result, Scope, SocketId};

pub(super) fn check_timeout(timeout: Duration) -> Result<()> {
    if timeout.is_zero() { Err(Error::config("a timeout of zero leaves no time for an answer")) } else { Ok(()) }
}

/// A question whose answers nobody wants once this is dropped.
pub(super) struct Forget {
    core: Arc<Core>,
    request: u64,
}

impl Drop for Forget {
    fn drop(&mut self) {
        self.core.forget(self.request);
    }
}

impl Core {
    /// Sends an operation and carries it out here, in the same order as everything else in its namespace.
    pub(super) async fn send(
        &self,
        operation: &Operation,
        scope: Scope,
        delivery: Delivery,
        wait: Duration,
    ) -> Result<()> {
        self.check_open()?;
        let content = operation.encode();
        self.check_size(&content)?;
        if !leaves_this_node(operation, scope, self.node.id) {
            return self.serve(operation, scope, None, None, |_, _| {});
        }
        let room = self.reserve(&content, wait).await;
        self.serve(operation, scope, Some(room), None, |engine, cost| {
            if !engine.send(content, delivery, cost, Instant::now()) {
                self.give_room(cost);
            }
        })
    }

    /// The same for a question: `waiter` is told whom it asks, before anybody can answer. Nothing is answered by
    /// others when there is nothing to forget.
    pub(super) async fn ask(
        self: &Arc<Self>,
        operation: &Operation,
        scope: Scope,
        until: Instant,
        acks: Option<Acks>,
        waiter: impl FnOnce(&[NodeId]) -> Waiter + Send,
    ) -> Result<Option<Forget>> {
        self.check_open()?;
        let content = operation.encode();
        self.check_size(&content)?;
        if !leaves_this_node(operation, scope, self.node.id) {
            return self.serve(operation, scope, None, acks, |_, _| {}).map(|()| None);
        }
        let room = self.reserve(&content, until.saturating_duration_since(Instant::now())).await;
        let only = operation.target().and_then(|target| target.node);
        let mut forget = None;
        self.serve(operation, scope, Some(room), acks, |engine, cost| {
            let (request, asked) = engine.ask(content, only, cost, until, Instant::now());
            if !asked.is_empty() {
                self.wait_for(request, waiter(&asked));
                forget = Some(request);
            }
        })?;
        self.sooner.notify_one();
        Ok(forget.map(|request| Forget { core: Arc::clone(self), request }))
    }

    /// Gives the message its number and carries the operation out here, under the lock that keeps both in order.
    fn serve(
        &self,
        operation: &Operation,
        scope: Scope,
        room: Option<Result<Room<'_>>>,
        acks: Option<Acks>,
        queue: impl FnOnce(&mut Engine, usize),
    ) -> Result<()> {
        let here = self.registry.here(operation.namespace(), scope);
        let order = here.in_order();
        let queued = match room {
            Some(Err(closed)) if closed.kind() == ErrorKind::Closed => return Err(closed),
            Some(room) => room.map(|room| queue(&mut self.engine(), room.take())),
            None => Ok(()),
        };
        self.work.notify_one();
        let mut served = operation.target().is_some_and(|target| target.concerns(self.node.id));
        match (operation, acks) {
            _ if !served => {}
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
    pub(super) async fn gather<T: Send>(
        self: &Arc<Self>,
        operation: Operation,
        scope: Scope,
        timeout: Duration,
        mine: impl FnOnce(&mut Vec<T>) + Send,
        mut take: impl FnMut(&mut Vec<T>, NodeId, Answer) + Send,
    ) -> Result<Gathered<T>> {
        check_timeout(timeout)?;
        let (sender, mut replies) = mpsc::unbounded_channel();
        let asked = self.ask(&operation, scope, deadline(timeout), None, |_| Waiter::Gather(sender)).await?;
        let mut items = Vec::new();
        mine(&mut items);
        let mut missing: Vec<Missing> = Vec::new();
        if asked.is_some() {
            while let Some(reply) = replies.recv().await {
                match reply {
                    Reply::Answer(node, answer) => take(&mut items, node, answer),
                    Reply::Ended(silent) => {
                        missing = silent;
                        break;
                    }
                }
            }
        }
        drop(asked);
        missing.sort_unstable_by_key(|missing| missing.node);
        Ok(Gathered { items, missing })
    }
}

/// Whether other nodes may have something to do with it.
fn leaves_this_node(operation: &Operation, scope: Scope, me: NodeId) -> bool {
    let elsewhere = |target: &crate::Target| target.node != Some(me) && !target.is_nobody();
    scope != Scope::Local && operation.target().is_none_or(elsewhere)
}

/// The answers of this node's own sockets.
pub(super) struct LocalAcks {
    pub(super) collector: Collector,
    pub(super) node: NodeId,
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
