//! What the real driver does around an engine: the reader, the writer, and the broker behind them.

use std::time::Duration;

use bytes::Bytes;

use super::broken::Bug;
use super::history::{N, What};
use super::network::{LATE, Profile, Swallows};
use super::node::{self, Arrival, Closing, Writer};
use super::world::{Event, World};
use crate::engine::{Destination, Incoming, Outcome};
use crate::model::Limits;
use crate::wire::{Frames, Glance, Kind};

/// As in the real driver, between two tries of a batch.
const RETRY: Duration = Duration::from_millis(100);
/// As in the real driver: how long a node that has said goodbye waits for the others to confirm that they miss nothing.
const CONFIRMED: Duration = Duration::from_secs(1);
/// As there: without a word for so long, the outcome of a publish is unknown.
const PUBLISH_TIMEOUT: Duration = Duration::from_secs(2);

fn is_sent_again(message: &Bytes) -> bool {
    Frames::new(message.clone()).next().is_some_and(|frame| frame.is_ok_and(|frame| frame.head.kind == Kind::RESEND))
}

impl World {
    pub(super) fn wake_reader(&mut self, node: N) {
        if !std::mem::replace(&mut self.nodes[node].read_due, true) {
            self.after(0, 3, Event::Read(node));
        }
    }

    pub(super) fn arrive(&mut self, node: N, arrival: Arrival) {
        let swallowed = matches!(self.nodes[node].half_open, Some(Swallows::Both | Swallows::Incoming));
        let deaf = self.bug == Some(Bug::DeafAfterReconnect) && self.nodes[node].was_down;
        if self.nodes[node].link_up && !swallowed && !deaf {
            if self.bug == Some(Bug::PoisonLoop) && !Glance::at(&arrival.message).is_some_and(|glance| glance.control) {
                self.after(0, 1, Event::Arrive(node, arrival.clone()));
            }
            self.nodes[node].inbox.push_back(Arrival { at: self.now, ..arrival });
            self.wake_reader(node);
        }
    }

    /// Everything that is there: the link first, then the control lane, then all messages in their order.
    pub(super) fn read(&mut self, node: N) {
        self.nodes[node].read_due = false;
        let lag = self.nodes[node].lag;
        let now = self.instant(node);
        for up in std::mem::take(&mut self.nodes[node].link) {
            let limits = Limits::max_frame(self.plan.max_frame);
            match self.engine(node) {
                Some(engine) if up => engine.link_up(limits, now),
                Some(engine) => engine.link_down("simulated".to_owned()),
                None => {}
            }
        }
        let arrived = std::mem::take(&mut self.nodes[node].inbox);
        for arrival in
            arrived.iter().filter(|arrival| Glance::at(&arrival.message).is_some_and(|glance| glance.control))
        {
            let at = self.base + arrival.at.saturating_sub(lag);
            self.engine(node).into_iter().for_each(|engine| engine.hear(arrival.inbox, arrival.message.clone(), at));
        }
        self.drain(node);
        for arrival in arrived {
            let mut message = Incoming::new(arrival.inbox, arrival.message, self.base + arrival.at.saturating_sub(lag));
            while !message.is_done() {
                let Some(engine) = self.engine(node) else { return };
                engine.receive(&mut message, 3, now);
                self.drain(node);
            }
        }
        self.let_time_pass(node);
        self.go_on_closing(node);
    }

    fn let_time_pass(&mut self, node: N) {
        let now = self.instant(node);
        if let Some(engine) = self.engine(node).filter(|engine| engine.next_timeout() <= now) {
            engine.handle_timeout(now);
        }
    }

    pub(super) fn timer(&mut self, node: N) {
        if self.nodes[node].timer.is_some_and(|due| due <= self.now) {
            self.nodes[node].timer = None;
            self.let_time_pass(node);
        }
        self.go_on_closing(node);
    }

