//! The protocol engine: a state machine without IO, clock or tasks.
//!
//! Inputs are the application's operations, what the broker delivered, what became of what was sent, the link's state,
//! and the time. Outputs are messages to publish and what the node has to do. The driver around it (`cluster`) and the
//! simulator of the tests are its two users.

mod account;
mod assembly;
#[cfg(test)]
mod gauge;
mod membership;
mod outbox;
mod packing;
mod receive;
mod requests;
mod settings;
mod time;
mod window;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::model::{AckError, Departure, Event, Limits, Missing, NodeId, SocketId, Stats, Why};
use crate::wire::{Answer, Content, Operation};

pub(crate) use assembly::split;
#[cfg(test)]
pub(crate) use gauge::Gauge;
use membership::{
    Clock, Control, Detector, Echo, Greetings, Life, Members, Pace, Readiness, Rhythm, Settling, Tails, Waits,
};
use outbox::Outbox;
pub(crate) use outbox::{Destination, Outcome, ReplyTo};
use packing::Packing;
use requests::Requests;
pub(crate) use settings::Settings;
pub(crate) use window::SPAN;
use window::Window;

/// What the node has to do, in this order.
#[derive(Debug)]
pub(crate) enum Output {
    /// Carry out what a node asks, and answer if it says where to.
    Perform {
        from: NodeId,
        reply: Option<ReplyTo>,
        operation: Operation,
    },
    /// A node has answered a question of ours.
    Answer {
        request: u64,
        node: NodeId,
        answer: Answer,
    },
    /// A node will say nothing (more) to it.
    Missing {
        request: u64,
        missing: Missing,
    },
    /// Nobody will.
    Ended {
        request: u64,
        missing: Vec<Missing>,
    },
    Event(Event),
    /// Whether the backend has a link.
    Link(bool),
    /// The backend's link is dead, and the backend does not know: it is to make a new one.
    Reset(String),
    /// Connecting is complete.
    Ready,
}

/// A question that was queued.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) request: u64,
    /// Whom it asks.
    pub(crate) nodes: Vec<NodeId>,
    /// Who was to be asked, and is not there.
    pub(crate) missing: Option<Missing>,
}

/// How an operation is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Delivery {
    /// With a number: in order, once, and what is lost is found.
    Numbered,
    /// On arrival, once at the most.
    Volatile,
}

/// The protocol engine of one node.
#[derive(Debug)]
pub(crate) struct Engine {
    settings: Settings,
    limits: Limits,
    link_up: bool,
    /// When the link came back last.
    up_since: Option<Instant>,
    /// The link is back; the others' may not be.
    settling: Option<Settling>,
    /// The goodbye has been said: nothing after it may say that we live.
    leaving: bool,
    /// A batch was packed whose outcome is not known yet.
    in_flight: bool,
    /// The control frames in it: made anew when its outcome stays unknown.
    control_in_flight: Vec<Control>,
    outbox: Outbox,
    control: VecDeque<Control>,
    members: Members,
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
    outputs: VecDeque<Output>,
    stats: Stats,
}

impl Engine {
    pub(crate) fn new(settings: Settings, limits: Limits, now: Instant) -> Self {
        let waits = Waits { alone: settings.alone, named: settings.named, again: settings.greet_again };
        let pace = Pace { heartbeat: settings.heartbeat, ring: settings.ring, beats: settings.beats };
        Self {
            limits,
            link_up: true,
            up_since: None,
            settling: None,
            leaving: false,
            in_flight: false,
            control_in_flight: Vec::new(),
            outbox: Outbox::new(settings.node.id, settings.max_answers, settings.limit()),
            control: VecDeque::from([Control::Hello, Control::Probe]),
            members: Members::new(settings.max_nodes, settings.silence, Clock::new(settings.tick * 3 / 2, now)),
            met: Vec::new(),
            requests: Requests::default(),
            window: Window::default(),
            readiness: Some(Readiness::new(waits, settings.max_nodes, now)),
            greetings: Greetings::new(settings.node.id, now),
            echo: Echo::new(now),
            rhythm: Rhythm::new(settings.node.id, pace, now),
            detector: Detector::default(),
            watch_due: None,
            tails: Tails::default(),
            impersonated: None,
            tick_due: now + settings.tick,
            hole_due: None,
            outputs: VecDeque::new(),
            stats: Stats::default(),
            settings,
        }
    }

    // --- what the application asks ---

    /// Queues an operation for the other nodes. `cost` is the room that was reserved for it; answers whether it is
    /// queued, which a volatile one is not while the link is down.
    pub(crate) fn send(&mut self, content: Content, delivery: Delivery, cost: usize, now: Instant) -> bool {
        if delivery == Delivery::Volatile && !self.link_up {
            self.stats.volatile_dropped += 1;
            return false;
        }
        self.outbox.operation(content, None, delivery == Delivery::Volatile, cost, now);
        true
    }

