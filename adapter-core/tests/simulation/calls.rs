//! What the applications do, and how a node carries it out.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;

use super::broken::Bug;
use super::history::{N, Op, Sent, What};
use super::node::{self, Closing};
use super::world::{Event, World};
use crate::engine::{Delivery, Output, ReplyTo};
use crate::model::{Namespace, Packet, Projection, Room, SocketChange, SocketId, Target, TargetFlags, TraceContext};
use crate::wire::{Answer, Content, Operation};

const ROOMS: [&str; 4] = ["a", "b", "c", "d"];

fn room(name: &str) -> Room {
    Room::new(name).expect("short and not empty")
}

/// The bytes of a packet: they tell which one it is, all along.
fn fill(op: usize, len: usize) -> Bytes {
    (0..len).map(|at| (at ^ op) as u8).collect()
}

/// The span that sends an operation: every fourth is sent by none.
fn trace_of(op: usize) -> Option<TraceContext> {
    (!op.is_multiple_of(4)).then(|| TraceContext::new([1; 16], (op as u64).to_be_bytes(), 1))?
}

impl World {
    fn namespace(&mut self) -> Namespace {
        let name = if self.random.chance(75) { "/" } else { "/chat" };
        Namespace::new(name).expect("short and not empty")
    }

    fn some_rooms(&mut self) -> Vec<Room> {
        let count = 1 + self.random.below(2);
        (0..count).map(|_| room(self.random.pick(&ROOMS).unwrap_or(&"a"))).collect()
    }

    pub(super) fn connect(&mut self, node: N) {
        let (namespace, rooms) = (self.namespace(), self.some_rooms());
        let place = self.nodes[node].connected;
        self.nodes[node].connected += 1;
        let socket = SocketId::new(format!("s{node}-{place}")).expect("short and not empty");
        self.nodes[node].sockets.connect(socket.clone(), namespace.clone(), &rooms);
        self.record(node, What::Connected { socket, namespace, rooms });
    }

    /// Who is meant. The last room of `except` names the operation; nobody is in it.
    fn target(&mut self, op: usize) -> Target {
        let node = self.random.below(self.nodes.len());
        let mut target = match self.random.below(20) {
            0..4 => Target::everyone(),
            4 => Target::rooms([]),
            5..8 => {
                let place = self.random.below(self.nodes[node].connected.max(1));
                Target::rooms([room(&format!("s{node}-{place}"))])
            }
            _ => Target::rooms(self.some_rooms()),
        };
        if self.random.chance(20) {
            target = target.except(self.some_rooms());
        }
        if !self.plan.lossy && self.random.chance(10) {
            target.node = Some(node::id(self.seed, node));
        }
        target.except([room(&format!("#{op}"))])
    }

    fn packet(&mut self, op: usize) -> Packet {
        let most = self.plan.max_message;
        let len = match self.random.below(20) {
            0 => most,
            1..3 => self.random.below(most),
            3 => 0,
            _ => self.random.below(80),
        };
        Packet::opaque(fill(op, len))
    }

    fn operation(&mut self, op: usize) -> (Operation, bool) {
        let (namespace, mut target) = (self.namespace(), self.target(op));
        let asks = self.random.chance(50);
        let operation = match self.random.below(20) {
            0..9 => {
                if self.random.chance(15) {
                    target.flags = TargetFlags::default().volatile();
                }
                return (Operation::Broadcast { namespace, target, packet: self.packet(op) }, false);
            }
            9..12 => Operation::Change { namespace, target, change: SocketChange::Join(self.some_rooms()) },
            12..14 => Operation::Change { namespace, target, change: SocketChange::Leave(self.some_rooms()) },
            14 if self.random.chance(50) => Operation::Change { namespace, target, change: SocketChange::Disconnect },
            14 => return (Operation::ListRooms { namespace, target }, true),
            15 => {
                let projection = if self.random.chance(50) { Projection::Ids } else { Projection::Rooms };
                return (Operation::FetchSockets { namespace, target, projection }, true);
            }
            16 => return (Operation::CountSockets { namespace, target }, true),
            17 => Operation::ServerEvent { namespace, event: format!("#{op}"), data: self.packet(op).data },
            _ => {
                let timeout = self.random.between(50, 2000);
                let timeout = Duration::from_millis(timeout.as_millis() as u64);
                return (Operation::BroadcastWithAck { namespace, target, packet: self.packet(op), timeout }, true);
            }
        };
        (operation, asks)
    }

    /// An application calls; the next call is a little later.
    pub(super) fn call(&mut self, node: N) {
        if self.now >= self.plan.busy || self.nodes[node].closing != Closing::No {
            return;
        }
        self.after(5, 250, Event::Call(node));
        if self.random.chance(5) {
            self.push(self.now, Event::Connect(node));
        }
        self.call_once(node);
    }

