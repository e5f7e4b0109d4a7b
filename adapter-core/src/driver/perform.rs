//! Carrying out what other nodes ask.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Weak};

use bytes::Bytes;
use tracing::Span;

use super::core::{A_DAY, Core, now};
use super::panics;
use super::registry::Found;
use crate::engine::{Engine, ReplyTo};
use crate::model::{AckError, NodeId, SocketId};
use crate::seams::{AckSink, Acks, Passed, ReplyHandle, ReplySink, Scope, ServerEvent, Sight};
use crate::wire::{Answer, Frame, Kind, Operation, Unreadable};

/// Reads operations. A broadcast to the same rooms as the one before is read by its bytes alone.
#[derive(Default)]
pub(super) struct Performer {
    before: Option<(Kind, Bytes, Operation)>,
    found: Found,
}

impl Performer {
    fn read(&mut self, frame: Frame) -> Result<&mut Operation, Unreadable> {
        let (kind, body) = (frame.head.kind, frame.body.clone());
        let same = self.before.as_ref().is_some_and(|(before, bytes, _)| *before == kind && *bytes == body);
        match &mut self.before {
            Some((_, _, Operation::Broadcast { packet, .. })) if same => packet.data = frame.packet,
            _ => {
                self.before = None;
                self.before = Some((kind, body, Operation::decode(frame)?));
            }
        }
        // It was put there above.
        self.before.as_mut().map(|(_, _, operation)| operation).ok_or(Unreadable::Malformed)
    }

    /// What was carried out keeps no packet; what is no broadcast is not kept at all.
    fn done(&mut self) {
        match &mut self.before {
            Some((_, _, Operation::Broadcast { packet, .. })) => packet.data = Bytes::new(),
            _ => self.before = None,
        }
    }
}

impl Core {
    /// Carries out what a node asks, and answers if it says where to.
    pub(super) fn perform(self: &Arc<Self>, performer: &mut Performer, reply: Option<ReplyTo>, frame: Frame) {
        let (from, context) = (frame.head.sender, frame.head.trace);
        let mut found = std::mem::take(&mut performer.found);
        match performer.read(frame) {
            Ok(operation) => {
                self.show(from, operation);
                if operation.target().is_none_or(|target| target.concerns(self.node.id)) {
                    let span = self.delivering(operation, from, context, &mut found);
                    span.in_scope(|| self.perform_operation(from, reply, operation, &mut found));
                }
            }
            Err(unreadable) => {
                self.engine().unreadable(unreadable, reply, now());
                if reply.is_some() {
                    self.work.notify_one();
                }
            }
        }
        performer.done();
        performer.found = found;
    }

    /// Shows an operation to who looks on.
    fn show(&self, from: NodeId, operation: &Operation) {
        let Some(observer) = self.observer.get() else { return };
        let what = match operation {
            Operation::Broadcast { packet, .. } => Sight::Broadcast(packet),
            Operation::BroadcastWithAck { packet, .. } => Sight::BroadcastWithAck(packet),
            Operation::Change { change, .. } => Sight::Change(change),
            Operation::ServerEvent { event, data, .. } => Sight::ServerEvent { event, data },
            Operation::FetchSockets { .. } | Operation::CountSockets { .. } | Operation::ListRooms { .. } => return,
        };
        let passed = Passed { from, namespace: operation.namespace(), target: operation.target(), what };
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| observer.saw(&passed))) {
            self.registry.panics().note("the observer", &panics::message(&*panic));
        }
    }

    fn perform_operation(
        self: &Arc<Self>,
        from: NodeId,
        reply: Option<ReplyTo>,
        operation: &mut Operation,
        found: &mut Found,
    ) {
        let mut here = |namespace| self.registry.here_again(found, namespace, Scope::Cluster);
        let answer = match operation {
            Operation::Broadcast { namespace, target, packet } => {
                let here = here(namespace);
                here.count_delivered();
                here.broadcast(target, packet);
                Answer::Applied
            }
            Operation::BroadcastWithAck { namespace, target, packet, timeout } => {
                if let Some(to) = reply {
                    let acks = Acks::new(RemoteAcks { core: Arc::downgrade(self), to });
                    let here = here(namespace);
                    here.count_delivered();
                    here.broadcast_with_ack(target, packet, (*timeout).min(A_DAY), acks);
                }
                return;
            }
            Operation::Change { namespace, target, change } => {
                here(namespace).change(target, change);
                Answer::Applied
            }
            Operation::FetchSockets { namespace, target, projection } => {
                Answer::Sockets(here(namespace).sockets(target, *projection), true)
            }
            Operation::CountSockets { namespace, target } => Answer::Count(here(namespace).count(target)),
            Operation::ListRooms { namespace, target } => Answer::Rooms(here(namespace).rooms(target), true),
            Operation::ServerEvent { namespace, event, data } => {
                let reply = reply.map(|to| ReplyHandle::new(RemoteReply { core: Arc::downgrade(self), to }));
                let (namespace, event, data) = (namespace.clone(), std::mem::take(event), std::mem::take(data));
                let dropped = self.registry.server_event(ServerEvent {
                    from,
                    namespace,
                    event,
                    data,
                    reply,
                    span: Span::current(),
                });
                self.events_dropped.fetch_add(dropped, std::sync::atomic::Ordering::Relaxed);
                return; // the reply answers, or its drop does
            }
        };
        if let Some(to) = reply {
            self.answer(to, answer);
        }
    }

    fn answer(&self, to: ReplyTo, answer: Answer) {
        // Encoded here: the engine is not held meanwhile.
        let parts = answer.encode_in_parts();
        // Nor is it the last to let go of an application's bytes, which may run the code of their owner.
        let packets: Vec<_> = parts.iter().map(|part| part.packet.clone()).collect();
        self.engine().answer(to, parts, now());
        drop(packets);
        self.send_queued();
    }
}

/// The answers of this node's sockets on their way to the node that asked: they travel together, as many as there are
/// when the writer looks.
struct RemoteAcks {
    core: Weak<Core>,
    to: ReplyTo,
}

impl RemoteAcks {
    fn with(&self, queue: impl FnOnce(&mut Engine)) {
        if let Some(core) = self.core.upgrade() {
            queue(&mut core.engine());
            core.work.notify_one();
        }
    }
}

impl AckSink for RemoteAcks {
    fn expect(&self, sockets: Vec<SocketId>) {
        self.with(|engine| engine.expect_acks(self.to, sockets));
    }

    fn ack(&self, socket: SocketId, answer: Result<Bytes, AckError>) {
        let kept = answer.clone();
        self.with(|engine| engine.ack(self.to, socket, answer));
        drop(kept); // the engine was not the last to let go of it
    }
}

impl Drop for RemoteAcks {
    fn drop(&mut self) {
        self.with(|engine| engine.end_acks(self.to));
    }
}

struct RemoteReply {
    core: Weak<Core>,
    to: ReplyTo,
}

impl ReplySink for RemoteReply {
    fn reply(&self, answer: Option<Bytes>) {
        let Some(core) = self.core.upgrade() else { return };
        let answer = answer.filter(|data| data.len() <= core.bounds.max_message);
        core.answer(self.to, answer.map_or(Answer::NoHandler, Answer::Server));
    }
}
