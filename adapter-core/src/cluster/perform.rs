//! Carrying out what other nodes ask.

use std::sync::{Arc, Weak};

use bytes::Bytes;

use super::core::{A_DAY, Core, now};
use crate::engine::ReplyTo;
use crate::local::AckSink;
use crate::protocol::{Answer, Operation};
use crate::server_event::ReplySink;
use crate::{AckError, Acks, NodeId, Reply, Scope, ServerEvent, SocketId};

impl Core {
    /// Carries out what a node asks, and answers if it says where to.
    pub(super) fn perform(self: &Arc<Self>, from: NodeId, reply: Option<ReplyTo>, operation: Operation) {
        let here = |namespace| self.registry.here(namespace, Scope::Cluster);
        let answer = match operation {
            Operation::Broadcast { namespace, target, packet } => {
                here(&namespace).broadcast(&target, &packet);
                Answer::Applied
            }
            Operation::BroadcastWithAck { namespace, target, packet, timeout } => {
                if let Some(to) = reply {
                    let acks = Acks::new(RemoteAcks { core: Arc::downgrade(self), to });
                    here(&namespace).broadcast_with_ack(&target, &packet, timeout.min(A_DAY), acks);
                }
                return;
            }
            Operation::Change { namespace, target, change } => {
                here(&namespace).change(&target, &change);
                Answer::Applied
            }
            Operation::FetchSockets { namespace, target, projection } => {
                Answer::Sockets(here(&namespace).sockets(&target, projection))
            }
            Operation::CountSockets { namespace, target } => Answer::Count(here(&namespace).count(&target)),
            Operation::ListRooms { namespace, target } => Answer::Rooms(here(&namespace).rooms(&target)),
            Operation::ServerEvent { namespace, event, data } => {
                let reply = reply.map(|to| Reply::new(RemoteReply { core: Arc::downgrade(self), to }));
                let event = ServerEvent { from, namespace, event, data, reply };
                if self.registry.server_event(event).is_err() {
                    self.events_dropped.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                }
                return; // the reply answers, or its drop does
            }
        };
        if let Some(to) = reply {
            self.answer(to, answer);
        }
    }

    fn answer(&self, to: ReplyTo, answer: Answer) {
        self.engine().answer(to, answer, now());
        self.work.notify_one();
    }
}

/// The answers of this node's sockets on their way to the node that asked: they travel together, as many as there are
/// when the writer looks.
struct RemoteAcks {
    core: Weak<Core>,
    to: ReplyTo,
}

impl RemoteAcks {
    fn with(&self, queue: impl FnOnce(&mut crate::engine::Engine)) {
        if let Some(core) = self.core.upgrade() {
            queue(&mut core.engine());
            core.work.notify_one();
        }
    }
}

impl AckSink for RemoteAcks {
    fn expect(&self, sockets: Vec<SocketId>) {
        self.with(|engine| engine.expect_acks(self.to, sockets, now()));
    }

    fn ack(&self, socket: SocketId, answer: Result<Bytes, AckError>) {
        self.with(|engine| engine.ack(self.to, socket, answer, now()));
    }
}

impl Drop for RemoteAcks {
    fn drop(&mut self) {
        self.with(|engine| engine.end_acks(self.to, now()));
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