    pub(super) fn call_once(&mut self, node: N) {
        if self.nodes[node].closing != Closing::No {
            return;
        }
        let op = self.ops.len();
        let (operation, asks) = self.operation(op);
        let (me, now) = (node::id(self.seed, node), self.instant(node));
        let content = Content { trace: trace_of(op), ..operation.encode() };
        let target = operation.target();
        let leaves = target.is_none_or(|target| target.node != Some(me) && !target.is_nobody());
        let only = target.and_then(|target| target.node);
        let volatile = operation.is_volatile();
        let numbers = self.ops.iter().filter(|op| op.sender == node && matches!(op.sent, Sent::Numbered(_))).count();
        let numbered = Sent::Numbered(numbers as u64 + 1);
        let mut question = None;
        let Some(engine) = self.nodes[node].engine.as_mut() else { return };
        let live = engine.peers().into_iter().map(|peer| node::place(peer.id)).collect();
        let sent = if !leaves {
            Sent::Nowhere
        } else if asks {
            let timeout = self.random.pick(&[50, 300, 1000, 4000]).copied().unwrap_or(50);
            let deadline = self.now + Duration::from_millis(timeout);
            let crate::engine::Asked { request, nodes: asked, .. } =
                engine.ask(content, only, 0, now + Duration::from_millis(timeout), now);
            question = Some((request, asked, deadline));
            numbered
        } else {
            let delivery = if volatile { Delivery::Volatile } else { Delivery::Numbered };
            match engine.send(content, delivery, 0, now) {
                true if volatile => Sent::Volatile,
                true => numbered,
                false => Sent::Nowhere,
            }
        };
        self.ops.push(Op { sender: node, operation: operation.clone(), sent });
        self.record(node, What::Called { op, live });
        if let Some((request, asked, deadline)) = question {
            let asked: Vec<_> = asked.into_iter().map(node::place).collect();
            if !asked.is_empty() {
                self.nodes[node].questions.insert(request, op);
                if self.random.chance(5) {
                    self.after(0, 500, Event::Forget(node, request));
                }
            }
            self.record(node, What::Asked { op, request, asked, deadline });
        }
        if operation.target().is_some_and(|target| target.concerns(me)) {
            self.serve(node, op, &operation);
        }
    }

    /// Sends the newest operation of a node once more: what a bug does.
    pub(super) fn send_again(&mut self, node: N) {
        let newest = self.ops.iter().rposition(|op| op.sender == node && matches!(op.sent, Sent::Numbered(_)));
        let Some((op, now)) = newest.map(|op| (op, self.instant(node))) else { return };
        let content = Content { trace: trace_of(op), ..self.ops[op].operation.encode() };
        self.engine(node).into_iter().for_each(|engine| {
            engine.send(content.clone(), Delivery::Numbered, 0, now);
        });
    }

    /// Gives an operation to the node's own sockets; returns whom it meant.
    fn serve(&mut self, node: N, op: usize, operation: &Operation) -> Vec<SocketId> {
        let Some(target) = operation.target() else { return Vec::new() };
        let meant = self.nodes[node].sockets.meant(operation.namespace(), target);
        match operation {
            Operation::Broadcast { .. } | Operation::BroadcastWithAck { .. } => {
                for socket in meant.iter().cloned() {
                    self.record(node, What::Delivered { op, socket });
                }
            }
            Operation::Change { namespace, change, .. } => {
                let bug = self.bug;
                self.nodes[node].sockets.change(namespace, target, change, bug);
            }
            _ => {}
        }
        meant
    }

    /// What the engine has found to be done, in order.
    pub(super) fn drain(&mut self, node: N) {
        let mut outputs = VecDeque::new();
        loop {
            let Some(engine) = self.engine(node) else { return };
            engine.take_outputs(&mut outputs);
            if outputs.is_empty() {
                return;
            }
            if self.bug == Some(Bug::TaskForEachMessage) {
                let len = outputs.len();
                (0..len).for_each(|at| outputs.swap(at, at + self.random.below(len - at)));
            }
            outputs.drain(..).for_each(|output| self.carry_out(node, output));
        }
    }

