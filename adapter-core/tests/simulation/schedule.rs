//! Who comes when, and what happens to whom: drawn up before a run begins.

use std::time::Duration;

use super::history::N;
use super::network::{Profile, Split, Swallows};
use super::node::SimNode;
use super::world::{Event, World};

impl World {
    /// Draws up who comes when, and what happens to whom.
    pub(super) fn prepare(&mut self) {
        let busy = self.plan.busy.as_millis() as u64;
        let first = self.plan.nodes;
        for node in 0..first {
            let at = self.random.between(0, 100);
            self.expect(node, at);
        }
        match self.plan.profile {
            Profile::OrderedTurbulent | Profile::WildTurbulent => self.prepare_turbulence(busy),
            Profile::Lossy | Profile::LossyWild => {
                let outages = 1 + self.random.below(3);
                let mut last = Duration::ZERO;
                for _ in 0..outages {
                    let at = self.random.between(800, busy);
                    last = at;
                    // One in four lasts longer than the silence of a dead node, one in four is the broker's own.
                    let most = if self.random.chance(25) { 5000 } else { 1500 };
                    let one = self.random.below(first);
                    let nodes = if self.random.chance(25) { 0..first } else { one..one + 1 };
                    for node in nodes {
                        let time = self.random.between(most / 15, most);
                        self.push(at, Event::LinkDown(node, time));
                    }
                }
                // One that comes meanwhile is heard by nobody who is cut off.
                if self.random.chance(50) {
                    let at = last + self.random.between(0, 1500);
                    self.expect(first, at);
                }
            }
            Profile::Sleeper | Profile::LongSleeper => {
                let time = if self.plan.profile == Profile::Sleeper { 5000 } else { 9000 };
                let node = self.random.below(first);
                let at = self.random.between(1500, busy.min(2500));
                self.push(at, Event::Stall(node, Duration::from_millis(time)));
            }
            Profile::HalfOpen => self.prepare_half_open(busy),
            Profile::Suspended => {
                for _ in 0..1 + self.random.below(2) {
                    let node = self.random.below(first);
                    let at = self.random.between(800, busy);
                    let most = if self.random.chance(40) { 5000 } else { 1000 };
                    let time = self.random.between(most / 5, most);
                    self.push(at, Event::Suspend(node, time));
                }
            }
            Profile::Split | Profile::SplitWild => self.prepare_splits(busy),
            Profile::Congested => {
                let node = self.random.below(first);
                let at = self.random.between(500, busy / 2);
                self.push(at, Event::Congest(node, self.plan.busy - at));
            }
            Profile::Ordered | Profile::Wild | Profile::Leaky | Profile::LeakyWild | Profile::Forgetful => {
                if self.random.chance(50) {
                    let at = self.random.between(1200, 2400);
                    self.expect(first, at);
                }
            }
        }
    }

    fn prepare_turbulence(&mut self, busy: u64) {
        let first = self.plan.nodes;
        for late in 0..self.random.below(3) {
            let at = self.random.between(300, busy);
            self.expect(first + late, at);
        }
        for node in 0..first {
            let at = self.random.between(500, busy);
            match self.random.below(6) {
                0 => self.push(at, Event::Kill(node)),
                1 => self.push(at, Event::Close(node)),
                2 | 3 => {
                    // Longer than a second may cost the node its place, but nobody else's.
                    let most = if self.random.chance(25) { 2000 } else { 1000 };
                    let time = self.random.between(300, most);
                    self.push(at, Event::Stall(node, time));
                }
                _ => {}
            }
        }
    }

    /// One split or two, of which one in four lasts longer than the silence of a dead node; a node may come meanwhile.
    fn prepare_splits(&mut self, busy: u64) {
        let first = self.plan.nodes;
        for _ in 0..1 + self.random.below(2) {
            let at = self.random.between(800, busy);
            let most = if self.random.chance(25) { 5000 } else { 1500 };
            let time = self.random.between(most / 15, most);
            let splits = Split::draw(first, &mut self.random);
            self.push(at, Event::Split(splits, time));
        }
        if self.random.chance(30) {
            let at = self.random.between(800, busy);
            self.expect(first, at);
        }
    }

    /// One link, or all; while there is much to do, or when all is quiet.
    fn prepare_half_open(&mut self, busy: u64) {
        let first = self.plan.nodes;
        let one = self.random.below(first);
        let nodes = if self.random.chance(25) { 0..first } else { one..one + 1 };
        let at = self.random.between(800, busy + 1000);
        let ways = [Swallows::Both, Swallows::Incoming, Swallows::Outgoing];
        let swallows = self.random.pick(&ways).copied().unwrap_or(Swallows::Both);
        nodes.for_each(|node| self.push(at, Event::HalfOpen(node, swallows)));
    }

    fn expect(&mut self, node: N, at: Duration) {
        self.nodes.resize_with(self.nodes.len().max(node + 1), SimNode::new);
        self.push(at, Event::Start(node));
    }
}
