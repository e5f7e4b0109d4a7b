//! The engine as a whole: a node among honest ones gets a sequence of hostile messages.

use std::time::Duration;

use bytes::Bytes;

use super::choices::Script;
use super::messages::{self, Forged};
use super::net::{self, Net, VICTIM};
use super::{Choices, target};
use crate::model::NodeId;
use crate::wire::{Frames, Kind};

const NODES: usize = 3;
/// Strangers of whom the messages speak.
const STRANGERS: [NodeId; 3] = [NodeId::from_bytes([1; 16]), NodeId::from_bytes([2; 16]), NodeId::from_bytes([0; 16])];
/// Bytes that a hostile message may make a node hold for each byte of it, and allocations for each.
const HELD: i64 = 64;
const ALLOCATIONS: u64 = 16;
/// Bytes that may be sent in reply for each byte that came.
const REPLIED: usize = 64;
/// What a greeting is answered with for each node that is known: its id, and the longest name.
const NAMED: usize = 16 + 1 + 255;
/// What the honest traffic of a run costs.
const SLACK: i64 = 256 << 10;

#[test]
fn engine() {
    target!("engine").with_max_len(512).for_each(|script: &Script| {
        let mut choices = Choices::new(script);
        let impersonates = choices.yes();
        let ordered = choices.yes();
        let mut attack = Attack::new(impersonates, ordered);
        for _ in 0..100 {
            if choices.is_over() {
                break;
            }
            attack.step(&mut choices);
        }
        attack.check_costs();
        attack.check_honest();
        attack.check_residue();
    });
}

/// A run and what it has cost.
struct Attack {
    net: Net,
    cast: Vec<NodeId>,
    /// A hostile message spoke in the name of a node of the net.
    impersonated: bool,
    /// Hostile bytes and messages so far.
    fed: usize,
    /// How many greetings there were in them.
    greetings: usize,
    broadcast: u64,
    cost: Cost,
}

/// Memory and work, as allocations.
#[derive(Debug, Default)]
struct Cost {
    held: i64,
    peak: i64,
    allocations: u64,
}

impl Cost {
    fn measure(&mut self, run: impl FnOnce()) {
        let info = allocation_counter::measure(run);
        self.peak = self.peak.max(self.held + info.bytes_max as i64);
        self.held += info.bytes_current;
        self.allocations += info.count_total;
    }
}

impl Attack {
    fn new(impersonates: bool, ordered: bool) -> Self {
        let mut cast = STRANGERS.to_vec();
        if impersonates {
            cast.extend((0..NODES).map(net::id));
        }
        let net = Net::new(NODES, ordered);
        Self { net, cast, impersonated: false, fed: 0, greetings: 0, broadcast: 0, cost: Cost::default() }
    }

    fn step(&mut self, choices: &mut Choices<'_>) {
        match choices.below(16) {
            0 => {
                let time = Duration::from_millis(*choices.pick(&[1, 100, 1_000, 3_000]));
                let net = &mut self.net;
                self.cost.measure(|| net.pass(time));
            }
            1 => self.broadcast(),
            2 => {
                self.net.ask();
                let net = &mut self.net;
                self.cost.measure(|| net.run_until_quiet());
            }
            3 => self.flood(choices),
            _ => {
                let inbox = choices.yes();
                let message = messages::message(choices, &self.cast);
                self.attack(inbox, message, choices.yes());
            }
        }
    }

    /// The same message over and over, with other numbers or names.
    fn flood(&mut self, choices: &mut Choices<'_>) {
        let (inbox, at_once, other_sender) = (choices.yes(), choices.yes(), choices.yes());
        let (count, stride) = (1 + 4 * choices.below(64), choices.number() % 4);
        let mut forged = Forged::new(choices, &self.cast);
        for _ in 0..count {
            self.attack(inbox, forged.message(), !at_once);
            forged.next(stride, other_sender);
        }
    }

    /// Gives the victim a message; what it says to it is sent at once, or with the next.
    fn attack(&mut self, inbox: bool, message: Bytes, quiet: bool) {
        self.impersonated |= messages::senders(&message).any(net::is_honest);
        self.fed += message.len();
        self.greetings += Frames::new(message.clone()).flatten().filter(|frame| frame.head.kind == Kind::HELLO).count();
        let net = &mut self.net;
        self.cost.measure(|| {
            net.deliver(VICTIM, inbox, message);
            if quiet {
                net.run_until_quiet();
            }
        });
    }

    fn broadcast(&mut self) {
        self.broadcast += 1;
        for node in 0..NODES {
            self.net.broadcast(node, self.broadcast);
        }
        let net = &mut self.net;
        self.cost.measure(|| net.run_until_quiet());
    }

    fn check_costs(&mut self) {
        let net = &mut self.net;
        self.cost.measure(|| net.run_until_quiet());
        let Cost { held, peak, allocations } = self.cost;
        // A welcome names every node, and all of them are written at once.
        let welcomes = self.greetings * self.net.known * NAMED;
        let bound = HELD * self.fed as i64 + SLACK;
        assert!(held <= bound, "{held} bytes are held for {}", self.fed);
        assert!(peak <= 2 * bound + 4 * welcomes as i64, "{peak} bytes were held for {}", self.fed);
        let most = ALLOCATIONS * self.fed as u64 + SLACK as u64;
        assert!(allocations <= most, "{allocations} allocations for {}", self.fed);
        let most = REPLIED * self.fed + welcomes + SLACK as usize;
        assert!(self.net.replied <= most, "{} bytes in reply to {}", self.net.replied, self.fed);
    }

    /// Whoever was not spoken for is heard as if nothing had happened.
    fn check_honest(&mut self) {
        if self.impersonated {
            return;
        }
        self.broadcast();
        self.net.pass(Duration::from_secs(3));
        self.broadcast();
        for node in 1..NODES {
            let of_it = |(sender, count): &(NodeId, u64)| (*sender == net::id(node)).then_some(*count);
            let heard: Vec<_> = self.net.nodes[VICTIM].heard.iter().filter_map(of_it).collect();
            assert_eq!(heard, (1..=self.broadcast).collect::<Vec<_>>(), "of node {node}");
        }
    }

    /// Nothing of it stays.
    fn check_residue(&mut self) {
        self.net.pass(net::KEEP + Duration::from_secs(7));
        // Invented nodes that are watched by others of their kind are found out one after the other.
        const ROUNDS: usize = 100;
        for _ in 0..ROUNDS {
            if self.net.nodes[VICTIM].engine.gauge().peers < NODES {
                break;
            }
            self.net.pass(Duration::from_secs(5));
        }
        let gauge = self.net.nodes[VICTIM].engine.gauge();
        assert_eq!((gauge.answer_bytes, gauge.pending_acks), (0, 0), "{gauge:?}");
        assert_eq!((gauge.open_requests, gauge.deadlines, gauge.queued), (0, 0, 0), "{gauge:?}");
        assert_eq!((gauge.stray_inboxes, gauge.departed), (0, 0), "{gauge:?}");
        if !self.impersonated {
            // In the name of a node that goes on, pieces may wait for others until that node speaks again.
            assert_eq!((gauge.peers, gauge.held_bytes), (NODES - 1, 0), "{:?}", self.net.nodes[VICTIM].engine);
        }
    }
}
