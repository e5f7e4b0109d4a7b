//! Who is in the cluster.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::time::{Duration, Instant};

use super::absent::Absent;
use super::clock::Clock;
use super::peer::{Life, Peer};
use crate::engine::order::HeldInAll;
use crate::model::{Departure, NodeId};

/// Strangers, who have neither greeted nor been named by anybody: no more of them are kept, and they push out each other
/// and no member.
const STRANGERS: usize = 256;
/// So many members that were forgotten are known again when they wake.
const FORGOTTEN: usize = 1024;
/// A stranger that stays live for this long counts as a member.
const PROVEN: Duration = Duration::from_secs(10);

/// The other nodes, and the clock by which they are judged.
#[derive(Debug)]
pub(crate) struct Members {
    peers: HashMap<NodeId, Peer>,
    max: usize,
    clock: Clock,
    /// A sign of life that is older than this, by that clock, is none.
    silence: Duration,
    live: BTreeSet<NodeId>,
    /// The strangers among them, oldest first.
    strangers: VecDeque<NodeId>,
    forgotten: Forgotten,
    absent: Absent,
    held: HeldInAll,
}

/// Members that were forgotten: should one of them wake, we have missed the start of its counts.
#[derive(Debug, Default)]
struct Forgotten {
    order: VecDeque<NodeId>,
    all: HashSet<NodeId>,
}

impl Forgotten {
    fn add(&mut self, id: NodeId, max: usize) {
        if self.all.insert(id) {
            self.order.push_back(id);
        }
        while self.order.len() > max {
            self.order.pop_front().map(|oldest| self.all.remove(&oldest));
        }
    }
}

impl Members {
    /// At most `max` nodes, of which those are dead that have been silent for longer than `silence`.
    pub(crate) fn new(max: usize, silence: Duration, clock: Clock) -> Self {
        Self {
            peers: HashMap::new(),
            max,
            clock,
            silence,
            live: BTreeSet::new(),
            strangers: VecDeque::new(),
            forgotten: Forgotten::default(),
            absent: Absent::default(),
            held: HeldInAll::default(),
        }
    }

    /// The node, remembered from now on, as a stranger if it is new. None when there are too many.
    pub(crate) fn meet(&mut self, id: NodeId, now: Instant) -> Option<&mut Peer> {
        if !self.peers.contains_key(&id) {
            if self.forgotten.all.contains(&id) {
                return self.meet_member(id, now);
            }
            if self.strangers.len() >= STRANGERS && !self.drop_stranger() || !self.has_room() {
                return None;
            }
            self.strangers.push_back(id);
            self.insert(id, false, now);
        }
        self.peers.get_mut(&id)
    }

    /// The same for one that has greeted, or that others know.
    pub(crate) fn meet_member(&mut self, id: NodeId, now: Instant) -> Option<&mut Peer> {
        if self.peers.contains_key(&id) {
            self.vouch(id);
        } else if self.has_room() {
            self.insert(id, true, now);
        }
        self.peers.get_mut(&id)
    }

    fn insert(&mut self, id: NodeId, vouched: bool, now: Instant) {
        let clock = self.clock.read();
        let peer = Peer {
            name: String::new(),
            life: Life::Stranger,
            heard: clock,
            changed: now,
            changed_by_clock: clock,
            vouched,
            resumes: self.forgotten.all.contains(&id),
            period: None,
            beat: 0,
            bye: 0,
            welcomed: None,
            last: None,
            greeted: None,
            cluster: None,
            inbox: None,
            held: self.held.clone(),
        };
        self.peers.insert(id, peer);
    }

    fn vouch(&mut self, id: NodeId) {
        if let Some(peer) = self.peers.get_mut(&id).filter(|peer| !peer.vouched) {
            peer.vouched = true;
            self.strangers.retain(|stranger| *stranger != id);
        }
    }

    /// Makes room for a stranger, if the oldest one is not live.
    fn drop_stranger(&mut self) -> bool {
        let Some(oldest) = self.strangers.pop_front() else { return true };
        if self.live.contains(&oldest) {
            self.strangers.push_back(oldest); // the next one is looked at next time
            return false;
        }
        self.peers.remove(&oldest);
        true
    }

    /// Whether there is a place for another node, for which the one is forgotten that has been gone for longest.
    fn has_room(&mut self) -> bool {
        if self.peers.len() < self.max {
            return true;
        }
        if self.peers.len() == self.live.len() {
            return false;
        }
        let gone = self.peers.iter().filter(|(_, peer)| !peer.is_live());
        let Some(oldest) = gone.min_by_key(|(id, peer)| (peer.changed, **id)).map(|(id, _)| *id) else { return false };
        self.remove(oldest);
        true
    }

