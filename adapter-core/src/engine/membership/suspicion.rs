//! What the engine does about nodes that have fallen silent.

use std::time::{Duration, Instant};

use super::control::Control;
use super::detector::{Finding, SUSPICIOUS};
use super::random::hash_pair;
use crate::engine::{Engine, Settings};
use crate::model::{Departure, NodeId};

/// A node that is heard rarely is suspected by all, whichever node watches it, after so many of its periods and this time.
const PERIODS: u32 = 3;
const LATE: Duration = Duration::from_secs(10);
/// They do so one after the other, so that the first one does for all.
const JITTER: u64 = 2000;
/// The same for a node that is expected each second.
const SOONER: u64 = 250;

impl Engine {
    /// A node is suspected: by this node, which tells all, or by another one.
    pub(super) fn suspect(&mut self, node: NodeId, at: Instant, told: bool) {
        if told {
            self.control(Control::Suspect(node));
        }
        let since = self.members.clock().at(at);
        self.detector.suspect(node, since, at, told);
        self.control(Control::Probe); // proves, before the suspect is judged, that we would hear it
        self.watch_due = Some(at);
    }

    /// Looks at those who are watched and those who are suspected.
    pub(in crate::engine) fn watch(&mut self, now: Instant) {
        self.watch_due = None;
        if self.is_in_doubt(now) {
            return; // each tick looks again
        }
        let clock = self.members.clock().now(now, false);
        let me = self.settings.node.id;
        self.detector.watch(self.members.ring(), me, self.settings.watchers, clock);
        let mut next: Option<Duration> = None;
        let watched: Vec<_> = self.detector.watched().collect();
        for (node, since) in watched {
            let Some(peer) = self.members.get(node).filter(|peer| self.is_rare(peer.period)) else { continue };
            let due = peer.heard.max(since) + SUSPICIOUS;
            if due <= clock && !self.detector.is_suspected(node) {
                self.suspect(node, now, true);
            } else if due > clock {
                next = Some(next.map_or(due, |earlier| earlier.min(due)));
            }
        }
        let members = &self.members;
        let heard = |node| members.get(node).filter(|peer| peer.is_live()).map(|peer| peer.heard);
        for finding in self.detector.judge(clock, self.echo.probed(), heard) {
            match finding {
                Finding::Suspect(node) => self.control(Control::Suspect(node)),
                Finding::Dead(node) => self.lose(node, Departure::Died, now),
            }
        }
        let next = next.into_iter().chain(self.detector.next()).min();
        // What is overdue waits for a proof of our own link: with the next tick.
        let wait = next.map(|next| next.checked_sub(clock).filter(|wait| !wait.is_zero()));
        self.watch_due = wait.flatten().map(|wait| now + wait);
    }

    /// Lets a tick pass for the nodes that are live.
    pub(in crate::engine) fn judge_silence(&mut self, now: Instant) {
        let clock = self.members.clock().read();
        let me = self.settings.node.id;
        let (mut dead, mut late) = (Vec::new(), Vec::new());
        // Nobody has a reason to be heard much less often than a cluster of this size asks for.
        let Settings { heartbeat, ring, beats, .. } = self.settings;
        let nodes = self.members.ring().len().max(ring);
        let believed = heartbeat * u32::try_from(4 * nodes / beats.max(1)).unwrap_or(u32::MAX).max(1);
        for id in self.members.ring() {
            let Some(peer) = self.members.get(*id) else { continue };
            let silent = clock.saturating_sub(peer.heard);
            match peer.period.filter(|period| self.is_rare(Some(*period))) {
                // It may have told the others that it is going to be heard less often; they would take it for dead.
                None if self.rhythm.is_ring() => {
                    let jitter = Duration::from_millis(hash_pair(me, *id) % SOONER);
                    if silent > SUSPICIOUS + jitter && !self.detector.is_suspected(*id) {
                        late.push(*id);
                    }
                }
                None if silent > self.settings.silence => dead.push(*id),
                Some(period) if silent > PERIODS * period.min(believed) + LATE => {
                    let jitter = Duration::from_millis(hash_pair(me, *id) % JITTER);
                    if silent > PERIODS * period.min(believed) + LATE + jitter && !self.detector.is_suspected(*id) {
                        late.push(*id);
                    }
                }
                _ => {}
            }
        }
        dead.into_iter().for_each(|id| self.lose(id, Departure::Died, now));
        late.into_iter().for_each(|id| self.suspect(id, now, true));
    }

    /// Whether a node that promises this period is heard by its watchers more often than by the others.
    fn is_rare(&self, period: Option<Duration>) -> bool {
        period.is_some_and(|period| period > self.settings.heartbeat)
    }
}
