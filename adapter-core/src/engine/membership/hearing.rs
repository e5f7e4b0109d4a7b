//! What control frames say of their senders, heard ahead of everything else.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::control::Control;
use super::greetings::Reply;
use super::peer::Life;
use super::said::{Said, read};
use crate::engine::{Destination, Engine, Output};
use crate::model::{Departure, Event, NodeId};
use crate::wire::{Frame, Frames, Head, Heartbeat, Hello, Kind, Nodes, Suspect, Welcome};

/// Of so many nodes that were named and keep silent a newcomer says so.
const SILENT: usize = 64;
/// That somebody speaks in our name is told no more often.
const IMPERSONATED: Duration = Duration::from_secs(10);

impl Engine {
    /// Takes a control message, which arrived at that time, ahead of what waits: signs of life and greetings. What it says
    /// about earlier messages is left for [`receive`](Self::receive), which gets the same message in its place in the order.
    pub(crate) fn hear(&mut self, inbox: bool, message: Bytes, at: Instant) {
        if inbox {
            self.echo.arrived();
        } else {
            self.echo.arrived_on_cluster(at);
        }
        for frame in Frames::new(message).flatten() {
            self.greet(inbox, &frame, at);
        }
        self.check_ready(at);
    }

    fn greet(&mut self, inbox: bool, frame: &Frame, at: Instant) {
        let sender = frame.head.sender;
        let said = read(frame, inbox); // what is malformed is counted by `receive`
        if sender == self.settings.node.id {
            return self.hear_myself(&frame.head, at);
        }
        if !self.members.hear_at(sender, at) {
            return; // so old that its sender may be dead by now
        }
        let Ok(said) = said else { return };
        self.is_back(sender, at);
        match said {
            Said::Hello(Hello { name, .. }) => {
                if self.meet_member(sender, name, at) {
                    self.welcome(sender, at);
                }
            }
            Said::Welcome(Welcome { name, period, lists, .. }) => {
                self.meet_member(sender, name, at);
                if let Some(peer) = self.members.get_mut(sender) {
                    peer.promise(frame.head.counter, period);
                }
                if let Some(readiness) = &mut self.readiness {
                    readiness.welcome(sender, lists);
                }
            }
            Said::Nodes(Nodes { index, nodes }) => {
                let (me, new) = (self.settings.node.id, self.is_new(at));
                let others = nodes.into_iter().filter(|node| *node != me);
                match &mut self.readiness {
                    Some(readiness) => readiness.names(sender, index, others),
                    // A list that comes after all: others count on this node to watch those who are on it.
                    None if new => self.believe(others.collect(), at),
                    None => {}
                }
            }
            Said::Heartbeat(heartbeat) => self.hear_heartbeat(sender, frame.head.counter, heartbeat, at),
            Said::Suspect(Suspect { node }) => self.hear_suspicion(node, at),
            Said::Nack(nack) => self.hear_nack(sender, &nack, at),
            Said::Bye(_) | Said::Tail(_) | Said::Probe | Said::Unknown => {}
        }
    }

    fn hear_myself(&mut self, head: &Head, at: Instant) {
        self.check_impersonation(head, at);
        match head.kind {
            Kind::HELLO => {
                if let Some(readiness) = &mut self.readiness {
                    readiness.echo(at);
                }
                self.echo.heartbeat(head.counter, at);
            }
            Kind::HEARTBEAT => self.echo.heartbeat(head.counter, at),
            Kind::PROBE => self.echo.probe(head.counter, at),
            _ => {}
        }
    }

    /// Looks at a frame in our name: whether it can be ours.
    pub(in crate::engine) fn check_impersonation(&mut self, head: &Head, now: Instant) {
        let goodbye = head.kind == Kind::BYE && !self.leaving;
        if !goodbye && head.counter <= self.sending.counter() {
            return;
        }
        self.stats.impersonated += 1;
        if goodbye {
            self.sending.pass(head.counter); // so that the next heartbeat is known to come after it
        }
        self.rhythm.want(now); // others may think that we left
        let silent = |told: Instant| now.saturating_duration_since(told) >= IMPERSONATED;
        if self.impersonated.is_none_or(silent) {
            self.impersonated = Some(now);
            self.outputs.push_back(Output::Event(Event::Impersonated));
        }
    }

