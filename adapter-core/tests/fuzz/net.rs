//! A few engines and a broker that delivers at once, with what the driver does around them.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::engine::{Destination, Engine, Incoming, Outcome, Output, ReplyTo, Settings};
use crate::model::{Limits, Namespace, Node, NodeId, Packet, SocketId, Target};
use crate::wire::{Answer, Content, Frame, Glance, Operation};

/// The node that is attacked.
pub(super) const VICTIM: usize = 0;
/// How long a node that is gone is remembered.
pub(super) const KEEP: Duration = Duration::from_secs(5);
/// As in the driver.
const AT_ONCE: usize = 32;

/// Some nodes that behave.
#[derive(Debug)]
pub(super) struct Net {
    pub(super) now: Instant,
    pub(super) nodes: Vec<NetNode>,
    /// Bytes that the victim has sent to inboxes of nodes that are not of this net.
    pub(super) replied: usize,
    /// How many nodes the victim has known at a time.
    pub(super) known: usize,
}

#[derive(Debug)]
pub(super) struct NetNode {
    pub(super) id: NodeId,
    pub(super) engine: Engine,
    /// What the others of this net have broadcast, by sender and count.
    pub(super) heard: Vec<(NodeId, u64)>,
    outputs: VecDeque<Output>,
}

/// The ids of the net: no script gets to them by chance.
pub(super) fn id(node: usize) -> NodeId {
    let mut bytes = *b"f\x91\xd2.honest node\x00";
    bytes[15] = node as u8;
    NodeId::from_bytes(bytes)
}

impl Net {
    /// So many nodes, which know each other.
    pub(super) fn new(count: usize, ordered: bool) -> Self {
        let now = Instant::now();
        let node = |node: usize| {
            let settings = Settings::new(Node { id: id(node), name: format!("n{node}") });
            let settings = Settings { ordered, keep: KEEP, ..settings };
            let engine = Engine::new(settings, Limits::max_frame(1 << 20), now);
            NetNode { id: id(node), engine, heard: Vec::new(), outputs: VecDeque::new() }
        };
        let mut net = Self { now, nodes: (0..count).map(node).collect(), replied: 0, known: 0 };
        net.pass(Duration::from_secs(3));
        for node in &net.nodes {
            assert_eq!(node.engine.peers().len(), count - 1, "they know each other");
        }
        net
    }

    /// Lets time pass, tick by tick.
    pub(super) fn pass(&mut self, time: Duration) {
        const TICK: Duration = Duration::from_millis(125);
        let end = self.now + time;
        while self.now < end {
            self.now = end.min(self.now + TICK);
            for node in &mut self.nodes {
                if node.engine.next_timeout() <= self.now {
                    node.engine.handle_timeout(self.now);
                }
            }
            self.run_until_quiet();
        }
    }

    /// Delivers until nobody has anything to say.
    pub(super) fn run_until_quiet(&mut self) {
        self.known = self.known.max(self.nodes[VICTIM].engine.gauge().peers);
        // What the answers to a batch are answered with, and so on: never many rounds.
        const ROUNDS: usize = 64;
        for _ in 0..ROUNDS {
            let mut quiet = true;
            for node in 0..self.nodes.len() {
                self.carry_out(node);
                quiet &= !self.publish(node);
            }
            if quiet {
                return;
            }
        }
        panic!("they do not stop talking");
    }

    /// Hands a message to a node, as its driver does.
    pub(super) fn deliver(&mut self, node: usize, inbox: bool, message: Bytes) {
        let engine = &mut self.nodes[node].engine;
        if Glance::at(&message).is_some_and(|glance| glance.control) {
            engine.hear(inbox, message.clone(), self.now);
        }
        let mut incoming = Incoming::new(inbox, message, self.now);
        while !incoming.is_done() {
            self.nodes[node].engine.receive(&mut incoming, AT_ONCE, self.now);
            self.carry_out(node);
        }
    }