    /// Queues a question to every live node, or to one. When that is nobody, it is sent all the same, and has ended.
    pub(crate) fn ask(
        &mut self,
        content: Content,
        only: Option<NodeId>,
        cost: usize,
        deadline: Instant,
        now: Instant,
    ) -> Asked {
        let mut nodes = self.members.live();
        nodes.retain(|node| only.is_none_or(|only| only == *node));
        let request = self.requests.ask(nodes.iter().copied(), deadline);
        self.outbox.operation(content, Some(request), false, cost, now);
        // One that is asked for by name and is not there is missing, not nobody.
        let missing = only.filter(|only| *only != self.settings.node.id && nodes.is_empty()).map(|node| {
            let left = self.members.get(node).is_some_and(|peer| peer.life == Life::Gone(Departure::Left));
            Missing { node, why: if left { Why::Left } else { Why::Died } }
        });
        Asked { request, nodes, missing }
    }

    /// The answers to a question are of no interest any more.
    pub(crate) fn forget(&mut self, request: u64) {
        self.requests.forget(request);
    }

    pub(crate) fn answer(&mut self, to: ReplyTo, answer: Answer, now: Instant) {
        if self.remembers(to) {
            self.outbox.answer(to, answer, now);
        }
    }

    pub(crate) fn expect_acks(&mut self, to: ReplyTo, sockets: Vec<SocketId>, now: Instant) {
        if self.remembers(to) {
            self.outbox.expect_acks(to, &sockets, now);
        }
    }

    pub(crate) fn ack(&mut self, to: ReplyTo, socket: SocketId, answer: Result<Bytes, AckError>, now: Instant) {
        if self.remembers(to) {
            self.outbox.ack(to, socket, answer, now);
        }
    }

    pub(crate) fn end_acks(&mut self, to: ReplyTo, now: Instant) {
        if self.remembers(to) {
            self.outbox.end_acks(to, now);
        }
    }

    /// Whether the asker is still remembered; what is sent to one that is forgotten would be counted for ever.
    fn remembers(&self, to: ReplyTo) -> bool {
        self.members.get(to.node).is_some()
    }

    /// Ends every open question.
    pub(crate) fn end_requests(&mut self) {
        let ended = self.requests.end_all();
        self.outputs.extend(ended.into_iter().map(Output::from));
    }

    /// The next batch for the broker, if there is anything to send. To be followed by [`settle`](Self::settle).
    pub(crate) fn pack(&mut self, now: Instant) -> Vec<(Destination, Bytes)> {
        let mark = self.outbox.cluster_mark();
        for id in std::mem::take(&mut self.met) {
            if let Some(peer) = self.members.get_mut(id) {
                peer.welcomed.get_or_insert(mark);
            }
        }
        self.control_in_flight.clear();
        let control = self.take_control(now);
        let Settings { max_packed, max_batch, .. } = self.settings;
        self.settling.take_if(|settling| settling.is_over(now));
        let max_batch = if self.settling.is_some() { 0 } else { max_batch };
        let packing = Packing { max_frame: self.limits.max_frame, max_packed, max_batch };
        let batch = self.outbox.pack(control, &packing);
        self.in_flight = !batch.is_empty();
        batch
    }

    /// What became of the batch; answers how much room the senders get back.
    pub(crate) fn settle(&mut self, outcome: Outcome) -> usize {
        self.in_flight = false;
        let control = std::mem::take(&mut self.control_in_flight);
        let lost = match outcome {
            Outcome::Sent => control.len(),
            Outcome::Unknown => 0,
            // The refused one is not tried again.
            Outcome::Refused(index) => self.outbox.control_before(index) + 1,
        };
        if let Some(again) = control.get(lost..) {
            // A goodbye or a greeting has no number, so nobody would ask for it again.
            for control in again.iter().copied().rev() {
                if !self.control.contains(&control) && (!self.leaving || control == Control::Bye) {
                    self.control.push_front(control);
                }
            }
        }
        self.outbox.settle(outcome)
    }

    /// Whether there is anything to send.
    pub(crate) fn has_work(&self) -> bool {
        !self.control.is_empty() || self.settling.is_none() && !self.outbox.is_empty()
    }

    /// Takes the limits of the link as it is now; answers whether they have changed.
    pub(crate) fn refresh(&mut self, limits: Limits) -> bool {
        std::mem::replace(&mut self.limits, limits) != limits
    }

    /// Counts a volatile packet that was not sent.
    pub(crate) fn drop_volatile(&mut self) {
        self.stats.volatile_dropped += 1;
    }

    /// Whether nothing is waiting or on its way, control included.
    pub(crate) fn is_idle(&self) -> bool {
        !self.has_work() && !self.in_flight
    }

    /// For how long the oldest of what waits has been waiting.
    pub(crate) fn unsent_for(&self, now: Instant) -> Duration {
        self.outbox.oldest().map_or(Duration::ZERO, |oldest| now.saturating_duration_since(oldest))
    }

    /// How many messages were ever queued, and how many the broker has.
    pub(crate) fn progress(&self) -> (u64, u64) {
        self.outbox.progress()
    }
}
