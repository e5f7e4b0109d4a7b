//! What is lost is asked for, and sent again to those who ask.

use std::time::{Duration, Instant};

use super::membership::{Control, Life};
use super::order::Patience;
use super::{Destination, Engine, Output};
use crate::model::{Departure, Event, GapChannel, NodeId};
use crate::wire::{Content, Frame, Kind, Malformed, Mark, Nack, Resend, decode};

/// With each node more that may miss the same, what is missing is asked for so much later at the most: the first who ask are
/// served together with all others, who then need not ask.
const SPREAD: Duration = Duration::from_micros(250);
const WIDEST: u32 = 200;
/// A node that dropped messages because it was too slow asks for nothing until this much time has passed.
const TOO_SLOW: Duration = Duration::from_secs(2);
/// In a cluster of more nodes not each introduces itself to each that comes: a new node takes what it hears first of another one
/// for the beginning.
const INTRODUCED: usize = 64;
/// For so long after it has come a node is new.
const NEW: Duration = Duration::from_secs(10);
/// A range takes so many bytes at the most.
const RANGE: usize = 20;

/// The mark of a node that has carried out nothing and misses nothing.
const NOTHING: Mark = Mark { epoch: 0, n: 0 };
/// A node that sends a mark of this epoch, in which nobody counts, does not know where a sender's messages begin for it: the sender is
/// to introduce itself again. The number says for how many milliseconds the asker has been subscribed.
const UNKNOWN: u64 = 0;

impl Engine {
    /// How long what is missing is waited for.
    pub(super) fn patience(&self, now: Instant) -> Patience {
        let asks = self.too_slow_until.is_none_or(|until| until <= self.patient(now));
        Patience {
            ordered: self.settings.ordered,
            beginning: self.settings.beginning,
            repair: if asks { self.settings.repair } else { Duration::ZERO },
            bytes: self.settings.held_bytes,
            max_message: self.settings.limit(),
            probed: self.probed,
        }
    }

    /// Whether it is unclear, when the first that is heard of a node is no introduction, where its messages begin for this one:
    /// what was sent before may be late, or lost. The time since then.
    pub(super) fn unsure(&self, id: NodeId, now: Instant) -> Option<Instant> {
        let many = self.members.ring().len() > INTRODUCED;
        let new = many && self.is_new(now);
        // One that this node has forgotten has sent it something already.
        let sure = self.settings.ordered && (new || self.members.get(id).is_some_and(|peer| peer.resumes));
        (!sure).then(|| self.patient(now))
    }

    /// Looks after what is missing of a node, now and when there is time to ask or to give up.
    pub(super) fn mind_hole(&mut self, id: NodeId, inbox: bool, now: Instant) {
        let delay = if self.settings.ordered { Duration::ZERO } else { self.reorder.delay() };
        let delay = delay + self.spread(id);
        let Some(peer) = self.members.get_mut(id) else { return };
        let Some(due) = peer.known_account(inbox).and_then(|account| account.ask_after(delay, now)) else { return };
        // What is not due by the time alone is looked at with each tick.
        let due = if due > now { due } else { now + self.settings.tick };
        self.hole_due = Some(self.hole_due.map_or(due, |earlier| earlier.min(due)));
    }

    /// Spreads the NACKs of many nodes: each asks each sender at another time.
    fn spread(&self, sender: NodeId) -> Duration {
        let nodes = u32::try_from(self.members.ring().len()).unwrap_or(WIDEST).min(WIDEST);
        self.greetings.spread(sender, SPREAD * nodes)
    }

    /// Looks at everything that is missing: asks for it, or gives it up.
    pub(super) fn check_holes(&mut self, now: Instant) {
        self.hole_due = None;
        let (patience, patient) = (self.patience(now), self.patient(now));
        let (clock, absence) = (self.members.clock().read(), self.settings.absence);
        let mut holes = Vec::new();
        for (id, peer) in self.members.iter_mut() {
            // Its goodbye may have come before its introduction: then it is still there for what is under way.
            let leaves = peer.is_leaving_still(clock);
            let over = peer.life == Life::Gone(Departure::Left) && !leaves || peer.is_long_dead(clock, absence);
            // One that was thought dead may be about to wake.
            let silent = matches!(peer.life, Life::Gone(_)) && !leaves || peer.is_silent(clock);
            let resumes = peer.resumes;
            for (inbox, account) in peer.accounts().filter(|(_, account)| account.hole_since().is_some()) {
                let progress = match () {
                    // What is under way may still come, whatever became of the sender.
                    () if account.is_unsure() => account.wait(patient, &patience),
                    () if over => account.give_up_all(),
                    // It cannot reply now; if it is dead, that is found elsewhere.
                    () if silent => account.postpone(patient),
                    () => account.wait(patient, &patience),
                };
                // One that was forgotten here has introduced itself long ago, and could but repeat that.
                let replies = !silent && (!account.is_unsure() || !resumes);
                let asks = replies && !patience.repair.is_zero() && account.asks(patience.probed, now);
                holes.push((id, inbox, progress, asks));
            }
        }
        holes.sort_unstable_by_key(|(id, inbox, ..)| (*id, *inbox));
        for (id, inbox, progress, asks) in holes {
            if asks {
                self.control(Control::Nack(id, inbox));
                self.control(Control::Probe);
            }
            self.advance(id, inbox, progress, now);
        }
    }

    /// The link is back: what was asked for may be lost.
    pub(super) fn ask_anew(&mut self, now: Instant) {
        for (_, peer) in self.members.iter_mut() {
            peer.accounts().for_each(|(_, account)| account.ask_anew(now));
        }
        self.hole_due = Some(now);
    }