    /// A packet of that node, with its count.
    pub(super) fn broadcast(&mut self, node: usize, count: u64) {
        let packet = Packet::opaque(count.to_le_bytes().to_vec());
        let operation = Operation::Broadcast { namespace: chat(), target: Target::everyone(), packet };
        let (content, now) = (operation.encode(), self.now);
        self.nodes[node].engine.send(content, crate::engine::Delivery::Numbered, 0, now);
    }

    /// A question of the victim to everybody that it takes for a node.
    pub(super) fn ask(&mut self) {
        let operation = Operation::CountSockets { namespace: chat(), target: Target::everyone() };
        let (content, now) = (operation.encode(), self.now);
        self.nodes[VICTIM].engine.ask(content, None, 0, now + Duration::from_secs(5), now);
    }

    fn publish(&mut self, from: usize) -> bool {
        let now = self.now;
        let node = &mut self.nodes[from];
        while let Some((to, answer)) = node.engine.take_acks() {
            node.engine.acks_encoded(to, answer.encode(), now);
        }
        let batch = node.engine.pack(now);
        if batch.is_empty() {
            return false;
        }
        node.engine.record_outcome(Outcome::Sent, now);
        for (to, payload) in batch {
            let message = payload.into_bytes();
            let to_whom = |node: &NetNode| match to {
                Destination::Cluster => Some(false),
                Destination::Inbox(id) => (id == node.id).then_some(true),
            };
            let receivers: Vec<_> =
                self.nodes.iter().enumerate().filter_map(|(at, node)| Some((at, to_whom(node)?))).collect();
            if receivers.is_empty() && from == VICTIM {
                self.replied += message.len();
            }
            for (node, inbox) in receivers {
                self.deliver(node, inbox, message.clone());
            }
        }
        true
    }

    fn carry_out(&mut self, node: usize) {
        let mut outputs = std::mem::take(&mut self.nodes[node].outputs);
        self.nodes[node].engine.take_outputs(&mut outputs);
        while let Some(output) = outputs.pop_front() {
            match output {
                Output::Perform { reply, whole } => self.perform(node, reply, whole.into_frame()),
                Output::Answer { whole, .. } => {
                    if let Err(unreadable) = Answer::decode(&whole.into_frame()) {
                        self.nodes[node].engine.unreadable(unreadable, None, self.now);
                    }
                }
                _ => {}
            }
        }
        self.nodes[node].outputs = outputs;
    }

    fn perform(&mut self, node: usize, reply: Option<ReplyTo>, frame: Frame) {
        let (sender, now) = (frame.head.sender, self.now);
        let NetNode { engine, heard, .. } = &mut self.nodes[node];
        let operation = match Operation::decode(frame) {
            Ok(operation) => operation,
            Err(unreadable) => return engine.unreadable(unreadable, reply, now),
        };
        if let Operation::Broadcast { packet, .. } = &operation
            && let Some(count) = packet.data.first_chunk().filter(|_| is_honest(sender))
        {
            heard.push((sender, u64::from_le_bytes(*count)));
        }
        let Some(to) = reply else { return };
        let socket = || SocketId::new("s1").expect("valid");
        let answer: Vec<Content> = match operation {
            Operation::BroadcastWithAck { .. } => {
                engine.expect_acks(to, vec![socket()]);
                engine.ack(to, socket(), Ok(Bytes::from_static(b"ack")));
                return engine.end_acks(to);
            }
            Operation::FetchSockets { .. } => Answer::Sockets(Vec::new(), true).encode_in_parts(),
            Operation::CountSockets { .. } => vec![Answer::Count(1).encode()],
            Operation::ListRooms { .. } => Answer::Rooms(Vec::new(), true).encode_in_parts(),
            Operation::ServerEvent { data, .. } => vec![Answer::Server(data).encode()],
            Operation::Broadcast { .. } | Operation::Change { .. } => vec![Answer::Applied.encode()],
        };
        engine.answer(to, answer, now);
    }
}

/// Whether the id is of a node of a net.
pub(super) fn is_honest(sender: NodeId) -> bool {
    sender.as_bytes()[..15] == id(0).as_bytes()[..15]
}

fn chat() -> Namespace {
    Namespace::new("/chat").expect("valid")
}
