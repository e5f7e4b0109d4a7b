//! Virtual time: what happens next, and to whom.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::broken::Bug;
use super::history::{History, N, Op, Record, What};
use super::network::{Links, Plan, Split, Swallows};
use super::node::{self, Arrival, Closing, SimNode, Writer};
use super::random::Random;
use super::shrink::Cut;
use crate::engine::{Engine, Gauge, Keep, Outcome, Output, ReplyTo, Settings};
use crate::model::{Limits, Node, SocketId};
use crate::wire::Answer;

/// What is going to happen.
#[derive(Debug)]
pub(super) enum Event {
    Start(N),
    Kill(N),
    Close(N),
    Stall(N, Duration),
    Suspend(N, Duration),
    LinkDown(N, Duration),
    LinkUp(N),
    HalfOpen(N, Swallows),
    Congest(N, Duration),
    /// These splits begin, and end after this time.
    Split(Vec<Split>, Duration),
    Call(N),
    CallOnce(N),
    Connect(N),
    Read(N),
    Timer(N),
    Write(N),
    /// The broker takes what the node publishes: so many messages of the batch, or all.
    Taken(N, Option<usize>),
    Outcome(N, Duration, Outcome),
    Arrive(N, Arrival),
    Forget(N, u64),
    Ack(N, ReplyTo, usize, SocketId),
    EndAcks(N, ReplyTo),
    Reply(N, ReplyTo, usize, Answer),
}

/// One run.
#[derive(Debug)]
pub(super) struct World {
    pub(super) seed: u64,
    pub(super) plan: Plan,
    pub(super) random: Random,
    pub(super) now: Duration,
    pub(super) base: Instant,
    queue: BTreeMap<(Duration, u64), Event>,
    queued: u64,
    pub(super) nodes: Vec<SimNode>,
    pub(super) links: Links,
    pub(super) ops: Vec<Op>,
    records: Vec<Record>,
    /// What is wrong with all nodes.
    pub(super) bug: Option<Bug>,
}

/// A run has some ten thousand events.
const ENDLESS: u64 = 1_000_000;

/// Runs a seed to its end.
pub(super) fn run(seed: u64) -> History {
    run_with(seed, &Cut::default(), None)
}

/// What a seed draws up: the place of each event, when it happens, and what it is.
pub(super) fn schedule(seed: u64) -> Vec<(u64, Duration, String)> {
    let queue = World::new(seed, None).queue;
    queue.into_iter().map(|((at, place), event)| (place, at, format!("{event:?}"))).collect()
}

/// Runs what is left of a seed, with a bug or without.
pub(super) fn run_with(seed: u64, cut: &Cut, bug: Option<Bug>) -> History {
    let mut world = World::new(seed, bug);
    world.queue.retain(|(_, place), _| !cut.without.contains(place));
    if let Some(busy) = cut.busy.filter(|busy| *busy < world.plan.busy) {
        world.plan.end -= world.plan.busy - busy;
        world.plan.busy = busy;
    }
    while let Some(((at, _), event)) = world.queue.pop_first().filter(|((at, _), _)| *at <= world.plan.end) {
        world.now = at;
        world.step(event);
        assert!(world.queued < ENDLESS, "seed {seed:#x}: an engine wants to be woken without end, at {at:?}");
    }
    world.finish()
}

impl World {
    /// Before anything has happened.
    fn new(seed: u64, bug: Option<Bug>) -> Self {
        let mut random = Random::new(seed);
        let plan = Plan::new(seed, &mut random);
        let mut world = Self {
            seed,
            plan,
            random,
            now: Duration::ZERO,
            base: Instant::now(),
            queue: BTreeMap::new(),
            queued: 0,
            nodes: Vec::new(),
            links: Links::default(),
            ops: Vec::new(),
            records: Vec::new(),
            bug,
        };
        world.prepare();
        world
    }