    /// This node was too slow for what it was sent, and some of it was dropped here. To ask for that would make it slower still.
    pub(crate) fn was_too_slow(&mut self, now: Instant) {
        self.too_slow_until = Some(self.patient(now) + TOO_SLOW);
        for (_, peer) in self.members.iter_mut() {
            peer.accounts().for_each(|(_, account)| account.was_dropped());
        }
    }

    /// A probe of ours has come back in its place among the messages: what it stands behind has been read.
    pub(super) fn probed_in_place(&mut self, counter: u64, now: Instant) {
        self.probed = self.probed.max(counter);
        if self.hole_due.is_some() {
            self.hole_due = Some(now);
        }
    }

    /// The frame that says what this node misses of another one, on the cluster channel or its inbox, and where it goes: to the
    /// sender's inbox, and when that did not help to all.
    pub(super) fn nack(&mut self, id: NodeId, inbox: bool, now: Instant) -> Option<(Destination, u64, Content)> {
        let most = (self.capacity() / RANGE).max(1);
        let counter = self.sending.counter() + 1;
        let age = self.age(now);
        let peer = self.members.get_mut(id)?;
        let last = peer.last_mark();
        let (has, missing, pieces, tries) = match peer.known_account(inbox) {
            Some(account) if account.hole_since().is_some() => {
                let unknown = Mark { epoch: UNKNOWN, n: age };
                let has = if account.is_unsure() { unknown } else { account.has() };
                let (missing, pieces, tries) = account.ask(most, counter, now);
                (has, missing, pieces, tries)
            }
            Some(account) => (account.has(), Vec::new(), Vec::new(), 0),
            None => (last.unwrap_or(NOTHING), Vec::new(), Vec::new(), 0),
        };
        let to = if tries > 1 { Destination::Cluster } else { Destination::Inbox(id) };
        let nack = Nack { node: id, inbox, has, missing, pieces };
        let content = Content::new(Kind::NACK, &nack);
        Some((to, self.sending.next_counter(), content))
    }

    /// A node says what it has of this one's messages, and what it misses.
    pub(super) fn hear_nack(&mut self, asker: NodeId, nack: &Nack, at: Instant) {
        if nack.node != self.settings.node.id {
            return;
        }
        if self.members.meet(asker, at).is_none() {
            self.stats.strangers_dropped += 1;
            return;
        }
        if let Some(farewell) = &mut self.farewell {
            farewell.confirm(asker, nack);
        }
        // A node that is not ready itself welcomes nobody: a newcomer would take it for one that knows the others.
        if nack.has.epoch == UNKNOWN && !nack.inbox && self.readiness.is_none() && self.greetings.may_welcome(at) {
            self.welcome_again(asker, nack.has.n, at);
        }
        self.sending.missed(asker, nack, at);
        self.sending.check_resends(at);
    }

    /// Tells a node that has been subscribed for so many milliseconds once more where the messages of this one begin for it. For
    /// one that was there before this one they begin with the first, wherever they stood when the two met. For one that this node
    /// has heard only long after it came, they begin where they stood at the last look before it came.
    fn welcome_again(&mut self, asker: NodeId, age: u64, at: Instant) {
        let first = Mark { n: 0, ..self.sending.cluster_mark() };
        let older = age > self.age(at);
        let came = at.checked_sub(Duration::from_millis(age)).and_then(|came| self.milestones.around(came));
        let came = came.filter(|(before, _)| before.epoch == first.epoch);
        if let Some(peer) = self.members.get_mut(asker) {
            let late = |after: Option<Mark>| match (peer.welcomed, after) {
                (Some(met), after) => after.is_some_and(|after| met.n > after.n),
                (None, _) => true,
            };
            peer.welcomed = match came {
                _ if older => Some(first),
                Some((before, after)) if late(after) => Some(before),
                _ => peer.welcomed,
            };
        }
        self.control(Control::Welcome(asker, 0));
    }

    /// Whether this node has come a short time ago.
    pub(super) fn is_new(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.began) < NEW
    }

    /// For how many milliseconds this node has been subscribed.
    fn age(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.began).as_millis()).unwrap_or(u64::MAX)
    }

    /// What follows in the message is sent again. Returns which channel that is.
    pub(super) fn resend(&mut self, on_inbox: bool, frame: &Frame, now: Instant) -> Result<bool, Malformed> {
        let Resend { inbox, epoch, gone } = decode(&frame.body)?;
        if inbox && !on_inbox || frame.head.number.is_some() || frame.head.part.is_some() {
            return Err(Malformed::new("frames of an inbox on another channel"));
        }
        if !gone.is_empty() {
            let (patience, patient) = (self.patience(now), self.patient(now));
            let id = frame.head.sender;
            let account = self.members.get_mut(id).and_then(|peer| peer.known_account(inbox));
            if let Some(progress) = account.map(|account| account.gone(epoch, &gone, patient, &patience)) {
                self.advance(id, inbox, progress, now);
            }
        }
        Ok(inbox)
    }

    /// What is missing of a node that is gone is lost, and what came behind it is carried out.
    pub(super) fn give_up(&mut self, id: NodeId, now: Instant) {
        for inbox in [false, true] {
            let Some(peer) = self.members.get_mut(id) else { return };
            let Some(progress) = peer.known_account(inbox).map(|account| account.give_up_all()) else { continue };
            self.advance(id, inbox, progress, now);
        }
    }

    /// Something was lost for good.
    pub(super) fn lost(&mut self, node: NodeId, inbox: bool, count: Option<u64>) {
        self.stats.lost = self.stats.lost.saturating_add(count.unwrap_or(0));
        let channel = if inbox { GapChannel::Inbox } else { GapChannel::Cluster };
        self.outputs.push_back(Output::Event(Event::Gap { node, channel, count }));
    }
}