    pub(super) fn wake_writer(&mut self, node: N) {
        let state = &self.nodes[node];
        let work = state.engine.as_ref().is_some_and(|engine| engine.has_work() && engine.is_link_up());
        if work && state.writer == Writer::Idle {
            self.nodes[node].writer = Writer::Woken;
            self.after(0, 1, Event::Write(node));
        }
    }

    pub(super) fn write(&mut self, node: N) {
        let now = self.instant(node);
        self.nodes[node].writer = Writer::Idle;
        let Some(engine) = self.engine(node).filter(|engine| engine.is_link_up()) else { return };
        while let Some((to, answer)) = engine.take_acks() {
            engine.acks_encoded(to, answer.encode(), now);
        }
        let batch: Vec<_> = engine.pack(now).into_iter().map(|(to, payload)| (to, payload.into_bytes())).collect();
        if batch.is_empty() {
            return;
        }
        let too_large = batch.iter().map(|(_, message)| message.len()).filter(|len| *len > self.plan.max_frame).max();
        too_large.into_iter().for_each(|len| self.record(node, What::Oversize(len)));
        let (unknown, most) = (self.plan.unknown, self.plan.publish.as_millis() as u64);
        let prefix = self.random.chance(unknown).then(|| self.random.below(batch.len() + 1));
        self.nodes[node].writer = Writer::Publishing(Some(batch));
        self.nodes[node].published = self.now;
        let there = self.now + self.random.between(0, most);
        let back = there + self.random.between(0, most);
        self.push(there, Event::Taken(node, prefix));
        let outcome = if prefix.is_some() { Outcome::Unknown } else { Outcome::Sent };
        self.push(back, Event::Outcome(node, self.now, outcome));
    }

    /// The broker has the batch, or so many messages of it, and passes them on.
    pub(super) fn taken(&mut self, node: N, prefix: Option<usize>) {
        let swallowed = matches!(self.nodes[node].half_open, Some(Swallows::Both | Swallows::Outgoing));
        if self.nodes[node].engine.is_none() || !self.nodes[node].link_up || swallowed {
            return; // the batch stays: that is how `outcome` knows that it was lost
        }
        let Writer::Publishing(batch) = &mut self.nodes[node].writer else { return };
        let Some(mut batch) = batch.take() else { return };
        batch.truncate(prefix.unwrap_or(batch.len()));
        if let Some(bug) = self.bug {
            let passed = |(to, message)| bug.passed_on(message, &mut self.random).into_iter().map(move |one| (to, one));
            batch = batch.into_iter().flat_map(passed).collect();
        }
        for (to, message) in batch {
            if is_sent_again(&message) {
                self.record(node, What::Resent);
            }
            for other in 0..self.nodes.len() {
                let inbox = match to {
                    Destination::Cluster => false,
                    Destination::Inbox(id) if node::place(id) == other => true,
                    Destination::Inbox(_) => continue,
                };
                if self.nodes[other].engine.is_none() {
                    continue;
                }
                if self.links.loses(node, other, self.now, &self.plan, &mut self.random) {
                    self.record(other, What::Lost);
                    continue;
                }
                let copies = 1 + usize::from(self.random.chance(self.plan.copies));
                for _ in 0..copies {
                    let at = self.links.arrival(node, other, self.now, &self.plan, &mut self.random);
                    self.push(at, Event::Arrive(other, Arrival { inbox, message: message.clone(), at }));
                }
            }
        }
    }

