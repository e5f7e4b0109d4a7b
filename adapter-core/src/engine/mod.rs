//! The protocol engine: a state machine without IO, clock or tasks.
//!
//! Inputs are the application's operations, what the broker delivered, what became of what was sent, the link's state,
//! and the time. Outputs are messages to publish and what the node has to do. The driver around it (`cluster`) and the
//! simulator of the tests are its two users.

mod bucket;
#[cfg(test)]
mod gauge;
mod membership;
mod order;
mod output;
mod receive;
mod repair;
mod requests;
mod sending;
mod settings;
mod time;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::model::{
    AckError, Departure, ErrorKind, Event, Limits, MissingNode, MissingReason, NodeId, SocketId, Stats,
};
use crate::wire::{Answer, Content};

#[cfg(test)]
pub(crate) use gauge::Gauge;
use membership::{
    Clock, Control, Detector, Echo, Farewell, Greetings, Life, Members, Milestones, Pace, Readiness, Rhythm, Settling,
    Tails,
};
use order::{Reorder, Window};
pub(crate) use order::{SPAN, Whole, split};
pub(crate) use output::{Asked, Delivery, Output};
pub(crate) use receive::Incoming;
use requests::Requests;
use sending::Sending;
pub(crate) use sending::{Destination, Keep, Outcome, Payload, ReplyTo};
pub(crate) use settings::Settings;

/// What is sent again is no more than this part of a batch.
const RESENT: usize = 5;

/// The protocol engine of one node.
#[derive(Debug)]
pub(crate) struct Engine {
    settings: Settings,
    limits: Limits,
    /// When this node was subscribed first: what was sent from then on is meant for it, and it has sent nothing before.
    began: Instant,
    link_up: bool,
    /// Why the broker takes nothing, as it says on a link that works.
    hindrance: Option<String>,
    /// When the link came back last.
    up_since: Option<Instant>,
    /// The link is back; the others' may not be.
    settling: Option<Settling>,
    /// This node began without its broker, and has not joined yet: nobody else is known, and what is sent waits.
    joining: bool,
    /// The goodbye has been said: nothing after it may say that we live.
    leaving: bool,
    /// The broker has it.
    said_bye: bool,
    /// Who has not confirmed yet that nothing is missing.
    farewell: Option<Farewell>,
    /// The control frames of each batch under way: made anew when its outcome stays unknown.
    control_in_flight: VecDeque<Vec<Control>>,
    sending: Sending,
    control: VecDeque<Control>,
    members: Members,
    milestones: Milestones,
    /// Met since the last batch: where our numbers stand for them is noted with the next one.
    met: Vec<NodeId>,
    requests: Requests,
    window: Window,
    readiness: Option<Readiness>,
    greetings: Greetings,
    echo: Echo,
    rhythm: Rhythm,
    detector: Detector,
    /// When to look again at those who are watched or suspected.
    watch_due: Option<Instant>,
    /// The streams whose marks are due.
    tails: Tails,
    /// When it was told last that somebody speaks in our name.
    impersonated: Option<Instant>,
    tick_due: Instant,
    /// When to look at the holes again; none are open when there is none.
    hole_due: Option<Instant>,
    /// Where the broker keeps no order: for how long what is missing may still come by itself.
    reorder: Reorder,
    /// The counter of the newest probe of ours that has come back in its place among the messages.
    probed: u64,
    /// What is missing until then, by the clock that stands still in doubt, was dropped because this node is too slow.
    too_slow_until: Option<Instant>,
    outputs: VecDeque<Output>,
    stats: Stats,
}

impl Engine {
    pub(crate) fn new(settings: Settings, limits: Limits, now: Instant) -> Self {
        let pace = Pace { heartbeat: settings.heartbeat, ring: settings.ring, beats: settings.beats };
        let sending = Sending::new(
            settings.node.id,
            settings.packing(limits),
            settings.keep_sent,
            (settings.max_answers, settings.limit()),
            now,
        );
        Self {
            limits,
            began: now,
            link_up: true,
            hindrance: None,
            up_since: None,
            settling: None,
            joining: false,
            leaving: false,
            said_bye: false,
            farewell: None,
            control_in_flight: VecDeque::new(),
            milestones: Milestones::new(sending.newcomer_mark(), now),
            sending,
            control: VecDeque::from([Control::Hello, Control::Probe]),
            members: Members::new(settings.max_nodes, settings.silence, Clock::new(settings.tick * 3 / 2, now)),
            met: Vec::new(),
            requests: Requests::default(),
            window: Window::default(),
            readiness: Some(Readiness::new(settings.waits(), settings.max_nodes, now)),
            greetings: Greetings::new(settings.node.id, now),
            echo: Echo::new(now),
            rhythm: Rhythm::new(settings.node.id, pace, now),
            detector: Detector::default(),
            watch_due: None,
            tails: Tails::default(),
            impersonated: None,
            tick_due: now + settings.tick,
            hole_due: None,
            reorder: Reorder::default(),
            probed: 0,
            too_slow_until: None,
            outputs: VecDeque::new(),
            stats: Stats::default(),
            settings,
        }
    }

