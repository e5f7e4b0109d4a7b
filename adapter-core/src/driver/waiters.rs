//! Who waits for answers, and what becomes of their questions.

use std::collections::{HashMap, VecDeque};
use std::sync::{MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::mpsc;

use super::core::{Core, now};
use crate::engine::{Output, Whole};
use crate::model::{MissingNode, MissingReason, NodeId, Result};
use crate::seams::acks::Collector;
use crate::wire::{AckAnswer, AckBatch, Answer};

/// Who waits for the answers to a question.
pub(crate) enum Waiter {
    /// Takes one answer for each node that was asked, so it holds no more than there are nodes.
    Gather(mpsc::UnboundedSender<Reply>),
    Acks(Collector),
}

pub(crate) enum Reply {
    Answer(NodeId, Answer),
    Ended(Vec<MissingNode>),
}

impl Core {
    fn waiters(&self) -> MutexGuard<'_, HashMap<u64, Waiter>> {
        self.waiters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Registers who waits for a question; to be called while the engine that gave the number is held.
    pub(crate) fn wait_for(&self, request: u64, waiter: Waiter) {
        self.waiters().insert(request, waiter);
    }

    /// Nobody waits for a question any more.
    pub(crate) fn forget(&self, request: u64) {
        self.engine().forget(request);
        let waiter = self.waiters().remove(&request);
        drop(waiter);
    }

    /// Ends every open question, and tells what is still to be told.
    pub(crate) fn end_questions(&self) {
        let mut outputs = VecDeque::new();
        {
            let mut engine = self.engine();
            engine.end_requests();
            engine.take_outputs(&mut outputs);
        }
        for output in outputs {
            if !matches!(output, Output::Perform { .. } | Output::Link(_) | Output::Reset(_) | Output::Ready) {
                self.carry_out(output);
            }
        }
    }

    /// Reads an answer, which may be long: the engine is not held meanwhile.
    pub(super) fn read_answer(&self, whole: Whole) -> Answer {
        Answer::decode(&whole.into_frame()).unwrap_or_else(|unreadable| {
            self.engine().unreadable(unreadable, None, now());
            Answer::Unsupported
        })
    }

    pub(super) fn take_answer(&self, request: u64, node: NodeId, answer: Answer) {
        if let Some(collector) = self.collector(request) {
            if let Answer::Acks(AckBatch { expected, acks, done }) = answer {
                if let Some(expected) = expected {
                    collector.expect(node, expected);
                }
                for ack in acks {
                    let answer: Result<Bytes, _> = match ack.answer {
                        AckAnswer::Data(data) => Ok(data),
                        AckAnswer::Failed(error) => Err(error),
                    };
                    collector.ack(node, ack.socket, answer);
                }
                if done {
                    collector.end(node, None);
                }
            } else {
                collector.end(node, Some(MissingReason::Unsupported));
            }
            return;
        }
        let replies = match self.waiters().get(&request) {
            Some(Waiter::Gather(replies)) => replies.clone(),
            _ => return,
        };
        // A receiver that is gone has forgotten the question in the meantime.
        let _ = replies.send(Reply::Answer(node, answer));
    }

    /// Taken out of the map, since it wakes foreign code.
    pub(super) fn collector(&self, request: u64) -> Option<Collector> {
        match self.waiters().get(&request) {
            Some(Waiter::Acks(collector)) => Some(collector.clone()),
            _ => None,
        }
    }

    pub(super) fn end(&self, request: u64, missing: Vec<MissingNode>) {
        let waiter = self.waiters().remove(&request);
        match waiter {
            Some(Waiter::Gather(replies)) => {
                let _ = replies.send(Reply::Ended(missing));
            }
            Some(Waiter::Acks(collector)) => {
                self.measure_missing("emit_with_ack", &missing);
                missing.iter().for_each(|missing| collector.end(missing.node, Some(missing.reason)));
            }
            None => {}
        }
    }
}
