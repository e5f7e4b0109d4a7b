//! What the engine does with what it received, and when time has passed.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::account::{Progress, Step};
use super::membership::Life;
use super::requests::Ended;
use super::window::Accepted;
use super::{Engine, Output, ReplyTo};
use crate::model::{Departure, Event, GapChannel, Missing, NodeId, Why};
use crate::wire::{Answer, Frame, Frames, Head, Kind, Number, Operation, Skipped, Unreadable};

impl Engine {
    /// Takes a message in the order in which it arrived.
    pub(crate) fn receive(&mut self, inbox: bool, message: Bytes, now: Instant) {
        if inbox {
            self.echo.arrived();
        } else {
            self.echo.arrived_on_cluster(now);
        }
        self.stats.malformed += u64::from(message.is_empty()); // no frame at all: a stranger's
        for frame in Frames(message) {
            match frame {
                Err(Skipped::Malformed) => self.stats.malformed += 1,
                Err(Skipped::TooNew { sender, number }) => {
                    self.stats.too_new += 1;
                    self.pass(inbox, sender, number, now);
                }
                Ok(frame) if frame.head.sender == self.settings.node.id => {
                    self.stats.own += 1;
                    if !frame.head.kind.is_control() {
                        self.check_impersonation(&frame.head, now);
                    }
                }
                Ok(frame) => {
                    self.stats.received += 1;
                    self.frame(inbox, frame, now);
                }
            }
        }
    }

    /// A frame that cannot be read keeps its place in the order: what follows is not held back for it.
    fn pass(&mut self, inbox: bool, sender: NodeId, number: Option<Number>, now: Instant) {
        if number.is_some() && sender != self.settings.node.id {
            let head = Head { kind: Kind::UNREADABLE, sender, counter: 0, number, part: None, request: None };
            self.frame(inbox, Frame { head, body: Bytes::new(), packet: Bytes::new() }, now);
        }
    }

    fn frame(&mut self, inbox: bool, frame: Frame, now: Instant) {
        let sender = frame.head.sender;
        if frame.head.kind.is_control() {
            if self.marks(inbox, &frame, now).is_err() {
                self.stats.malformed += 1;
            }
            return;
        }
        let Some(number) = frame.head.number else {
            self.members.hear_at(sender, now);
            match self.window.accept(frame, self.settings.limit()) {
                Accepted::Whole(frame) => self.carry_out(frame, now),
                Accepted::Piece => {}
                Accepted::Copy => self.stats.copies += 1,
            }
            return;
        };
        let (patience, patient) = (self.patience(), self.patient(now));
        let unsure = (!self.settings.ordered).then_some(patient);
        let Some(peer) = self.members.meet_alive(sender, now) else {
            self.stats.strangers_dropped += 1;
            return;
        };
        let died = peer.life == Life::Gone(Departure::Died);
        let progress = peer.account(inbox, number, unsure).accept(number, frame, patient, &patience);
        if died {
            self.revive(sender, now);
        }
        self.advance(sender, inbox, progress, now);
    }

    /// Carries out what an account lets through.
    pub(super) fn advance(&mut self, id: NodeId, inbox: bool, progress: Progress, now: Instant) {
        self.stats.copies += progress.copies;
        let channel = if inbox { GapChannel::Inbox } else { GapChannel::Cluster };
        for step in progress.steps {
            match step {
                Step::Frame(frame) => self.carry_out(frame, now),
                Step::Lost(count) => {
                    self.stats.lost = self.stats.lost.saturating_add(count);
                    self.outputs.push_back(Output::Event(Event::Gap { node: id, channel, count: Some(count) }));
                }
            }
        }
        let Some(peer) = self.members.get_mut(id) else { return };
        let hole = peer.accounts().filter_map(|(_, account)| account.hole_since()).min();
        if matches!(peer.life, Life::Leaving(..)) {
            self.check_leaving(id, now);
        }
        let Some(since) = hole else { return };
        let (patience, patient) = (self.patience().time, self.patient(now));
        // While that clock stands still there is nothing to look for before the next tick.
        let least = if self.is_in_doubt(now) { self.settings.tick } else { Duration::ZERO };
        let due = now + (since + patience).saturating_duration_since(patient).max(least);
        self.hole_due = Some(self.hole_due.map_or(due, |earlier| earlier.min(due)));
    }

    fn carry_out(&mut self, frame: Frame, now: Instant) {
        let (sender, request) = (frame.head.sender, frame.head.request);
        if frame.head.kind.is_answer() {
            match request {
                Some(request) if self.requests.awaits(request, sender) => self.take_answer(request, &frame),
                Some(_) => self.stats.late_answers += 1,
                None => self.stats.malformed += 1,
            }
            return;
        }
        // Who is not a node has no inbox, and waits for nothing.
        let reply =
            request.filter(|_| self.members.get(sender).is_some()).map(|request| ReplyTo { node: sender, request });
        match Operation::decode(frame) {
            Ok(operation) => {
                let me = self.settings.node.id;
                if operation.target().is_none_or(|target| target.concerns(me)) {
                    self.outputs.push_back(Output::Perform { from: sender, reply, operation });
                }
            }
            Err(unreadable) => {
                self.count(unreadable);
                if let Some(to) = reply {
                    self.answer(to, Answer::Unsupported, now);
                }
            }
        }
    }

    fn take_answer(&mut self, request: u64, frame: &Frame) {
        let node = frame.head.sender;
        let missing = match Answer::decode(frame) {
            Ok(Answer::Unsupported) => Some(Why::Unsupported),
            Ok(Answer::NoHandler) => Some(Why::NoHandler),
            Ok(answer) => {
                let last = answer.is_last();
                self.outputs.push_back(Output::Answer { request, node, answer });
                if !last {
                    return;
                }
                None
            }
            // A later version may say more before it answers.
            Err(Unreadable::UnknownKind) => return self.count(Unreadable::UnknownKind),
            Err(unreadable) => {
                self.count(unreadable);
                Some(Why::Unsupported)
            }
        };
        if let Some(why) = missing {
            self.outputs.push_back(Output::Missing { request, missing: Missing { node, why } });
        }
        self.outputs.extend(self.requests.settle(request, node, missing).map(Output::from));
    }

    fn count(&mut self, unreadable: Unreadable) {
        match unreadable {
            Unreadable::UnknownKind => self.stats.unknown_kind += 1,
            Unreadable::Malformed => self.stats.malformed += 1,
        }
    }
}

impl From<Ended> for Output {
    fn from(Ended { request, missing }: Ended) -> Self {
        Self::Ended { request, missing }
    }
}