    fn remove(&mut self, id: NodeId) {
        self.absent.give_up(id);
        match self.peers.remove(&id) {
            Some(peer) if peer.vouched => self.forgotten.add(id, self.max.min(FORGOTTEN)),
            Some(_) => self.strangers.retain(|stranger| *stranger != id),
            None => {}
        }
    }

    /// How much is held back for all nodes.
    pub(crate) fn held(&self) -> usize {
        self.held.bytes()
    }

    /// The account for which most is held back: whose, on our inbox or not, and how much.
    pub(crate) fn greediest(&mut self) -> Option<(NodeId, bool, usize)> {
        let of = |(id, peer): (&NodeId, &mut Peer)| {
            let accounts = peer.accounts().map(|(inbox, account)| (account.bytes(), *id, inbox));
            accounts.max()
        };
        self.peers.iter_mut().filter_map(of).max().map(|(bytes, id, inbox)| (id, inbox, bytes))
    }

    pub(crate) fn get(&self, id: NodeId) -> Option<&Peer> {
        self.peers.get(&id)
    }

    #[cfg(test)]
    pub(crate) fn all(&self) -> impl Iterator<Item = (NodeId, &Peer)> {
        self.peers.iter().map(|(id, peer)| (*id, peer))
    }

    pub(crate) fn get_mut(&mut self, id: NodeId) -> Option<&mut Peer> {
        self.peers.get_mut(&id)
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (NodeId, &mut Peer)> {
        self.peers.iter_mut().map(|(id, peer)| (*id, peer))
    }

    /// Takes a sign of life that arrived at a time, which may be a while ago. Returns whether it is one still: what is older
    /// than the silence of a dead node revives nobody and refreshes nobody.
    pub(crate) fn hear_at(&mut self, id: NodeId, at: Instant) -> bool {
        let heard = self.clock.at(at);
        let fresh = self.clock.read().saturating_sub(heard) <= self.silence;
        if fresh && let Some(peer) = self.peers.get_mut(&id) {
            peer.heard = peer.heard.max(heard);
        }
        fresh
    }

    /// Changes how a node stands; returns whether that makes it live or not live.
    pub(crate) fn set(&mut self, id: NodeId, life: Life, now: Instant) -> bool {
        let clock = self.clock.read();
        let Some(peer) = self.peers.get_mut(&id) else { return false };
        let was_live = peer.is_live();
        match life {
            Life::Gone(Departure::Died) => self.absent.add(id, clock),
            _ => self.absent.is_back(id),
        }
        (peer.life, peer.changed, peer.changed_by_clock) = (life, now, clock);
        if peer.is_live() {
            peer.heard = peer.heard.max(clock);
            self.live.insert(id);
        } else {
            self.live.remove(&id);
        }
        was_live != self.live.contains(&id)
    }

    /// Those that fell silent longer ago than this and are waited for no longer, each told once.
    pub(crate) fn take_given_up(&mut self, wait: Duration) -> Vec<NodeId> {
        self.absent.take_given_up(self.clock.read(), wait)
    }

    /// All that fell silent and were waited for still.
    pub(crate) fn take_absent(&mut self) -> Vec<NodeId> {
        self.absent.take_all()
    }

    /// The live nodes, in the order of their ids.
    pub(crate) fn live(&self) -> Vec<NodeId> {
        self.live.iter().copied().collect()
    }

    /// The live nodes, as a ring in the order of their ids.
    pub(crate) fn ring(&self) -> &BTreeSet<NodeId> {
        &self.live
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Lets one tick pass.
    pub(crate) fn tick(&mut self, now: Instant, in_doubt: bool) {
        self.clock.tick(now, in_doubt);
    }

    /// The nodes that have been gone for longer than this and are to be forgotten. Nobody waits for them any more.
    pub(crate) fn old(&mut self, now: Instant, keep: Duration) -> Vec<NodeId> {
        let old = |(id, peer): (&NodeId, &Peer)| {
            (!peer.is_live() && now.saturating_duration_since(peer.changed) > keep).then_some(*id)
        };
        let mut old: Vec<_> = self.peers.iter().filter_map(old).collect();
        old.sort_unstable();
        old.iter().for_each(|id| self.absent.give_up(*id));
        old
    }

    /// Forgets these, and vouches for those that have been live for long.
    pub(crate) fn forget(&mut self, old: Vec<NodeId>) {
        let clock = self.clock.read();
        let mut proven = Vec::new();
        for (id, peer) in &self.peers {
            if peer.is_live() && !peer.vouched && clock.saturating_sub(peer.changed_by_clock) > PROVEN {
                proven.push(*id);
            }
        }
        old.into_iter().for_each(|id| self.remove(id));
        proven.into_iter().for_each(|id| self.vouch(id));
    }
}