    // --- what the application asks ---

    /// Queues an operation for the other nodes. `cost` is the capacity that was reserved for it. Returns whether it is
    /// queued, which a volatile one is not while the link is down.
    pub(crate) fn send(&mut self, content: Content, delivery: Delivery, cost: usize, now: Instant) -> bool {
        if delivery == Delivery::Volatile && !self.link_up {
            self.stats.volatile_dropped += 1;
            return false;
        }
        self.sending.operation(content, None, delivery == Delivery::Volatile, cost, now);
        true
    }

    /// Queues a question to every live node, or to one. When that is nobody, it is sent all the same, and has ended. So
    /// it has while the link is down: everybody is missing.
    pub(crate) fn ask(
        &mut self,
        content: Content,
        only: Option<NodeId>,
        cost: usize,
        deadline: Instant,
        now: Instant,
    ) -> Asked {
        let (nodes, missing) = self.whom(only);
        let request = self.requests.ask(nodes.iter().copied(), deadline);
        self.sending.operation(content, Some(request), false, cost, now);
        Asked { request, nodes, missing }
    }

    /// Whom a question asks, and who is missing from the start.
    fn whom(&self, only: Option<NodeId>) -> (Vec<NodeId>, Vec<MissingNode>) {
        let mut nodes = self.members.live();
        nodes.retain(|node| only.is_none_or(|only| only == *node));
        let unreachable = |node| MissingNode { node, reason: MissingReason::Unreachable };
        if self.joining && only != Some(self.settings.node.id) {
            // An answer that lacks those who are not known yet must not look complete.
            return (Vec::new(), nodes.into_iter().chain([only.unwrap_or(NodeId::UNKNOWN)]).map(unreachable).collect());
        }
        // One that is asked for by name and is not there is missing, not nobody.
        if let Some(node) = only.filter(|only| *only != self.settings.node.id && nodes.is_empty()) {
            let left = self.members.get(node).is_some_and(|peer| peer.life == Life::Gone(Departure::Left));
            return (
                nodes,
                vec![MissingNode { node, reason: if left { MissingReason::Left } else { MissingReason::Died } }],
            );
        }
        if self.link_up {
            return (nodes, Vec::new());
        }
        (Vec::new(), nodes.into_iter().map(unreachable).collect())
    }

    /// While the link is down: whom a question would miss.
    pub(crate) fn out_of_reach(&self, only: Option<NodeId>) -> Option<Vec<MissingNode>> {
        (!self.link_up || self.joining).then(|| self.whom(only).1)
    }

    /// The link cannot be made, for a reason that waiting alone may not mend.
    pub(crate) fn link_refused(&mut self, kind: ErrorKind, reason: String) {
        self.outputs.push_back(Output::Event(Event::Refused { kind, reason }));
    }

    /// The answers to a question are of no interest any more.
    pub(crate) fn forget(&mut self, request: u64) {
        self.requests.forget(request);
    }

    /// Queues an answer that was encoded, in one part or several.
    pub(crate) fn answer(&mut self, to: ReplyTo, parts: Vec<Content>, now: Instant) {
        if self.remembers(to) {
            self.sending.answer(to, parts, now);
        }
    }

    pub(crate) fn expect_acks(&mut self, to: ReplyTo, sockets: Vec<SocketId>) {
        if self.remembers(to) {
            self.sending.expect_acks(to, sockets);
        }
    }

    pub(crate) fn ack(&mut self, to: ReplyTo, socket: SocketId, answer: Result<Bytes, AckError>) {
        if self.remembers(to) {
            self.sending.ack(to, socket, answer);
        }
    }

    pub(crate) fn end_acks(&mut self, to: ReplyTo) {
        if self.remembers(to) {
            self.sending.end_acks(to);
        }
    }

    /// The next answers of sockets that wait, to be encoded and given to [`acks_encoded`](Self::acks_encoded).
    pub(crate) fn take_acks(&mut self) -> Option<(ReplyTo, Answer)> {
        self.sending.take_acks()
    }

    pub(crate) fn acks_encoded(&mut self, to: ReplyTo, content: Content, now: Instant) {
        if self.remembers(to) {
            self.sending.acks_encoded(to, content, now);
        }
    }

