//! Nodes that come to life, say goodbye, and are gone.

use std::time::Instant;

use super::control::Control;
use super::peer::Life;
use crate::engine::{Engine, Output};
use crate::model::{Departure, Event, MissingNode, MissingReason, NodeId};

impl Engine {
    pub(in crate::engine) fn revive(&mut self, id: NodeId, now: Instant) {
        let patient = self.patient(now);
        let died = self.members.get(id).is_some_and(|peer| peer.life == Life::Gone(Departure::Died));
        if self.members.set(id, Life::Live, now)
            && let Some(peer) = self.members.get_mut(id)
        {
            if died {
                peer.accounts().for_each(|(_, account)| account.sender_is_back(patient, now));
            }
            self.outputs.push_back(Output::Event(Event::NodeUp(peer.node(id))));
            if peer.welcomed.is_none() {
                self.met.push(id);
            }
        }
    }

    /// A node that has said goodbye is gone once all that it sent is carried out, or given up.
    pub(in crate::engine) fn check_leaving(&mut self, id: NodeId, now: Instant) {
        let patient = self.patient(now);
        let Some(peer) = self.members.get(id) else { return };
        if matches!(peer.life, Life::Leaving(_, _, until) if until <= patient || peer.has_finished()) {
            self.lose(id, Departure::Left, now);
        }
    }

    /// The goodbye of a node came before its introduction. The node stays for those who miss something, and learns that this one
    /// misses nothing any more.
    pub(in crate::engine) fn confirm_late(&mut self, id: NodeId) {
        let clock = self.members.clock().read();
        let Some(peer) = self.members.get_mut(id).filter(|peer| peer.is_leaving_still(clock)) else { return };
        if peer.accounts().all(|(_, account)| account.hole_since().is_none()) {
            self.control(Control::Nack(id, false));
        }
    }

    /// A node is gone: no question waits for it any more. One that fell silent may come back, so what is missing of it is
    /// waited for, for a while.
    pub(in crate::engine) fn lose(&mut self, id: NodeId, how: Departure, now: Instant) {
        let Some(node) = self.members.get(id).map(|peer| peer.node(id)) else { return };
        self.members.set(id, Life::Gone(how), now);
        self.is_back(id, now);
        if let Some(farewell) = &mut self.farewell {
            farewell.no_longer(id);
        }
        if how == Departure::Left {
            self.give_up(id, now);
        }
        self.outputs.push_back(Output::Event(Event::NodeDown(node, how)));
        let reason = match how {
            Departure::Left => {
                self.control(Control::Nack(id, false)); // nothing is missing: it need not wait
                MissingReason::Left
            }
            Departure::Died => MissingReason::Died,
        };
        for (request, ended) in self.requests.gone(id, reason) {
            self.outputs.push_back(Output::Missing { request, missing: MissingNode { node: id, reason } });
            self.outputs.extend(ended.map(Output::from));
        }
        if let Some(readiness) = &mut self.readiness {
            readiness.gone(id);
        }
        if self.leaving {
            let absent = self.members.take_absent(); // this node will not be there to see them come back
            self.give_up_absent(absent, now);
        }
    }

    /// Nodes that fell silent are waited for no longer: what is missing of them is lost. What they sent after the last that was
    /// heard of them, nobody knows.
    pub(in crate::engine) fn give_up_absent(&mut self, absent: Vec<NodeId>, now: Instant) {
        for id in absent {
            self.give_up(id, now);
            self.lost(id, false, None);
        }
    }
}
