//! Answers that wait to be sent, and their bound.

use std::time::Instant;

use bytes::Bytes;

use super::segment::Cost;
use super::{Destination, ReplyTo, Sending, acks};
use crate::model::{AckError, MAX_NAME, SocketId};
use crate::wire::{AckAnswer, Answer, Content, SocketAck};

/// What an answer that waits counts beside its bytes.
const ANSWER: usize = 64;

impl Sending {
    /// Queues an answer, which may come in several parts. When the bound of answers leaves no room, the asker is told that
    /// there is none.
    pub(crate) fn answer(&mut self, to: ReplyTo, parts: Vec<Content>, now: Instant) {
        let bytes: usize = parts.iter().map(|part| ANSWER + part.len()).sum();
        let fits = parts.iter().all(|part| part.len() <= self.limit) && self.answer_bytes + bytes <= self.max_answers;
        if fits {
            parts.into_iter().for_each(|content| self.push_answer(to, content, now));
        } else if self.may_refuse() {
            self.push_answer(to, Answer::NoHandler.encode(), now);
        }
    }

    /// There is no room for an answer. Returns whether its asker can still be told: beyond twice the bound it is not.
    fn may_refuse(&mut self) -> bool {
        self.dropped_answers += 1;
        self.answer_bytes < self.max_answers.saturating_mul(2)
    }

    fn push_answer(&mut self, to: ReplyTo, content: Content, now: Instant) {
        let cost = Cost { room: 0, answer_bytes: ANSWER + content.len() };
        self.answer_bytes += cost.answer_bytes;
        let number = self.number(Destination::Inbox(to.node));
        self.push(Destination::Inbox(to.node), content, Some(number), Some(to.request), cost, now);
    }

    /// Names the sockets whose answers will follow.
    pub(crate) fn expect_acks(&mut self, to: ReplyTo, mut sockets: Vec<SocketId>) {
        let names =
            |sockets: &[SocketId]| -> usize { sockets.iter().map(|socket| socket.as_str().len() + acks::NAME).sum() };
        // A list that the asker takes stays as it is: it may be long, and the engine is held.
        let most = if names(&sockets) <= self.limit { sockets.len() } else { self.limit / (MAX_NAME + acks::NAME) };
        // At least one batch, which says that there are none.
        loop {
            let rest = sockets.split_off(most.max(1).min(sockets.len()));
            let bytes = self.acks.beginning(to) + names(&sockets);
            if !self.has_room(bytes) {
                let room = self.room_to_refuse(to);
                return room.into_iter().for_each(|bytes| self.acks.break_off(to, bytes));
            }
            self.acks.expect(to, sockets, bytes, self.limit);
            if rest.is_empty() {
                return;
            }
            sockets = rest;
        }
    }

    pub(crate) fn ack(&mut self, to: ReplyTo, socket: SocketId, answer: Result<Bytes, AckError>) {
        let answered = match &answer {
            Ok(data) => data.len(),
            Err(AckError::Other(text)) => text.len(),
            Err(_) => 0,
        };
        let bytes = self.acks.beginning(to) + socket.as_str().len() + answered + acks::ACK;
        if self.has_room(bytes) {
            let answer = answer.map_or_else(AckAnswer::Failed, AckAnswer::Data);
            self.acks.ack(to, SocketAck { socket, answer }, bytes, self.limit);
        }
    }

    pub(crate) fn end_acks(&mut self, to: ReplyTo) {
        if let Some(bytes) = self.room_to_refuse(to) {
            self.acks.end(to, bytes);
        }
    }

    /// Takes room for acks; without it they are dropped, and counted.
    fn has_room(&mut self, bytes: usize) -> bool {
        let fits = self.answer_bytes + bytes <= self.max_answers;
        if fits {
            self.answer_bytes += bytes;
        } else {
            self.dropped_answers += 1;
        }
        fits
    }

    /// Takes room for saying that nothing more comes, which has twice the bound.
    fn room_to_refuse(&mut self, to: ReplyTo) -> Option<usize> {
        let bytes = self.acks.beginning(to);
        if self.answer_bytes + bytes > self.max_answers.saturating_mul(2) {
            self.dropped_answers += 1;
            return None;
        }
        self.answer_bytes += bytes;
        Some(bytes)
    }

    /// The next answer of sockets that waits: to be encoded, and queued by [`acks_encoded`](Self::acks_encoded).
    pub(crate) fn take_acks(&mut self) -> Option<(ReplyTo, Answer)> {
        let (to, waiting) = self.acks.take()?;
        self.answer_bytes -= waiting.bytes;
        Some((to, waiting.into_answer()))
    }

    /// Queues what [`take_acks`](Self::take_acks) has given. Its bytes were counted all along, so there is no bound here.
    pub(crate) fn acks_encoded(&mut self, to: ReplyTo, content: Content, now: Instant) {
        self.push_answer(to, content, now);
    }
}
