//! What the engine does with what it received, and when time has passed.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::members::Life;
use super::order::{Accepted, Progress, Step};
use super::requests::Ended;
use super::{Control, Engine, Output, ReplyTo};
use crate::model::node::MAX_NODE_NAME;
use crate::model::{Departure, Event, GapChannel, Missing, NodeId, Why};
use crate::wire::{
    Answer, Frame, Frames, Hello, Kind, Malformed, Mark, Number, Pulse, Skipped, Unreadable, Welcome, decode,
};

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
    /// Takes a control message ahead of what waits: signs of life and greetings. What it says about earlier messages
    /// is left for [`receive`](Self::receive), which gets the same message in its place in the order.
    pub(crate) fn hear(&mut self, message: Bytes, now: Instant) {
        for frame in Frames::new(message).flatten() {
            self.greet(&frame, now);
        }
        self.check_ready(now);
    }

    fn greet(&mut self, frame: &Frame, now: Instant) {
        let sender = frame.head.sender;
        if sender == self.settings.node.id {
            return self.hear_myself(frame, now);
        }
        self.is_back(sender, now);
        if frame.head.part.is_some() {
            return; // put together by `receive`
        }
        let read = match frame.head.kind {
            Kind::HELLO => decode(&frame.body).map(|Hello { name, .. }| {
                self.meet(sender, name, now);
                self.welcome(sender);
            }),
            Kind::WELCOME => decode(&frame.body).map(|Welcome { name, nodes, .. }| {
                self.meet(sender, name, now);
                let me = self.settings.node.id;
                let names = nodes.into_iter().map(|entry| entry.id).filter(|id| *id != me);
                if let Some(readiness) = &mut self.readiness {
                    readiness.welcome(sender, names);
                }
            }),
            Kind::HEARTBEAT => decode(&frame.body).map(|Pulse { name, .. }| self.meet(sender, name, now)),
            _ => Ok(()),
        };
        drop(read); // what is malformed is counted by `receive`
    }

    /// Takes frames of a message in the order in which it arrived: the next ones, `most` of them.
    pub(crate) fn receive(&mut self, message: &mut Incoming, most: usize, now: Instant) {
        if !std::mem::replace(&mut message.begun, true) {
            self.echo.arrived();
            self.stats.malformed += u64::from(message.len == 0); // no frame at all: a stranger's
        }
        for _ in 0..most {
            let Some(frame) = message.frames.next() else { return };
            match frame {
                Err(Skipped::Malformed) => self.stats.malformed += 1,
                Err(Skipped::TooNew { sender, number, count, .. }) => {
                    self.stats.too_new += u64::from(count);
                    self.pass(message.inbox, sender, number, count, now);
                }
                Ok(frame) if frame.head.sender == self.settings.node.id => self.stats.own += 1,
                Ok(frame) => {
                    self.stats.received += 1;
                    self.frame(message, frame, now);
                }
            }
        }
    }

    /// Frames that cannot be read keep their places in the order: what follows is not held back for them.
    fn pass(&mut self, inbox: bool, sender: NodeId, number: Option<Number>, count: u16, now: Instant) {
        let (Some(number), true) = (number, sender != self.settings.node.id) else { return };
        let patient = self.patient(now);
        let unsure = (!self.settings.ordered).then_some(patient);
        let Some(peer) = self.members.meet_alive(sender, now) else {
            self.stats.strangers_dropped += 1;
            return;
        };
        let progress = peer.account(inbox, number, unsure).pass(number, count, patient);
        self.advance(sender, inbox, progress, now);
    }

    fn hear_myself(&mut self, frame: &Frame, now: Instant) {
        match frame.head.kind {
            Kind::HELLO => {
                if let Some(readiness) = &mut self.readiness {
                    readiness.echo(now);
                }
            }
            Kind::HEARTBEAT => self.echo.heartbeat(frame.head.counter),
            Kind::PROBE => self.echo.probe(frame.head.counter),
            _ => {}
        }
    }

    pub(super) fn welcome(&mut self, newcomer: NodeId) {
        if self.leaving {
            return;
        }
        if self.readiness.is_some() {
            return; // answered when we are ready: until then we know nobody for it
        }
        let known = self.members.get(newcomer).is_some();
        if known && !self.control.contains(&Control::Welcome(newcomer)) {
            self.control.push_back(Control::Welcome(newcomer));
        }
    }

    /// A node has introduced itself. One that left does not come back: what it sends still is late.
    fn meet(&mut self, id: NodeId, name: String, now: Instant) {
        if name.len() > MAX_NODE_NAME {
            return; // nobody with such a name could connect
        }
        let Some(peer) = self.members.meet(id, now) else { return };
        peer.name = name;
        if let Some(readiness) = &mut self.readiness {
            readiness.introduce(id);
        }
        match peer.life {
            Life::Stranger | Life::Gone(Departure::Died) => self.revive(id, now),
            Life::Live | Life::Leaving(..) => self.members.hear(id),
            Life::Gone(Departure::Left) => {}
        }
    }

    pub(super) fn revive(&mut self, id: NodeId, now: Instant) {
        if self.members.set(id, Life::Live, now)
            && let Some(peer) = self.members.get(id)
        {
            self.outputs.push_back(Output::Event(Event::NodeUp(peer.node(id))));
            if peer.welcomed.is_none() {
                self.met.push(id);
            }
        }
    }

    fn frame(&mut self, message: &Incoming, frame: Frame, now: Instant) {
        let (sender, inbox) = (frame.head.sender, message.inbox);
        if frame.head.kind.is_control() {
            let pieces = frame.head.part.is_some();
            let whole = if pieces { self.window.accept(frame, self.settings.limit()) } else { Accepted::Whole(frame) };
            let Accepted::Whole(frame) = whole else { return };
            if pieces {
                self.greet(&frame, now);
                self.check_ready(now);
            }
            if self.marks(&frame, now).is_err() {
                self.stats.malformed += 1;
            }
            return;
        }
        let Some(number) = frame.head.number else {
            self.members.hear(sender);
            match self.window.accept(frame, self.settings.limit()) {
                Accepted::Whole(frame) => self.carry_out(frame),
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
        let (live, died) = (peer.life == Life::Live, peer.life == Life::Gone(Departure::Died));
        let account = peer.account(inbox, number, unsure);
        // Nearly every frame is the next one of a live node.
        if live && frame.head.part.is_none() && account.takes_next(number) {
            return self.carry_out(frame);
        }
        let progress = account.accept(number, frame, message.len, patient, &patience);
        if died {
            self.revive(sender, now);
        }
        self.advance(sender, inbox, progress, now);
    }

    /// What a control frame says about the messages before it.
    fn marks(&mut self, frame: &Frame, now: Instant) -> Result<(), Malformed> {
        let sender = frame.head.sender;
        let (cluster, inboxes, bye) = match frame.head.kind {
            Kind::HELLO => (decode::<Hello>(&frame.body)?.cluster, Vec::new(), false),
            Kind::WELCOME => (decode::<Welcome>(&frame.body)?.cluster, Vec::new(), false),
            kind @ (Kind::HEARTBEAT | Kind::BYE) => {
                let pulse = decode::<Pulse>(&frame.body)?;
                (pulse.cluster, pulse.inboxes, kind == Kind::BYE)
            }
            _ => return Ok(()),
        };
        if inboxes.iter().map(|inbox| inbox.mark).chain([cluster]).any(|mark| mark.n == u64::MAX) {
            return Err(Malformed::number());
        }
        let me = self.settings.node.id;
        let inbox = inboxes.iter().find(|inbox| inbox.node == me).map(|inbox| inbox.mark);
        let (patience, patient) = (self.patience(), self.patient(now));
        if bye {
            self.members.meet(sender, now); // what it sent before and comes later must not bring it back
        }
        let Some(peer) = self.members.get_mut(sender) else { return Ok(()) };
        // A mark that is the first we hear of a channel is where our account of it begins.
        let begin = Number { epoch: cluster.epoch, n: cluster.n.saturating_add(1) };
        // Only an introduction is meant for us; without an order, a pulse may have overtaken what came before it.
        let introduction = matches!(frame.head.kind, Kind::HELLO | Kind::WELCOME);
        let unordered = (!self.settings.ordered).then_some(patient);
        let unsure = unordered.filter(|_| !introduction);
        let account = peer.account(false, begin, unsure);
        // What an introduction says is where this account begins; it may name a message of which pieces are still to come.
        let progress = if introduction { account.begin(cluster) } else { account.mark(cluster, patient, &patience) };
        let inbox_progress = inbox.map(|mark| {
            let first = Number { epoch: mark.epoch, n: mark.n.saturating_add(1) };
            peer.account(true, first, unordered).mark(mark, patient, &patience)
        });
        let stays = bye && matches!(peer.life, Life::Stranger | Life::Live);
        self.advance(sender, false, progress, now);
        if let Some(progress) = inbox_progress {
            self.advance(sender, true, progress, now);
        }
        if stays {
            self.goodbye(sender, cluster, inbox, now);
        }
        Ok(())
    }

    fn goodbye(&mut self, id: NodeId, cluster: Mark, inbox: Option<Mark>, now: Instant) {
        let was_live = self.members.get(id).is_some_and(|peer| peer.is_live());
        if !was_live {
            self.members.set(id, Life::Gone(Departure::Left), now);
            return;
        }
        let until = self.patient(now) + self.patience().time;
        self.members.set(id, Life::Leaving(cluster, inbox, until), now);
        self.check_leaving(id, now);
    }

    /// A node that has said goodbye is gone once all that it sent is carried out, or given up.
    pub(super) fn check_leaving(&mut self, id: NodeId, now: Instant) {
        let patient = self.patient(now);
        let Some(peer) = self.members.get(id) else { return };
        if matches!(peer.life, Life::Leaving(_, _, until) if until <= patient || peer.has_finished()) {
            self.lose(id, Departure::Left, now);
        }
    }

    /// A node is gone: nobody waits for it any more.
    pub(super) fn lose(&mut self, id: NodeId, how: Departure, now: Instant) {
        let Some(node) = self.members.get(id).map(|peer| peer.node(id)) else { return };
        self.members.set(id, Life::Gone(how), now);
        self.is_back(id, now);
        self.outputs.push_back(Output::Event(Event::NodeDown(node, how)));
        let why = match how {
            Departure::Left => Why::Left,
            Departure::Died => {
                // What it sent after the last that we heard of it, nobody knows.
                let gap = Event::Gap { node: id, channel: GapChannel::Cluster, count: None };
                self.outputs.push_back(Output::Event(gap));
                Why::Died
            }
        };
        for (request, ended) in self.requests.gone(id, why) {
            self.outputs.push_back(Output::Missing { request, missing: Missing { node: id, why } });
            self.outputs.extend(ended.map(Output::from));
        }
        if let Some(readiness) = &mut self.readiness {
            readiness.gone(id);
        }
    }

    /// Carries out what an account lets through.
    pub(super) fn advance(&mut self, id: NodeId, inbox: bool, progress: Progress, now: Instant) {
        self.stats.copies += progress.copies;
        let channel = if inbox { GapChannel::Inbox } else { GapChannel::Cluster };
        for step in progress.steps {
            match step {
                Step::Frame(frame) => self.carry_out(frame),
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

    fn carry_out(&mut self, frame: Frame) {
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
        self.outputs.push_back(Output::Perform { reply, frame });
    }

    /// A frame that was to be carried out could not be read: that is counted, and an asker is told.
    pub(crate) fn unreadable(&mut self, unreadable: Unreadable, reply: Option<ReplyTo>, now: Instant) {
        self.count(unreadable);
        if let Some(to) = reply {
            self.answer(to, vec![Answer::Unsupported.encode()], now);
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
