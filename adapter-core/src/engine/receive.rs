//! What the engine does with what it received.

use std::time::Instant;

use bytes::Bytes;

use super::membership::Life;
use super::order::{Accepted, Arrived, Progress, Step, Whole};
use super::requests::Ended;
use super::{Engine, Output, ReplyTo};
use crate::model::{Departure, MissingNode, NodeId};
use crate::wire::{Answer, Frame, Frames, Head, Kind, Number, Skipped, Unreadable};

/// A message that is being received.
#[derive(Debug)]
pub(crate) struct Incoming {
    frames: Frames,
    len: usize,
    inbox: bool,
    at: Instant,
    /// Its sender has said it long ago: that is no sign of life.
    replayed: bool,
    begun: bool,
    /// What follows is sent again by this node, on its channel: its inbox or not.
    resent: Option<(NodeId, bool)>,
}

impl Incoming {
    /// A message that has arrived then, on this node's inbox or on the cluster channel.
    pub(crate) fn new(inbox: bool, message: Bytes, at: Instant) -> Self {
        Self {
            len: message.len(),
            frames: Frames::new(message),
            inbox,
            at,
            replayed: false,
            begun: false,
            resent: None,
        }
    }

    /// Says whether the broker has kept it while this node was away.
    pub(crate) fn replayed(mut self, replayed: bool) -> Self {
        self.replayed = replayed;
        self
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
            if message.inbox || message.replayed {
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
                    if frame.head.kind == Kind::PROBE {
                        self.probed_in_place(frame.head.counter, now);
                    }
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
        let (patience, patient) = (self.patience(now), self.patient(now));
        let unsure = self.unsure(sender, now);
        if self.members.meet(sender, now).is_none() {
            self.stats.strangers_dropped += 1;
            return;
        }
        self.hear_message(sender, message);
        let Some(peer) = self.members.get_mut(sender) else { return };
        let progress = peer.account(message.inbox, number, unsure).pass(number, count, patient, &patience);
        self.advance(sender, message.inbox, progress, now);
    }

    /// Takes a message as a sign of its sender's life; returns whether it is one.
    fn hear_message(&mut self, sender: NodeId, message: &Incoming) -> bool {
        !message.replayed && self.members.hear_at(sender, message.at)
    }

    /// `met` is the sender that was met last in this message, and whether that was a fresh sign of life: frames of one sender
    /// mostly follow each other.
    fn frame(&mut self, message: &mut Incoming, frame: Frame, met: &mut Option<(NodeId, bool)>, now: Instant) {
        let sender = frame.head.sender;
        if frame.head.kind == Kind::RESEND {
            match self.resend(message.inbox, &frame, now) {
                Ok(inbox) => message.resent = Some((sender, inbox)),
                Err(_) => self.stats.malformed += 1,
            }
            return;
        }
        let (inbox, resent) = match message.resent {
            None => (message.inbox, false),
            Some((node, inbox)) if node == sender && frame.head.number.is_some() => (inbox, true),
            // What has no number comes once or not at all.
            Some(_) => return,
        };
        if frame.head.kind.is_control() {
            if self.marks(inbox, &frame, now).is_err() {
                self.stats.malformed += 1;
            }
            return;
        }
        let Some(number) = frame.head.number else {
            self.hear_message(sender, message);
            // By the clock that stands still while this node is deaf or asleep.
            let patient = self.patient(now);
            match self.window.accept(frame, message.len, self.settings.limit(), patient) {
                Accepted::Whole(whole) => self.carry_out(whole),
                Accepted::Piece => {}
                Accepted::Copy => self.stats.duplicates += 1,
            }
            return;
        };
        let fresh = match *met {
            Some((before, fresh)) if before == sender => fresh,
            _ if self.members.meet(sender, now).is_none() => {
                self.stats.strangers_dropped += 1;
                return;
            }
            _ => {
                let fresh = self.hear_message(sender, message);
                *met = Some((sender, fresh));
                fresh
            }
        };
        let Some(peer) = self.members.get_mut(sender) else { return };
        let died = peer.life == Life::Gone(Departure::Died);
        // Nearly every frame is the next one of a live node.
        if peer.life == Life::Live
            && !resent
            && frame.head.part.is_none()
            && peer.known_account(inbox).is_some_and(|account| account.takes_next(number))
        {
            return self.carry_out(Whole::AsItCame(frame));
        }
        let (patience, patient, unsure) = (self.patience(now), self.patient(now), self.unsure(sender, now));
        let Some(peer) = self.members.get_mut(sender) else { return };
        let account = peer.account(inbox, number, unsure);
        let arrived = Arrived { number, frame, message: message.len, resent };
        let progress = account.accept(arrived, patient, &patience);
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
            let Some(progress) = peer.known_account(inbox).map(|account| account.shed(bytes / 2)) else { return };
            self.advance(id, inbox, progress, now);
        }
    }

    /// Carries out what an account lets through.
    pub(super) fn advance(&mut self, id: NodeId, inbox: bool, progress: Progress, now: Instant) {
        self.stats.duplicates += progress.copies;
        self.stats.malformed += progress.leaps;
        self.stats.repaired += progress.repaired;
        let progressed = !progress.steps.is_empty();
        progress.late.into_iter().for_each(|late| self.reorder.came_late(late));
        for step in progress.steps {
            match step {
                Step::Frame(whole) => self.carry_out(whole),
                Step::LostUncounted => self.lost(id, inbox, None),
                Step::Lost(count) => self.lost(id, inbox, Some(count)),
            }
        }
        match self.members.get(id).map(|peer| &peer.life) {
            None => return,
            Some(Life::Leaving(..)) => self.check_leaving(id, now),
            Some(Life::Gone(Departure::Left)) if progressed => self.confirm_late(id),
            Some(_) => {}
        }
        self.mind_hole(id, inbox, now);
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