    /// The backend says what became of the publish that began then.
    pub(super) fn outcome(&mut self, node: N, began: Duration, outcome: Outcome) {
        // Not there any more when the link broke meanwhile, which was an unknown outcome already.
        if !matches!(self.nodes[node].writer, Writer::Publishing(_)) || self.nodes[node].published != began {
            return;
        }
        let lost = matches!(&self.nodes[node].writer, Writer::Publishing(Some(_)));
        let silent = match self.nodes[node].half_open {
            Some(Swallows::Both) => true,
            Some(Swallows::Outgoing) => lost,
            Some(Swallows::Incoming) | None => false,
        };
        if silent && self.now < began + PUBLISH_TIMEOUT {
            return self.push(began + PUBLISH_TIMEOUT, Event::Outcome(node, began, Outcome::Unknown));
        }
        let outcome = if lost || !self.nodes[node].link_up { Outcome::Unknown } else { outcome };
        let now = self.instant(node);
        if let Some(engine) = self.engine(node) {
            let before = engine.stats().refused;
            engine.record_outcome(outcome, now);
            if engine.stats().refused > before {
                self.record(node, What::Refused);
            }
        }
        if outcome == Outcome::Unknown {
            self.record(node, What::Unsure);
            if self.bug == Some(Bug::RetryAsNew) {
                self.send_again(node);
            }
            self.nodes[node].writer = Writer::Retrying;
            self.push(self.now + RETRY, Event::Write(node));
        } else {
            self.nodes[node].writer = Writer::Woken;
            self.push(self.now, Event::Write(node));
        }
        self.go_on_closing(node);
    }

    pub(super) fn link_down(&mut self, node: N, time: Duration) {
        if !std::mem::replace(&mut self.nodes[node].link_up, false) {
            return; // it ends with the outage before it
        }
        self.nodes[node].link.push_back(false);
        self.nodes[node].was_down = true;
        self.record(node, What::LinkDown(time));
        if self.nodes[node].half_open.take().is_some() {
            // Whoever still waits for a word on the dead link is told that none will come.
            let began = self.nodes[node].published;
            self.push(self.now, Event::Outcome(node, began, Outcome::Unknown));
        }
        self.push(self.now + time, Event::LinkUp(node));
        self.wake_reader(node);
    }

    pub(super) fn link_up(&mut self, node: N) {
        self.nodes[node].link_up = true;
        self.nodes[node].link.push_back(true);
        self.wake_reader(node);
        if self.plan.profile == Profile::HalfOpen && self.now < self.plan.busy && self.random.chance(25) {
            self.half_open(node, Swallows::Both); // the new link is no better
        }
        // Somebody has something to say when this node has to hear again.
        if self.plan.lossy && self.now + Duration::from_secs(8) < self.plan.end {
            let other = (node + 1 + self.random.below(self.plan.nodes - 1)) % self.plan.nodes;
            self.after(2000, 2500, Event::CallOnce(other));
        }
    }

    pub(super) fn half_open(&mut self, node: N, swallows: Swallows) {
        if self.nodes[node].link_up && self.nodes[node].half_open.is_none() {
            self.nodes[node].half_open = Some(swallows);
            self.record(node, What::HalfOpen(swallows));
        }
    }

    /// The engine wants a new link: the backend drops the old one, and is back after a pause.
    pub(super) fn reset(&mut self, node: N) {
        self.record(node, What::Reset);
        let pause = self.random.between(20, 500);
        self.push(self.now, Event::LinkDown(node, pause));
    }

    pub(super) fn congest(&mut self, node: N, time: Duration) {
        self.links.congest(node, self.now + time);
        self.record(node, What::Congested(time + LATE));
    }

    /// Flushes, then says goodbye, then ends, as `Cluster::close` does.
    pub(super) fn go_on_closing(&mut self, node: N) {
        let (closing, now) = (self.nodes[node].closing, self.instant(node));
        let Some(engine) = self.nodes[node].engine.as_mut() else { return };
        match closing {
            Closing::Flushing(all) if engine.progress().1 >= all || self.bug == Some(Bug::ConfirmedTooSoon) => {
                engine.say_bye(now);
                self.nodes[node].closing = Closing::SaidBye;
                self.wake_writer(node);
            }
            Closing::SaidBye if engine.has_said_bye() => {
                self.nodes[node].closing = Closing::Confirming(self.now + CONFIRMED);
                self.push(self.now + CONFIRMED, Event::Timer(node));
                self.go_on_closing(node);
            }
            Closing::Confirming(until) if engine.has_left() || until <= self.now => {
                engine.end_requests();
                self.drain(node);
                self.record(node, What::Closed);
                self.nodes[node].engine = None;
            }
            _ => {}
        }
    }
}