    fn hear_heartbeat(&mut self, sender: NodeId, counter: u64, heartbeat: Heartbeat, at: Instant) {
        let Heartbeat { name, period, asks, .. } = heartbeat;
        let clock = self.members.clock().read();
        let Some(peer) = self.members.meet(sender, at) else {
            self.stats.strangers_dropped += 1;
            return;
        };
        // A goodbye is the last that a node says: what it says after it proves that the goodbye was not its own. So does
        // what is heard long after it, however high the counter of the forged one was.
        let late = clock.saturating_sub(peer.changed_by_clock) > self.settings.silence && counter > peer.beat;
        let lives = counter > peer.bye || late;
        peer.promise(counter, period);
        peer.name = name;
        match peer.life {
            Life::Stranger | Life::Gone(Departure::Died) => self.revive(sender, at),
            Life::Gone(Departure::Left) | Life::Leaving(..) if lives => self.revive(sender, at),
            _ => {}
        }
        if let Some(readiness) = &mut self.readiness {
            readiness.introduce(sender);
        }
        if asks && !self.leaving {
            self.rhythm.asked(sender, at);
            // It may have missed the end of what we told it.
            if self.tails.is_recent(Destination::Inbox(sender), at) {
                self.control(Control::Mark(Destination::Inbox(sender)));
            }
        }
    }

    /// Somebody has not heard this node for too long.
    fn hear_suspicion(&mut self, node: NodeId, at: Instant) {
        if node == self.settings.node.id {
            return self.rhythm.want(at);
        }
        if self.members.get(node).is_some_and(|peer| peer.is_live()) {
            self.suspect(node, at, false);
        }
    }

    /// A node has introduced itself; returns whether it is known now. One that left does not come back by a greeting: what
    /// it sends still is late.
    fn meet_member(&mut self, id: NodeId, name: String, now: Instant) -> bool {
        let Some(peer) = self.members.meet_member(id, now) else {
            self.stats.strangers_dropped += 1;
            return false;
        };
        peer.name = name;
        if matches!(peer.life, Life::Stranger | Life::Gone(Departure::Died)) {
            self.revive(id, now);
        }
        if let Some(readiness) = &mut self.readiness {
            readiness.introduce(id);
        }
        true
    }

    /// Answers a greeting, or remembers it until this node is ready: until then it knows nobody for the newcomer.
    fn welcome(&mut self, newcomer: NodeId, now: Instant) {
        if self.readiness.is_some() {
            return self.greetings.wait(newcomer);
        }
        let welcomed = self.members.get(newcomer).and_then(|peer| peer.greeted);
        match self.greetings.reply(newcomer, welcomed, self.members.ring(), now) {
            Reply::Done => {}
            Reply::Heartbeat => {
                self.stats.greetings_dropped += 1;
                self.rhythm.want(now);
            }
            Reply::Welcome { list } => {
                if let Some(peer) = self.members.get_mut(newcomer) {
                    peer.greeted = Some(now);
                }
                let lists = if list { self.lists() } else { 0 };
                self.control(Control::Welcome(newcomer, lists));
                for index in 0..lists {
                    self.control(Control::Nodes(newcomer, index, lists));
                }
            }
        }
    }

    /// Those who were named and did not answer count as live; if they are not, the detector will tell.
    fn believe(&mut self, named: Vec<NodeId>, now: Instant) {
        let mut silent = Vec::new();
        for id in named {
            let stranger = self.members.meet_member(id, now).is_some_and(|peer| peer.life == Life::Stranger);
            if stranger {
                self.revive(id, now);
                silent.push(id);
            }
        }
        self.resize(now);
        if self.rhythm.is_ring() {
            // There none of them may be heard for minutes.
            silent.into_iter().take(SILENT).for_each(|id| self.suspect(id, now, true));
        }
    }

    /// Whether connecting is complete.
    pub(in crate::engine) fn check_ready(&mut self, now: Instant) {
        let Some(readiness) = self.readiness.take_if(|readiness| readiness.is_ready(now)) else { return };
        self.believe(readiness.silent().collect(), now);
        self.joining = false;
        match self.greetings.waited() {
            Some(waited) => waited.into_iter().for_each(|newcomer| self.welcome(newcomer, now)),
            None => self.rhythm.want(now),
        }
        self.outputs.push_back(Output::Ready);
    }
}
