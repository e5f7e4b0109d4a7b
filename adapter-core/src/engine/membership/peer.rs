//! Another node, as this one knows it.

use std::time::{Duration, Instant};

use super::rhythm::LONGEST;
use crate::engine::order::{Account, HeldInAll};
use crate::model::{Departure, Node, NodeId};
use crate::wire::{Mark, Number};

/// Nodes of a small cluster send a heartbeat each second. One that has not been heard for this long cannot be asked now.
const SILENT: Duration = Duration::from_millis(1250);

/// A node that has said goodbye stays for a second for those who miss something of it; what has not come by then never will.
pub(super) const LEAVES: Duration = Duration::from_millis(1500);

/// Another node.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) name: String,
    pub(crate) life: Life,
    /// When it was heard last, on the members' clock.
    pub(super) heard: Duration,
    pub(super) changed: Instant,
    /// The same, on the members' clock.
    pub(super) changed_by_clock: Duration,
    /// It has greeted, or was named by others; else it is a stranger, of whom few are kept.
    pub(super) vouched: bool,
    /// We knew it before, and have forgotten it.
    pub(crate) resumes: bool,
    /// The longest time between two of its heartbeats on the cluster channel, as it says.
    pub(super) period: Option<Duration>,
    /// The counters of its newest heartbeat, and of its goodbye.
    pub(super) beat: u64,
    pub(super) bye: u64,
    /// Where our numbers stood when we met it: everything after that is meant for it.
    pub(crate) welcomed: Option<Mark>,
    /// What its goodbye said of the cluster channel.
    pub(super) last: Option<Mark>,
    /// When we welcomed it last.
    pub(super) greeted: Option<Instant>,
    pub(crate) cluster: Option<Account>,
    pub(crate) inbox: Option<Account>,
    /// What is held back for all nodes.
    pub(super) held: HeldInAll,
}

/// How a node stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Life {
    /// It has sent numbered frames, but has not introduced itself yet.
    Stranger,
    Live,
    /// It said goodbye and has sent up to these marks (cluster, inbox), which we may not have carried out yet.
    Leaving(Mark, Option<Mark>, Instant),
    Gone(Departure),
}

impl Peer {
    /// Whether it is asked, and waited for.
    pub(crate) fn is_live(&self) -> bool {
        matches!(self.life, Life::Live | Life::Leaving(..))
    }

    /// It says how often it is going to be heard, in the frame of this counter.
    pub(super) fn promise(&mut self, counter: u64, period: u32) {
        if counter > self.beat {
            self.beat = counter;
            self.period = Some(Duration::from_millis(period.into()).min(LONGEST));
        }
    }

    pub(crate) fn node(&self, id: NodeId) -> Node {
        Node { id, name: self.name.clone() }
    }

    /// The account of one of its channels, if it has one.
    pub(crate) fn known_account(&mut self, inbox: bool) -> Option<&mut Account> {
        if inbox { self.inbox.as_mut() } else { self.cluster.as_mut() }
    }

    /// The account of one of its channels; begins with `first` if it has none. `unsure` is the time if something
    /// before that may still be under way.
    pub(crate) fn account(&mut self, inbox: bool, first: Number, unsure: Option<Instant>) -> &mut Account {
        if inbox {
            // Nobody can write to our inbox before we are subscribed to it, so every count there begins with 1.
            let n = if self.resumes { first.n } else { 1 };
            let held = self.held.clone();
            let account = || Account::expecting(Number { epoch: first.epoch, n }, held.clone());
            let unsure = unsure.filter(|_| self.resumes);
            self.inbox.get_or_insert_with(|| unsure.map_or_else(account, |now| account().unsure(now)))
        } else {
            let held = self.held.clone();
            self.cluster.get_or_insert_with(|| {
                let account = Account::expecting(first, held);
                match unsure {
                    Some(now) => account.unsure(now),
                    None => account,
                }
            })
        }
    }

    pub(crate) fn accounts(&mut self) -> impl Iterator<Item = (bool, &mut Account)> {
        self.cluster.iter_mut().map(|account| (false, account)).chain(self.inbox.iter_mut().map(|a| (true, a)))
    }

    /// Whether it has not been heard for longer than a node that is well stays silent, where all hear each other each second.
    pub(crate) fn is_silent(&self, clock: Duration) -> bool {
        let often = self.period.is_none_or(|period| period <= Duration::from_secs(1));
        often && clock.saturating_sub(self.heard) > SILENT
    }

    /// For how long it has not been heard, by the members' clock.
    pub(crate) fn unheard_for(&self, clock: Duration) -> Duration {
        clock.saturating_sub(self.heard)
    }

    /// Whether it died longer ago than this: nobody waits for it any more.
    pub(crate) fn is_long_dead(&self, clock: Duration, absence: Duration) -> bool {
        self.life == Life::Gone(Departure::Died) && clock.saturating_sub(self.changed_by_clock) > absence
    }

    /// Whether it said goodbye so short a time ago that it may still be there for those who miss something.
    pub(crate) fn is_leaving_still(&self, clock: Duration) -> bool {
        self.life == Life::Gone(Departure::Left) && clock.saturating_sub(self.changed_by_clock) <= LEAVES
    }

    /// The last that it sent to all, if it has said goodbye.
    pub(crate) fn last_mark(&self) -> Option<Mark> {
        self.last
    }

    /// Whether all that it sent before its goodbye has been carried out.
    pub(crate) fn has_finished(&self) -> bool {
        let reached = |account: &Option<Account>, mark: Mark| {
            mark.n == 0 || account.as_ref().is_some_and(|account| account.has_reached(mark))
        };
        match &self.life {
            Life::Leaving(cluster, inbox, _) => {
                reached(&self.cluster, *cluster) && inbox.is_none_or(|inbox| reached(&self.inbox, inbox))
            }
            _ => false,
        }
    }
}
