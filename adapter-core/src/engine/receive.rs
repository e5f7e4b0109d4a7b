//! What the engine does with what it received.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::membership::Life;
use super::order::{Accepted, Progress, Step, Whole};
use super::requests::Ended;
use super::{Engine, Output, ReplyTo};
use crate::model::{Departure, Event, GapChannel, MissingNode, NodeId};
use crate::wire::{Answer, Frame, Frames, Head, Number, Skipped, Unreadable};

/// A message that is being received.
#[derive(Debug)]
pub(crate) struct Incoming {
    frames: Frames,
    len: usize,
    inbox: bool,
    at: Instant,
    begun: bool,
}

impl Incoming {
    /// A message that has arrived then, on this node's inbox or on the cluster channel.
    pub(crate) fn new(inbox: bool, message: Bytes, at: Instant) -> Self {
        Self { len: message.len(), frames: Frames::new(message), inbox, at, begun: false }
    }

    /// Whether all of it was taken.
    pub(crate) fn is_done(&self) -> bool {
        self.begun && self.frames.is_done()
    }
}

impl Engine {
    /// Takes frames of a message in the order in which it arrived: the next ones, `most` of them.
    pub(crate) fn receive(&mut self, message: &mut Incoming, most: usize, now: Instant) {
        if !std::mem::replace(&mut message.begun, true) {
            if message.inbox {
                self.echo.arrived();
            } else {
                self.echo.arrived_on_cluster(message.at);
            }
            self.stats.malformed += u64::from(message.len == 0); // no frame at all: a stranger's
        }
        let mut met = None;
        for _ in 0..most {
            let Some(frame) = message.frames.next() else { return };
            match frame {
                Err(Skipped::Malformed) => self.stats.malformed += 1,
                Err(Skipped::TooNew { sender, number, count, .. }) => {
                    self.stats.too_new += u64::from(count);
                    self.pass(message, sender, number, count, now);
                }
                Ok(frame) if frame.head.sender == self.settings.node.id => {
                    self.stats.own += 1;
                    if !frame.head.kind.is_control() {
                        self.check_impersonation(&frame.head, now);
                    }
                }
                Ok(frame) => {
                    self.stats.received += 1;
                    self.frame(message, frame, &mut met, now);
                }
            }
        }
    }

    /// Frames that cannot be read keep their places in the order: what follows is not held back for them.
    fn pass(&mut self, message: &Incoming, sender: NodeId, number: Option<Number>, count: u16, now: Instant) {
        let (Some(number), true) = (number, sender != self.settings.node.id) else { return };
        let patient = self.patient(now);
        let unsure = (!self.settings.ordered).then_some(patient);
        if self.members.meet(sender, now).is_none() {
            self.stats.strangers_dropped += 1;
            return;
        }
        self.members.hear_at(sender, message.at);
        let Some(peer) = self.members.get_mut(sender) else { return };
        let progress = peer.account(message.inbox, number, unsure).pass(number, count, patient);
        self.advance(sender, message.inbox, progress, now);
    }

