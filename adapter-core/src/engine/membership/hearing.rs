//! What control frames say of their senders, heard ahead of everything else.

use std::time::Instant;

use bytes::Bytes;

use super::members::Life;
use crate::engine::Engine;
use crate::engine::membership::control::Control;
use crate::model::node::MAX_NODE_NAME;
use crate::model::{Departure, NodeId};
use crate::wire::{Frame, Frames, Hello, Kind, Pulse, Welcome, decode};

impl Engine {
    /// Takes a control message ahead of what waits: signs of life and greetings. What it says about earlier messages
    /// is left for [`receive`](Self::receive), which gets the same message in its place in the order.
    pub(crate) fn hear(&mut self, message: Bytes, now: Instant) {
        for frame in Frames(message).flatten() {
            self.greet(&frame, now);
        }
        self.check_ready(now);
    }

    pub(in crate::engine) fn greet(&mut self, frame: &Frame, now: Instant) {
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

    pub(in crate::engine) fn welcome(&mut self, newcomer: NodeId) {
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
            Life::Live | Life::Leaving(..) => _ = self.members.hear_at(id, now),
            Life::Gone(Departure::Left) => {}
        }
    }
}