    fn split(&mut self, splits: Vec<Split>, time: Duration) {
        let concerned = splits.iter().flat_map(|split| split.from.iter().chain(&split.to)).copied();
        let concerned: BTreeSet<_> = concerned.collect();
        concerned.into_iter().for_each(|node| self.record(node, What::Split(time)));
        splits.into_iter().for_each(|split| self.links.split(split, self.now + time));
    }

    pub(super) fn push(&mut self, at: Duration, event: Event) {
        self.queued += 1;
        self.queue.insert((at.max(self.now), self.queued), event);
    }

    pub(super) fn after(&mut self, from: u64, to: u64, event: Event) {
        let at = self.now + self.random.between(from, to);
        self.push(at, event);
    }

    pub(super) fn record(&mut self, node: N, what: What) {
        self.records.push(Record { at: self.now, node, what });
    }

    /// What the clock of a node shows.
    pub(super) fn instant(&self, node: N) -> Instant {
        self.base + self.now.saturating_sub(self.nodes[node].lag)
    }

    pub(super) fn engine(&mut self, node: N) -> Option<&mut Engine> {
        self.nodes[node].engine.as_mut()
    }

    fn step(&mut self, event: Event) {
        match event {
            Event::Start(node) => return self.start(node),
            // What happens to a node from outside, or on the broker, happens whether it is awake or not.
            Event::Kill(node) => return self.kill(node),
            Event::Stall(node, time) if self.nodes[node].engine.is_some() => {
                self.nodes[node].stalled_until = self.now + time;
                return self.record(node, What::Stalled(time));
            }
            Event::Suspend(node, _) if self.nodes[node].stalled_until > self.now => return, // it is already
            Event::Suspend(node, time) if self.nodes[node].engine.is_some() => {
                self.nodes[node].stalled_until = self.now + time;
                self.nodes[node].lag += time;
                return self.record(node, What::Suspended(time));
            }
            Event::Taken(node, prefix) => return self.taken(node, prefix),
            Event::Split(splits, time) => return self.split(splits, time),
            _ => {}
        }
        let node = event.node();
        if self.nodes[node].engine.is_none() {
            return;
        }
        let wakes = self.nodes[node].stalled_until;
        if wakes > self.now {
            return self.push(wakes, event);
        }
        self.happen(node, event);
        self.after_turn(node);
    }

    fn happen(&mut self, node: N, event: Event) {
        match event {
            Event::Start(_)
            | Event::Kill(_)
            | Event::Stall(..)
            | Event::Suspend(..)
            | Event::Taken(..)
            | Event::Split(..) => {}
            Event::Close(_) => self.close(node),
            Event::LinkDown(_, time) => self.link_down(node, time),
            Event::LinkUp(_) => self.link_up(node),
            Event::HalfOpen(_, swallows) => self.half_open(node, swallows),
            Event::Congest(_, time) => self.congest(node, time),
            Event::Call(_) => self.call(node),
            Event::CallOnce(_) => self.call_once(node),
            Event::Connect(_) => self.connect(node),
            Event::Read(_) => self.read(node),
            Event::Timer(_) => self.timer(node),
            Event::Write(_) => self.write(node),
            Event::Outcome(_, began, outcome) => self.outcome(node, began, outcome),
            Event::Arrive(_, arrival) => self.arrive(node, arrival),
            Event::Forget(_, request) => {
                if self.nodes[node].questions.remove(&request).is_some() {
                    self.record(node, What::Forgot { request });
                    self.engine(node).into_iter().for_each(|engine| engine.forget(request));
                }
            }
            Event::Ack(_, to, op, socket) => {
                self.record(node, What::Acked { op, socket: socket.clone() });
                let answer = Ok(Bytes::from(op.to_string()));
                self.engine(node).into_iter().for_each(|engine| engine.ack(to, socket.clone(), answer.clone()));
            }
            Event::EndAcks(_, to) => self.engine(node).into_iter().for_each(|engine| engine.end_acks(to)),
            Event::Reply(_, to, op, answer) => self.reply(node, to, op, answer),
        }
    }