    /// `met` is the sender that was met last in this message, and whether that was a fresh sign of life: frames of one sender
    /// mostly follow each other.
    fn frame(&mut self, message: &Incoming, frame: Frame, met: &mut Option<(NodeId, bool)>, now: Instant) {
        let (sender, inbox) = (frame.head.sender, message.inbox);
        if frame.head.kind.is_control() {
            if self.marks(inbox, &frame, now).is_err() {
                self.stats.malformed += 1;
            }
            return;
        }
        let Some(number) = frame.head.number else {
            self.members.hear_at(sender, message.at);
            // By the clock that stands still while this node is deaf or asleep.
            let patient = self.patient(now);
            match self.window.accept(frame, message.len, self.settings.limit(), patient) {
                Accepted::Whole(whole) => self.carry_out(whole),
                Accepted::Piece => {}
                Accepted::Copy => self.stats.copies += 1,
            }
            return;
        };
        let (patience, patient) = (self.patience(), self.patient(now));
        let unsure = (!self.settings.ordered).then_some(patient);
        let fresh = match *met {
            Some((before, fresh)) if before == sender => fresh,
            _ if self.members.meet(sender, now).is_none() => {
                self.stats.strangers_dropped += 1;
                return;
            }
            _ => {
                let fresh = self.members.hear_at(sender, message.at);
                *met = Some((sender, fresh));
                fresh
            }
        };
        let Some(peer) = self.members.get_mut(sender) else { return };
        let (live, died) = (peer.life == Life::Live, peer.life == Life::Gone(Departure::Died));
        let account = peer.account(inbox, number, unsure);
        // Nearly every frame is the next one of a live node.
        if live && frame.head.part.is_none() && account.takes_next(number) {
            return self.carry_out(Whole::AsItCame(frame));
        }
        let progress = account.accept(number, frame, message.len, patient, &patience);
        if died && fresh {
            self.revive(sender, now);
        }
        self.advance(sender, inbox, progress, now);
        self.bound_held(now);
    }

    /// What is held back for all senders has one bound. Beyond it, most is given up of whom most is held for.
    fn bound_held(&mut self, now: Instant) {
        while self.members.held() > self.settings.held_bytes {
            let Some((id, inbox, bytes)) = self.members.greediest().filter(|(.., bytes)| *bytes > 0) else { return };
            let Some(peer) = self.members.get_mut(id) else { return };
            let account = if inbox { &mut peer.inbox } else { &mut peer.cluster };
            let Some(progress) = account.as_mut().map(|account| account.shed(bytes / 2)) else { return };
            self.advance(id, inbox, progress, now);
        }
    }

    /// Carries out what an account lets through.
    pub(super) fn advance(&mut self, id: NodeId, inbox: bool, progress: Progress, now: Instant) {
        self.stats.copies += progress.copies;
        self.stats.malformed += progress.leaps;
        let channel = if inbox { GapChannel::Inbox } else { GapChannel::Cluster };
        for step in progress.steps {
            match step {
                Step::Frame(whole) => self.carry_out(whole),
                Step::LostUncounted => {
                    self.outputs.push_back(Output::Event(Event::Gap { node: id, channel, count: None }));
                }
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

    fn carry_out(&mut self, whole: Whole) {
        let Head { sender, request, kind, .. } = *whole.head();
        if kind.is_answer() {
            match request {
                Some(request) if self.requests.awaits(request, sender) => self.take_answer(request, sender, whole),
                Some(_) => self.stats.late_answers += 1,
                None => self.stats.malformed += 1,
            }
            return;
        }
        // Who is not a node has no inbox, and waits for nothing.
        let reply =
            request.filter(|_| self.members.get(sender).is_some()).map(|request| ReplyTo { node: sender, request });
        self.outputs.push_back(Output::Perform { reply, whole });
    }

    /// A frame that was to be carried out could not be read: that is counted, and an asker is told.
    pub(crate) fn unreadable(&mut self, unreadable: Unreadable, reply: Option<ReplyTo>, now: Instant) {
        self.count(unreadable);
        if let Some(to) = reply {
            self.answer(to, vec![Answer::Unsupported.encode()], now);
        }
    }

    /// Reading an answer is the driver's: here it counts only whether more of it will come.
    fn take_answer(&mut self, request: u64, node: NodeId, whole: Whole) {
        let missing = match Answer::is_last_of(whole.head().kind, whole.last_byte()) {
            // A later version may say more before it answers.
            None => return self.count(Unreadable::UnknownKind),
            Some(Err(reason)) => {
                self.outputs.push_back(Output::Missing { request, missing: MissingNode { node, reason } });
                Some(reason)
            }
            Some(Ok(last)) => {
                self.outputs.push_back(Output::Answer { request, node, whole });
                if !last {
                    return;
                }
                None
            }
        };
        self.outputs.extend(self.requests.node_done(request, node, missing).map(Output::from));
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
