//! Clusters of engines on a broker that delivers at once, and counts.

mod beginnings;
mod clusters;
mod forgeries;
mod refusals;

use std::time::{Duration, Instant};

use bytes::Bytes;
use serde::Serialize;

use crate::engine::{Delivery, Destination, Engine, Incoming, Outcome, Output, Settings};
use crate::model::{Event, Limits, Namespace, Node, NodeId, Target};
use crate::wire::{Content, Frames, Glance, Head, Kind, Message, Operation};

/// So often the nodes look at the time and at what has arrived.
const STEP: Duration = Duration::from_millis(10);
/// Above so many nodes a cluster is a ring here, so that few make one.
const RING: usize = 16;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn id(n: usize) -> NodeId {
    let mut bytes = [0; 16];
    // Spread over the ring, so that the order of ids is not that of the starts.
    bytes[..8].copy_from_slice(&(n as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    bytes[8..].copy_from_slice(&(n as u64).to_be_bytes());
    NodeId::from_bytes(bytes)
}

fn place(id: NodeId) -> usize {
    id.as_bytes()[8..].iter().fold(0, |n, byte| n << 8 | usize::from(*byte))
}

/// One node, with what it has received.
struct Member {
    engine: Engine,
    link: bool,
    ready: Option<Duration>,
    messages: usize,
    bytes: usize,
    events: Vec<(Duration, Event)>,
    performed: usize,
}

/// A cluster.
struct Cluster {
    base: Instant,
    now: Duration,
    members: Vec<Option<Member>>,
    /// The kinds of all frames that were delivered.
    sent: Vec<(Destination, Bytes)>,
    max_frame: usize,
    tune: fn(&mut Settings),
}

impl Cluster {
    fn new(max_frame: usize) -> Self {
        let (members, sent) = (Vec::new(), Vec::new());
        Self { base: Instant::now(), now: Duration::ZERO, members, sent, max_frame, tune: |_| {} }
    }

    /// So many nodes that all know each other and have gone over to the pace of their number.
    fn of(nodes: usize) -> Self {
        let mut cluster = Self::new(1 << 20);
        for _ in 0..nodes {
            cluster.start();
        }
        cluster.run(ms(6000));
        for n in 0..nodes {
            assert!(cluster.member(n).ready.is_some(), "node {n} is ready");
            assert_eq!(cluster.live(n), nodes - 1, "of node {n}");
        }
        cluster.reset();
        cluster
    }

    fn start(&mut self) -> usize {
        let n = self.members.len();
        let mut settings = Settings::new(Node { id: id(n), name: format!("node-{n:04}") });
        (settings.ordered, settings.ring) = (true, RING);
        (self.tune)(&mut settings);
        let engine = Engine::new(settings, Limits::max_frame(self.max_frame), self.instant());
        let (events, ready) = (Vec::new(), None);
        self.members.push(Some(Member { engine, link: true, ready, messages: 0, bytes: 0, events, performed: 0 }));
        n
    }

    fn instant(&self) -> Instant {
        self.base + self.now
    }

    fn member(&mut self, n: usize) -> &mut Member {
        self.members[n].as_mut().expect("it lives")
    }

    fn live(&mut self, n: usize) -> usize {
        self.member(n).engine.peers().len()
    }

    fn kill(&mut self, n: usize) {
        self.members[n] = None;
    }

    /// Forgets what was counted.
    fn reset(&mut self) {
        self.sent.clear();
        for member in self.members.iter_mut().flatten() {
            (member.messages, member.bytes) = (0, 0);
            member.events.clear();
        }
    }

    fn run(&mut self, time: Duration) {
        let until = self.now + time;
        while self.now < until {
            self.now += STEP;
            self.step();
        }
    }

    /// Lets the nodes do what is due; what they send has arrived when this returns.
    fn step(&mut self) {
        let now = self.instant();
        let mut sent = Vec::new();
        for n in 0..self.members.len() {
            let Some(member) = &mut self.members[n] else { continue };
            if member.engine.next_timeout() <= now {
                member.engine.handle_timeout(now);
            }
            while member.link && member.engine.has_work() {
                let batch = member.engine.pack(now);
                if batch.is_empty() {
                    break;
                }
                sent.extend(batch);
                member.engine.record_outcome(Outcome::Sent, now);
            }
        }
        for (to, message) in sent {
            self.deliver(to, message.into_bytes());
        }
        for n in 0..self.members.len() {
            if self.members[n].is_some() {
                self.take_outputs(n);
            }
        }
    }

    fn deliver(&mut self, to: Destination, message: Bytes) {
        let now = self.instant();
        let receivers = match to {
            Destination::Cluster => 0..self.members.len(),
            Destination::Inbox(id) => place(id)..(place(id) + 1).min(self.members.len()),
        };
        for n in receivers {
            let Some(member) = self.members[n].as_mut().filter(|member| member.link) else { continue };
            let inbox = to != Destination::Cluster;
            if Glance::at(&message).is_some_and(|glance| glance.control) {
                member.engine.hear(inbox, message.clone(), now);
            }
            let mut incoming = Incoming::new(inbox, message.clone(), now);
            while !incoming.is_done() {
                member.engine.receive(&mut incoming, 8, now);
            }
            (member.messages, member.bytes) = (member.messages + 1, member.bytes + message.len());
        }
        self.sent.push((to, message));
    }

    fn take_outputs(&mut self, n: usize) {
        let now = self.now;
        let member = self.member(n);
        let mut outputs = Default::default();
        member.engine.take_outputs(&mut outputs);
        for output in outputs {
            match output {
                Output::Event(event) => member.events.push((now, event)),
                Output::Ready => member.ready = Some(now),
                Output::Perform { .. } => member.performed += 1,
                _ => {}
            }
        }
    }

    /// Everything that has happened at a node, without the times.
    fn events(&mut self, n: usize) -> Vec<Event> {
        self.take_outputs(n);
        self.member(n).events.iter().map(|(_, event)| event.clone()).collect()
    }

    /// How many frames of a kind were published.
    fn count(&self, kind: Kind) -> usize {
        let frames = self.sent.iter().flat_map(|(_, message)| Frames::new(message.clone()).flatten());
        frames.filter(|frame| frame.head.kind == kind).count()
    }

    fn emit(&mut self, n: usize) {
        let now = self.instant();
        let namespace = Namespace::new("/").expect("valid");
        let target = Target::everyone();
        let operation = Operation::Broadcast { namespace, target, packet: "x".into() };
        self.member(n).engine.send(operation.encode(), Delivery::Numbered, 0, now);
    }
}

/// A control frame in somebody's name.
fn forged<T: Serialize>(kind: Kind, sender: NodeId, counter: u64, body: &T) -> Bytes {
    let content = Content::new(kind, body);
    let head = Head::new(kind, sender, counter);
    Message::of(&head, &content.body, &content.packet)
}