    /// Whether the asker is still remembered (what is sent to one that is forgotten would be counted for ever), and this node
    /// has not said goodbye, after which nobody waits for it.
    fn remembers(&self, to: ReplyTo) -> bool {
        !self.leaving && self.members.get(to.node).is_some()
    }

    /// Ends every open question.
    pub(crate) fn end_requests(&mut self) {
        let ended = self.requests.end_all();
        self.outputs.extend(ended.into_iter().map(Output::from));
    }

    /// The next batch for the broker, if there is anything to send. [`record_outcome`](Self::record_outcome) is to be called
    /// once for each batch that is not empty, in their order.
    pub(crate) fn pack(&mut self, now: Instant) -> Vec<(Destination, Payload)> {
        let mark = self.sending.newcomer_mark();
        for id in std::mem::take(&mut self.met) {
            if let Some(peer) = self.members.get_mut(id) {
                peer.welcomed.get_or_insert(mark);
            }
        }
        let (control, frames) = self.take_control(now);
        self.settling.take_if(|settling| settling.is_over(now));
        let max_batch = if self.holds_back() { 0 } else { self.settings.max_batch };
        // What is sent again does not wait for those who are not back: it goes to one that has asked.
        let batch = self.sending.pack(frames, (self.settings.max_batch / RESENT, max_batch), now);
        if !batch.is_empty() {
            self.control_in_flight.push_back(control);
        }
        batch
    }

    /// What became of the oldest batch under way; when that is unknown, so is what became of those behind it. Returns how much
    /// queue capacity the senders get back.
    pub(crate) fn record_outcome(&mut self, outcome: Outcome, now: Instant) -> usize {
        let works = self.link_up && !self.is_in_doubt(now);
        if outcome != Outcome::NotNow {
            self.hindrance = None; // a broker that says nothing any more may be gone
        }
        let (freed, done) = self.sending.record_outcome(outcome, works, now);
        let control = match done {
            Some(_) => self.control_in_flight.pop_front().unwrap_or_default(),
            None => std::mem::take(&mut self.control_in_flight).into_iter().flatten().collect(),
        };
        self.said_bye |= control.iter().take(done.unwrap_or(0)).any(|control| *control == Control::Bye);
        // A goodbye or a greeting has no number, so nobody would ask for it again.
        for control in control.into_iter().skip(done.unwrap_or(0)).rev() {
            if !self.control.contains(&control) && (!self.leaving || control == Control::Bye) {
                self.control.push_front(control);
            }
        }
        freed
    }

    /// Whether there is anything to send.
    pub(crate) fn has_work(&self) -> bool {
        !self.control.is_empty() || self.sending.has_resends() || !self.holds_back() && !self.sending.is_empty()
    }

    /// Whether what is queued waits for others to be there.
    fn holds_back(&self) -> bool {
        self.settling.is_some() || self.joining
    }

    /// Takes the limits of the link as it is now; returns whether they have changed.
    pub(crate) fn refresh(&mut self, limits: Limits) -> bool {
        self.sending.set_packing(self.settings.packing(limits));
        std::mem::replace(&mut self.limits, limits) != limits
    }

    /// Counts a volatile packet that was not sent.
    pub(crate) fn drop_volatile(&mut self) {
        self.stats.volatile_dropped += 1;
    }

    /// The counter of the newest frame.
    pub(crate) fn counter(&self) -> u64 {
        self.sending.counter()
    }

    /// Whether a batch is under way whose outcome is not known.
    pub(crate) fn is_flying(&self) -> bool {
        self.sending.is_flying()
    }

    /// Whether there is more to send than what a message holds that may still grow.
    pub(crate) fn has_more_than_one_message(&self) -> bool {
        !self.holds_back() && self.sending.segments() > 1
    }

    /// Whether the broker has the goodbye.
    pub(crate) fn has_said_bye(&self) -> bool {
        self.said_bye
    }

    /// Whether the broker has the goodbye, and every live node has confirmed that it misses nothing of what this one has sent.
    pub(crate) fn has_left(&self) -> bool {
        self.said_bye && self.farewell.as_ref().is_none_or(Farewell::is_over)
    }

    /// The packets that nothing needs any more. To be dropped without the engine's lock, because dropping one may run code of the
    /// application.
    pub(crate) fn take_released(&mut self) -> Vec<Bytes> {
        self.sending.take_released()
    }

    /// For how long the oldest of what waits has been waiting.
    pub(crate) fn unsent_for(&self, now: Instant) -> Duration {
        self.sending.oldest().map_or(Duration::ZERO, |oldest| now.saturating_duration_since(oldest))
    }

    /// The turn of what was queued last, and up to which turn the broker has everything.
    pub(crate) fn progress(&self) -> (u64, u64) {
        self.sending.progress()
    }
}