    /// What the driver does after every turn: looks what is to be done, and asks for the next.
    fn after_turn(&mut self, node: N) {
        self.drain(node);
        self.wake_writer(node);
        let (base, lag) = (self.base, self.nodes[node].lag);
        let Some(engine) = self.nodes[node].engine.as_ref() else { return };
        let next = (engine.next_timeout().saturating_duration_since(base) + lag).max(self.now);
        if self.nodes[node].timer.is_none_or(|timer| timer > next) {
            self.nodes[node].timer = Some(next);
            self.push(next, Event::Timer(node));
        }
    }

    fn start(&mut self, node: N) {
        let id = node::id(self.seed, node);
        let defaults = Settings::new(Node { id, name: format!("n{node}") });
        let settings = Settings {
            // In a ring a node is heard by all every three to seven seconds.
            ring: self.plan.watchers.map_or(defaults.ring, |_| 2),
            watchers: self.plan.watchers.unwrap_or(defaults.watchers),
            beats: self.plan.watchers.map_or(defaults.beats, |_| 1),
            max_message: self.plan.max_message,
            ordered: self.plan.ordered,
            absence: self.plan.absence,
            keep: self.bug.map_or(self.plan.keep, |bug| bug.keep(self.plan.keep)),
            repair: self.bug.map_or(defaults.repair, |bug| bug.repair(defaults.repair)),
            max_batch: 4096,
            keep_sent: Keep { bytes: self.plan.history, ..defaults.keep_sent },
            ..defaults
        };
        let limits = Limits::max_frame(self.plan.max_frame);
        self.nodes[node].engine = Some(Engine::new(settings, limits, self.instant(node)));
        self.record(node, What::Started);
        if self.bug == Some(Bug::ReadyTooSoon) {
            self.carry_out(node, Output::Ready);
        }
        for _ in 0..3 {
            self.connect(node);
        }
        self.after_turn(node);
    }

    fn kill(&mut self, node: N) {
        if self.nodes[node].engine.is_none() {
            return;
        }
        // In the middle of a batch: the broker has a part of it.
        if let Writer::Publishing(Some(batch)) = &self.nodes[node].writer {
            let some = batch.len() + 1;
            let prefix = self.random.below(some);
            self.taken(node, Some(prefix));
        }
        self.nodes[node].engine = None;
        self.record(node, What::Killed);
    }

    fn close(&mut self, node: N) {
        self.record(node, What::Closing);
        let (all, _) = self.engine(node).map(|engine| engine.progress()).unwrap_or_default();
        self.nodes[node].closing = Closing::Flushing(all);
        self.go_on_closing(node);
    }

    fn finish(mut self) -> History {
        for node in 0..self.nodes.len() {
            let Some(engine) = self.nodes[node].engine.as_ref() else { continue };
            let live = engine.peers().into_iter().map(|peer| node::place(peer.id)).collect();
            let gauge: Gauge = engine.gauge();
            self.record(node, What::Final { live, gauge });
        }
        let Self { seed, plan, nodes, ops, records, .. } = self;
        History { seed, plan, nodes: nodes.len(), ops, records }
    }
}

impl Event {
    fn node(&self) -> N {
        match self {
            Self::Start(node)
            | Self::Kill(node)
            | Self::Close(node)
            | Self::Stall(node, _)
            | Self::Suspend(node, _)
            | Self::LinkDown(node, _)
            | Self::LinkUp(node)
            | Self::HalfOpen(node, _)
            | Self::Congest(node, _)
            | Self::Call(node)
            | Self::CallOnce(node)
            | Self::Connect(node)
            | Self::Read(node)
            | Self::Timer(node)
            | Self::Write(node)
            | Self::Taken(node, _)
            | Self::Outcome(node, ..)
            | Self::Arrive(node, _)
            | Self::Forget(node, _)
            | Self::Ack(node, ..)
            | Self::EndAcks(node, _)
            | Self::Reply(node, ..) => *node,
            Self::Split(splits, _) => splits.iter().find_map(|split| split.from.first()).copied().unwrap_or(0),
        }
    }
}
