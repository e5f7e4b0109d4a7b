//! Who is in the cluster, and what each has sent us.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use super::clock::Clock;
use crate::engine::account::Account;
use crate::model::{Departure, Node, NodeId};
use crate::wire::{Mark, NodeEntry, Number};

/// So many dead nodes that were forgotten are told from new ones.
const FORGOTTEN: usize = 256;

/// The other nodes, and the clock by which they are judged.
#[derive(Debug)]
pub(crate) struct Members {
    peers: HashMap<NodeId, Peer>,
    max: usize,
    clock: Clock,
    /// A sign of life that is older than this, by that clock, is none.
    silence: Duration,
    /// Dead nodes that were forgotten, oldest first: should one of them wake, we have missed the start of its counts.
    forgotten: VecDeque<NodeId>,
}

/// Another node.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) name: String,
    pub(crate) life: Life,
    /// On the members' clock.
    heard: Duration,
    changed: Instant,
    /// We knew it before, and have forgotten it.
    resumes: bool,
    /// Where our numbers stood when we met it: everything after that is meant for it.
    pub(crate) welcomed: Option<Mark>,
    pub(crate) cluster: Option<Account>,
    pub(crate) inbox: Option<Account>,
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

    pub(crate) fn node(&self, id: NodeId) -> Node {
        Node { id, name: self.name.clone() }
    }

    /// The account of one of its channels; begins with `first` if it has none. `unsure` is the time if something
    /// before that may still be under way.
    pub(crate) fn account(&mut self, inbox: bool, first: Number, unsure: Option<Instant>) -> &mut Account {
        if inbox {
            // Nobody can write to our inbox before we are subscribed to it, so every count there begins with 1.
            let n = if self.resumes { first.n } else { 1 };
            let account = || Account::expecting(Number { epoch: first.epoch, n });
            let unsure = unsure.filter(|_| self.resumes);
            self.inbox.get_or_insert_with(|| unsure.map_or_else(account, |now| account().unsure(now)))
        } else {
            self.cluster.get_or_insert_with(|| {
                let account = Account::expecting(first);
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

impl Members {
    /// At most `max` nodes, of which those are dead that have been silent for longer than `silence`.
    pub(crate) fn new(max: usize, silence: Duration, clock: Clock) -> Self {
        Self { peers: HashMap::new(), max, clock, silence, forgotten: VecDeque::new() }
    }

    /// The node, remembered from now on. None when there are too many.
    pub(crate) fn meet(&mut self, id: NodeId, now: Instant) -> Option<&mut Peer> {
        if self.peers.len() >= self.max && !self.peers.contains_key(&id) && !self.make_room() {
            return None;
        }
        Some(self.peers.entry(id).or_insert_with(|| Peer {
            name: String::new(),
            life: Life::Stranger,
            heard: self.clock.read(),
            changed: now,
            resumes: self.forgotten.contains(&id),
            welcomed: None,
            cluster: None,
            inbox: None,
        }))
    }

    /// The same for one that has shown a sign of life.
    pub(crate) fn meet_alive(&mut self, id: NodeId, now: Instant) -> Option<&mut Peer> {
        let clock = self.clock.read();
        let peer = self.meet(id, now)?;
        peer.heard = peer.heard.max(clock);
        Some(peer)
    }

    /// Forgets the one that has been of no use for longest.
    fn make_room(&mut self) -> bool {
        let useless = self.peers.iter().filter(|(_, peer)| !peer.is_live());
        let oldest = useless.min_by_key(|(id, peer)| (peer.changed, **id)).map(|(id, _)| *id);
        oldest.is_some_and(|id| self.peers.remove(&id).is_some())
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

    /// Changes how a node stands; answers whether that makes it live or not live.
    pub(crate) fn set(&mut self, id: NodeId, life: Life, now: Instant) -> bool {
        let clock = self.clock.read();
        let Some(peer) = self.peers.get_mut(&id) else { return false };
        let was_live = peer.is_live();
        (peer.life, peer.changed, peer.heard) = (life, now, clock);
        was_live != peer.is_live()
    }

    /// The live nodes, in the order of their ids.
    pub(crate) fn live(&self) -> Vec<NodeId> {
        let mut live: Vec<_> = self.peers.iter().filter(|(_, peer)| peer.is_live()).map(|(id, _)| *id).collect();
        live.sort_unstable();
        live
    }

    /// The live nodes by name.
    pub(crate) fn entries(&self) -> Vec<NodeEntry> {
        let entry = |id| self.get(id).map(|peer| NodeEntry { id, name: peer.name.clone() });
        self.live().into_iter().filter_map(entry).collect()
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Lets one tick pass; returns the nodes that have been silent for too long.
    pub(crate) fn tick(&mut self, now: Instant, in_doubt: bool) -> Vec<NodeId> {
        self.clock.tick(now, in_doubt);
        if in_doubt {
            return Vec::new();
        }
        let (clock, silence) = (self.clock.read(), self.silence);
        let silent = |peer: &Peer| peer.is_live() && clock.saturating_sub(peer.heard) > silence;
        let mut silent: Vec<_> = self.peers.iter().filter(|(_, peer)| silent(peer)).map(|(id, _)| *id).collect();
        silent.sort_unstable();
        silent
    }

    /// Forgets those that have not been live for so long.
    pub(crate) fn forget(&mut self, now: Instant, keep: Duration) {
        let old = |peer: &Peer| !peer.is_live() && now.saturating_duration_since(peer.changed) > keep;
        for (id, _) in self.peers.extract_if(|_, peer| old(peer)) {
            self.forgotten.push_back(id);
        }
        self.forgotten.drain(..self.forgotten.len().saturating_sub(FORGOTTEN));
    }
}
