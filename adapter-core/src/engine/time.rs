//! What the engine does when time has passed, and what it shows of itself.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::membership::{Control, Verdict};
use super::{Engine, Output};
use crate::model::{Event, Node, Stats};

impl Engine {
    /// Lets time pass. To be called when [`next_timeout`](Self::next_timeout) is reached, and harmless at any time.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        if self.readiness.as_mut().is_some_and(|readiness| readiness.greets(now)) {
            self.control(Control::Hello);
        }
        self.check_ready(now);
        self.settling.take_if(|settling| settling.is_over(now));
        if self.rhythm.next() <= now {
            self.beat(now);
        }
        self.tell_tails(now);
        self.sending.check_resends(now);
        if self.hole_due.is_some_and(|due| due <= now) {
            self.check_holes(now);
        }
        if self.tick_due <= now {
            self.tick_due = now + self.settings.tick;
            self.milestones.note(self.sending.newcomer_mark(), now);
            self.tick(now);
        }
        if self.watch_due.is_some_and(|due| due <= now) {
            self.watch(now);
        }
        let expired = self.requests.expire(now);
        self.outputs.extend(expired.into_iter().map(Output::from));
    }

    /// When the engine wants to look at the time again.
    pub(crate) fn next_timeout(&self) -> Instant {
        let readiness = self.readiness.as_ref().map(|readiness| readiness.next());
        let settling = self.settling.as_ref().map(|settling| settling.until());
        let optional =
            [self.requests.next_deadline(), self.hole_due, self.watch_due, self.tails.next(), readiness, settling];
        let optional = optional.into_iter().chain([self.sending.resends_due()]);
        let next = self.rhythm.next().min(self.tick_due);
        optional.flatten().fold(next, Instant::min)
    }

    /// What the node has to do, in order. `into` is empty, and its memory is used for what comes next.
    pub(crate) fn take_outputs(&mut self, into: &mut VecDeque<Output>) {
        std::mem::swap(&mut self.outputs, into);
    }

    pub(super) fn is_in_doubt(&self, now: Instant) -> bool {
        !self.link_up || self.echo.age(now) > self.settings.fresh_echo
    }

    /// The time by which the missing is waited for: it stands still while we ourselves are deaf or asleep.
    pub(super) fn patient(&self, now: Instant) -> Instant {
        self.members.clock().instant(now, self.is_in_doubt(now))
    }

    fn tick(&mut self, now: Instant) {
        self.check_link(now);
        let in_doubt = self.is_in_doubt(now);
        if self.rhythm.is_ring() && self.members.clock().since_tick(now) > self.settings.fresh_echo {
            self.rhythm.want(now); // we were away, and may be thought dead
        }
        self.members.tick(now, in_doubt);
        if !in_doubt {
            self.judge_silence(now);
        }
        for id in self.members.live() {
            self.check_leaving(id, now);
        }
        let old = self.members.old(now, self.settings.keep);
        let absent = self.members.take_given_up(self.settings.absence);
        self.give_up_absent(absent, now);
        self.members.forget(old);
        self.tails.forget(now);
        self.window.forget(self.patient(now));
        self.sending.age(now);
        self.sending.forget(|id| self.members.get(id).is_none());
        self.resize(now);
        self.watch(now);
    }

    /// Beats as a cluster of this size does.
    pub(super) fn resize(&mut self, now: Instant) {
        self.rhythm.resize(self.members.ring().len() + 1, now);
        self.echo.set_ring(self.rhythm.is_ring());
    }

    /// Looks at the echoes: whether this node is degraded, and whether its link is dead without the backend's knowing.
    fn check_link(&mut self, now: Instant) {
        let echoed = [Control::Heartbeat, Control::Ask, Control::Probe];
        let due = self.control.iter().any(|control| echoed.contains(control));
        let passed = self.members.clock().passed(now);
        match self.echo.tick(passed, self.link_up, due) {
            Verdict::Fine => {}
            Verdict::Degraded => {
                let silent = || "this node's own heartbeats do not come back".to_owned();
                let reason = self.hindrance.clone().unwrap_or_else(silent);
                self.outputs.push_back(Output::Event(Event::Degraded(reason)));
            }
            // Not before others are known: until then questions find nobody. Nor while the broker takes nothing, or not all.
            Verdict::Recovered if self.joining || self.hindrance.is_some() => self.echo.stay_degraded(),
            Verdict::Recovered => self.outputs.push_back(Output::Event(Event::Recovered)),
            // The broker answers on this link, and would say the same on another.
            Verdict::Dead if self.hindrance.is_some() => {}
            Verdict::Dead => {
                let reason = "this node's own heartbeats do not come back, nor does anything else".to_owned();
                self.outputs.push_back(Output::Reset(reason));
            }
        }
    }

    // --- what others may see ---

    /// The age of the last proof that what we publish reaches us, on the cluster channel and on our inbox.
    pub(crate) fn health(&self, now: Instant) -> Duration {
        self.echo.health(now)
    }

    /// The live nodes but this one.
    pub(crate) fn peers(&self) -> Vec<Node> {
        let node = |id| self.members.get(id).map(|peer| peer.node(id));
        self.members.live().into_iter().filter_map(node).collect()
    }

    /// The same, and how long ago each was heard last.
    pub(crate) fn heard(&self, now: Instant) -> Vec<(Node, Duration)> {
        let clock = self.members.clock().now(now, self.is_in_doubt(now));
        let heard = |id| self.members.get(id).map(|peer| (peer.node(id), peer.unheard_for(clock)));
        self.members.live().into_iter().filter_map(heard).collect()
    }

    /// How long the heartbeat or probe that came back last was on its way.
    pub(crate) fn round_trip(&self) -> Option<Duration> {
        self.echo.round_trip()
    }

    /// How many have come back.
    #[cfg_attr(not(feature = "metrics"), expect(dead_code, reason = "only what is published needs it"))]
    pub(crate) fn round_trips(&self) -> u64 {
        self.echo.round_trips()
    }

    pub(crate) fn stats(&self) -> Stats {
        Stats {
            queued: self.sending.len() as u64,
            open_requests: self.requests.len() as u64,
            answers_dropped: self.sending.dropped_answers,
            refused: self.sending.refused,
            sent: self.sending.sent_messages(),
            resent: self.sending.repairs().1,
            history_bytes: self.sending.repairs().0 as u64,
            held_bytes: self.members.held() as u64,
            ..self.stats
        }
    }
}
