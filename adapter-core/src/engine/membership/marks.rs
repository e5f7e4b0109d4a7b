//! What control frames say about the messages before them, taken in its place in the order.

use std::time::Instant;

use super::peer::{LEAVES, Life};
use super::said::{Said, read};
use crate::engine::Engine;
use crate::engine::order::Progress;
use crate::model::{Departure, NodeId};
use crate::wire::{Frame, Malformed, Mark, Number};

impl Engine {
    /// What a control frame says about the messages before it.
    pub(in crate::engine) fn marks(&mut self, inbox: bool, frame: &Frame, now: Instant) -> Result<(), Malformed> {
        let sender = frame.head.sender;
        let said = read(frame, inbox)?;
        match &said {
            Said::Unknown => self.stats.unknown_kind += 1,
            Said::Bye(bye) => {
                self.members.meet(sender, now); // what it sent before and comes later must not bring it back
                let me = self.settings.node.id;
                let inbox = bye.inboxes.iter().find(|inbox| inbox.node == me).map(|inbox| inbox.mark);
                self.take_mark(sender, true, inbox, false, now);
                self.take_mark(sender, false, Some(bye.cluster), false, now);
                self.goodbye(sender, frame.head.counter, bye.cluster, inbox, now);
            }
            Said::Tail(mark) => self.take_mark(sender, inbox, Some(*mark), false, now),
            said => self.take_mark(sender, false, said.mark(), said.is_introduction(), now),
        }
        Ok(())
    }

    /// Takes the newest number that a node has used on the cluster channel or on our inbox.
    fn take_mark(&mut self, sender: NodeId, inbox: bool, mark: Option<Mark>, introduction: bool, now: Instant) {
        let (patience, patient) = (self.patience(now), self.patient(now));
        let Some(mark) = mark else { return };
        // Only an introduction is meant for us; what came before another mark may be late, or lost.
        let unsure = self.unsure(sender, now).filter(|_| !introduction);
        let Some(peer) = self.members.get_mut(sender) else { return };
        // A mark that is the first we hear of a channel is where our account of it begins.
        let begin = Number { epoch: mark.epoch, n: mark.n.saturating_add(1) };
        let resumes = peer.resumes;
        let account = peer.account(inbox, begin, unsure);
        // What an introduction says is where this account begins; it may name a message of which pieces are still to come. One that
        // was forgotten here may speak of the first time that it met this node.
        let progress = match introduction {
            true if resumes => Progress::default(),
            true => account.begin(mark),
            false => account.mark(mark, patient, &patience),
        };
        self.advance(sender, inbox, progress, now);
        // Its goodbye, which says up to where it has sent, may have come before.
        let said = self.members.get_mut(sender).filter(|_| introduction && !inbox).and_then(|peer| {
            let last = peer.last_mark()?;
            peer.known_account(inbox).map(|account| account.mark(last, patient, &patience))
        });
        if let Some(progress) = said {
            self.advance(sender, inbox, progress, now);
        }
    }

    /// A node has said goodbye, unless it has been heard to say more since.
    fn goodbye(&mut self, id: NodeId, counter: u64, cluster: Mark, inbox: Option<Mark>, now: Instant) {
        let until = self.patient(now) + LEAVES;
        let Some(peer) = self.members.get_mut(id) else { return };
        if counter < peer.beat || !matches!(peer.life, Life::Stranger | Life::Live | Life::Gone(Departure::Died)) {
            return;
        }
        if peer.life == Life::Gone(Departure::Died) {
            self.revive(id, now); // it was only silent, and stays for those who miss something
        }
        let Some(peer) = self.members.get_mut(id) else { return };
        peer.bye = peer.bye.max(counter);
        peer.last = Some(cluster);
        if !peer.is_live() {
            self.members.set(id, Life::Gone(Departure::Left), now);
            return;
        }
        self.members.set(id, Life::Leaving(cluster, inbox, until), now);
        self.check_leaving(id, now);
    }
}