    pub(super) fn carry_out(&mut self, node: N, output: Output) {
        match output {
            Output::Perform { reply, whole } => {
                let me = node::id(self.seed, node);
                let frame = whole.into_frame();
                let trace = frame.head.trace;
                let operation = Operation::decode(frame).expect("nodes of this build understand each other");
                if operation.target().is_none_or(|target| target.concerns(me)) {
                    self.perform(node, reply, &operation, trace);
                }
            }
            Output::Answer { request, node: from, whole } => {
                let answer = Answer::decode(&whole.into_frame()).expect("nodes of this build understand each other");
                self.record(node, What::Answered { request, from: node::place(from), answer });
            }
            Output::Missing { request, missing } => {
                self.record(node, What::Missed { request, from: node::place(missing.node), why: missing.reason });
            }
            Output::Ended { request, missing } => {
                self.nodes[node].questions.remove(&request);
                let missing = missing.into_iter().map(|missing| (node::place(missing.node), missing.reason)).collect();
                self.record(node, What::Ended { request, missing });
            }
            Output::Event(event) => self.tell(node, event),
            Output::Link(_) => {}
            Output::Reset(_) => self.reset(node),
            Output::Ready if self.nodes[node].ready => {} // as a bug had it, too soon
            Output::Ready => {
                self.nodes[node].ready = true;
                self.record(node, What::Ready);
                self.push(self.now, Event::Call(node));
            }
        }
    }

    fn tell(&mut self, node: N, event: crate::model::Event) {
        let what = match event {
            crate::model::Event::NodeUp(peer) => What::Up(node::place(peer.id)),
            crate::model::Event::NodeDown(peer, how) => What::Down(node::place(peer.id), how),
            crate::model::Event::Gap { node: of, channel, count } => {
                What::Gap { of: node::place(of), inbox: channel == crate::model::GapChannel::Inbox, count }
            }
            crate::model::Event::Degraded(_) => What::Degraded,
            crate::model::Event::Recovered => What::Recovered,
            _ => return,
        };
        self.record(node, what);
    }

    fn perform(&mut self, node: N, reply: Option<ReplyTo>, operation: &Operation, trace: Option<TraceContext>) {
        let name = match operation {
            Operation::ServerEvent { event, .. } => Some(event.as_str()),
            _ => operation.target().and_then(|target| target.except.last()).map(Room::as_str),
        };
        let op: usize = name.and_then(|name| name.strip_prefix('#')?.parse().ok()).expect("every operation is named");
        let intact = self.ops.get(op).is_some_and(|known| known.operation == *operation) && trace == trace_of(op);
        self.record(node, What::Carried { op, intact });
        let meant = self.serve(node, op, operation);
        let Some(to) = reply else { return };
        let sockets = &self.nodes[node].sockets;
        let answer = match operation {
            Operation::Broadcast { .. } | Operation::Change { .. } => Answer::Applied,
            Operation::FetchSockets { namespace, target, projection } => {
                Answer::Sockets(sockets.describe(namespace, target, *projection), true)
            }
            Operation::CountSockets { .. } => Answer::Count(meant.len() as u64),
            Operation::ListRooms { namespace, target } => Answer::Rooms(sockets.rooms(namespace, target), true),
            Operation::ServerEvent { .. } => return self.handle_event(node, to, op),
            Operation::BroadcastWithAck { timeout, .. } => return self.ask_sockets(node, to, op, meant, *timeout),
        };
        self.reply(node, to, op, answer);
    }

    pub(super) fn reply(&mut self, node: N, to: ReplyTo, op: usize, answer: Answer) {
        let now = self.instant(node);
        self.record(node, What::Replied { op, answer: answer.clone() });
        self.engine(node).into_iter().for_each(|engine| engine.answer(to, answer.clone().encode_in_parts(), now));
    }

    /// The handler answers at once, later, much too late, not at all, or there is none.
    fn handle_event(&mut self, node: N, to: ReplyTo, op: usize) {
        let answer = Answer::Server(Bytes::from(format!("{op} of {node}")));
        match self.random.below(10) {
            0 => self.reply(node, to, op, Answer::NoHandler),
            1 => {}
            2 => self.after(4000, 8000, Event::Reply(node, to, op, answer)),
            _ => self.after(0, 200, Event::Reply(node, to, op, answer)),
        }
    }

    fn ask_sockets(&mut self, node: N, to: ReplyTo, op: usize, asked: Vec<SocketId>, timeout: Duration) {
        self.engine(node).into_iter().for_each(|engine| engine.expect_acks(to, asked.clone()));
        let mut last = Duration::ZERO;
        for socket in asked {
            let takes = self.random.between(0, 300);
            if takes >= timeout || self.random.chance(15) {
                // It stays silent, and the server says so when the time is up.
                last = timeout;
                continue;
            }
            last = last.max(takes);
            self.push(self.now + takes, Event::Ack(node, to, op, socket));
        }
        self.push(self.now + last, Event::EndAcks(node, to));
    }
}
