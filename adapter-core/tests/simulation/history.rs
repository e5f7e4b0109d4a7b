//! What happened in a run, as seen from outside the engines.

use std::fmt;
use std::time::Duration;

use super::network::{Plan, Swallows};
use crate::engine::Gauge;
use crate::model::{Departure, MissingReason, Namespace, Room, SocketId};
use crate::wire::{Answer, Operation};

/// A node by its place in the run.
pub(super) type N = usize;

/// An operation that was called, whoever carries it out.
#[derive(Clone, Debug)]
pub(super) struct Op {
    pub(super) sender: N,
    pub(super) operation: Operation,
    pub(super) sent: Sent,
}

/// How an operation left its node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    /// It concerns this node alone, or was not queued.
    Nowhere,
    /// As the sender's message of this number.
    Numbered(u64),
    Volatile,
}

#[derive(Clone, Debug)]
pub(super) struct Record {
    pub(super) at: Duration,
    pub(super) node: N,
    pub(super) what: What,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum What {
    Started,
    Ready,
    Killed,
    Closing,
    Closed,
    Stalled(Duration),
    /// The same, and its clock stands still.
    Suspended(Duration),
    LinkDown(Duration),
    /// The link swallows what is sent, and nobody says so.
    HalfOpen(Swallows),
    /// For so long, this node does not hear some others, or is not heard by them.
    Split(Duration),
    /// Until then, at the latest, what is sent to this node is late.
    Congested(Duration),
    /// A publish of this node has an unknown outcome.
    Unsure,
    Degraded,
    Recovered,
    /// The engine wants a new link.
    Reset,
    Connected {
        socket: SocketId,
        namespace: Namespace,
        rooms: Vec<Room>,
    },
    /// The application called; `live` is whom the node knew.
    Called {
        op: usize,
        live: Vec<N>,
    },
    Asked {
        op: usize,
        request: u64,
        asked: Vec<N>,
        deadline: Duration,
    },
    Forgot {
        request: u64,
    },
    Carried {
        op: usize,
        intact: bool,
    },
    /// What this node answered to an operation.
    Replied {
        op: usize,
        answer: Answer,
    },
    Delivered {
        op: usize,
        socket: SocketId,
    },
    /// A socket of this node answered a broadcast.
    Acked {
        op: usize,
        socket: SocketId,
    },
    Answered {
        request: u64,
        from: N,
        answer: Answer,
    },
    Missed {
        request: u64,
        from: N,
        why: MissingReason,
    },
    Ended {
        request: u64,
        missing: Vec<(N, MissingReason)>,
    },
    Up(N),
    Down(N, Departure),
    Gap {
        of: N,
        inbox: bool,
        count: Option<u64>,
    },
    /// The broker has failed with it so often, by chance, that the node has given up a message of its own.
    Refused,
    /// A message did not arrive at this node.
    Lost,
    /// This node has sent a message again.
    Resent,
    /// A message larger than the link takes.
    Oversize(usize),
    /// At the end of the run.
    Final {
        live: Vec<N>,
        gauge: Gauge,
    },
}

#[derive(Clone, Debug)]
pub(super) struct History {
    pub(super) seed: u64,
    pub(super) plan: Plan,
    pub(super) nodes: usize,
    pub(super) ops: Vec<Op>,
    pub(super) records: Vec<Record>,
}

impl History {
    pub(super) fn of(&self, node: N) -> impl Iterator<Item = &Record> {
        self.records.iter().filter(move |record| record.node == node)
    }

    pub(super) fn of_others(&self, node: N) -> impl Iterator<Item = &Record> {
        self.records.iter().filter(move |record| record.node != node)
    }

    /// Whether an operation has something to do with a node.
    pub(super) fn concerns(&self, op: usize, node: N) -> bool {
        let target = self.ops[op].operation.target();
        target.is_none_or(|target| target.concerns(super::node::id(self.seed, node)))
    }

    pub(super) fn lives(&self) -> Vec<Life> {
        (0..self.nodes).map(|node| Life::new(self, node)).collect()
    }
}

impl fmt::Display for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {:#x}: {:?}", self.seed, self.plan)?;
        for (at, op) in self.ops.iter().enumerate() {
            let Op { sender, operation, sent } = op;
            writeln!(f, "op {at} of {sender}: {sent:?} {:.200}", format!("{operation:?}"))?;
        }
        for Record { at, node, what } in &self.records {
            writeln!(f, "{:>9.3} ms  {node}  {what:?}", at.as_secs_f64() * 1000.0)?;
        }
        Ok(())
    }
}

/// When a node was there, and when it was out of reach.
#[derive(Clone, Debug)]
pub(super) struct Life {
    pub(super) started: Option<Duration>,
    pub(super) ready: Option<Duration>,
    pub(super) killed: Option<Duration>,
    pub(super) closing: Option<Duration>,
    pub(super) closed: Option<Duration>,
    /// It has given up a message of its own.
    pub(super) refused: bool,
    /// Stalls, outages and congestion, from and to.
    pub(super) away: Vec<(Duration, Duration)>,
    /// When its clock stood still.
    pub(super) suspended: Vec<(Duration, Duration)>,
    /// When a publish had an unknown outcome.
    pub(super) unsure: Vec<Duration>,
    /// Outages that the backend reports.
    pub(super) cut_off: Vec<(Duration, Duration)>,
    /// Outages of which nobody says anything, until the link is back.
    pub(super) half_open: Vec<(Duration, Duration, Swallows)>,
}

impl Life {
    fn new(history: &History, node: N) -> Self {
        let first = |what: What| history.of(node).find(|record| record.what == what).map(|record| record.at);
        let cut_off = history.of(node).filter_map(|record| match record.what {
            What::LinkDown(time) => Some((record.at, record.at + time)),
            _ => None,
        });
        let cut_off: Vec<_> = cut_off.collect();
        let back = |from: Duration| cut_off.iter().find(|(at, _)| *at >= from).map_or(history.plan.end, |(_, to)| *to);
        let half_open = history.of(node).filter_map(|record| match record.what {
            What::HalfOpen(swallows) => Some((record.at, back(record.at), swallows)),
            _ => None,
        });
        let away = history.of(node).filter_map(|record| match record.what {
            What::Stalled(time)
            | What::Suspended(time)
            | What::LinkDown(time)
            | What::Congested(time)
            | What::Split(time) => Some((record.at, record.at + time)),
            What::HalfOpen(_) => Some((record.at, back(record.at))),
            _ => None,
        });
        let suspended = history.of(node).filter_map(|record| match record.what {
            What::Suspended(time) => Some((record.at, record.at + time)),
            _ => None,
        });
        Self {
            started: first(What::Started),
            ready: first(What::Ready),
            killed: first(What::Killed),
            closing: first(What::Closing),
            closed: first(What::Closed),
            refused: first(What::Refused).is_some(),
            away: away.collect(),
            suspended: suspended.collect(),
            unsure: history.of(node).filter(|record| record.what == What::Unsure).map(|record| record.at).collect(),
            half_open: half_open.collect(),
            cut_off,
        }
    }

    /// It was there at the end.
    pub(super) fn stays(&self) -> bool {
        self.started.is_some() && self.killed.is_none() && self.closing.is_none()
    }

    /// It is over by then.
    pub(super) fn is_gone(&self, at: Duration) -> bool {
        [self.killed, self.closing].into_iter().flatten().any(|gone| gone <= at)
    }

    /// When its link was of no use, reported or not.
    pub(super) fn outages(&self) -> impl Iterator<Item = (Duration, Duration)> {
        let half_open = self.half_open.iter().map(|(from, to, _)| (*from, *to));
        self.cut_off.iter().copied().chain(half_open)
    }

    /// A time by its own clock: so much later if the clock has stood still since then.
    pub(super) fn by_its_clock(&self, from: Duration, to: Duration) -> Duration {
        let mut to = to;
        for (begin, end) in self.suspended.iter().filter(|(begin, _)| *begin >= from) {
            to += if *begin <= to { *end - *begin } else { Duration::ZERO };
        }
        to
    }

    /// From when on nothing hinders a node that was hindered then, for so long.
    pub(super) fn works_again(&self, at: Duration, long: Duration) -> Duration {
        let unsure = self.unsure.iter().map(|at| (*at, *at));
        let mut hindered: Vec<_> = self.away.iter().copied().chain(unsure).collect();
        hindered.sort_unstable();
        hindered.into_iter().fold(at, |works, (from, to)| if from <= works + long { to.max(works) } else { works })
    }

    /// There, and within reach, all this time.
    pub(super) fn is_well(&self, from: Duration, to: Duration) -> bool {
        let gone = [self.killed, self.closing].into_iter().flatten().min();
        self.started.is_some_and(|started| started <= from)
            && gone.is_none_or(|gone| gone > to)
            && self.away.iter().all(|(begin, end)| *end < from || *begin > to)
    }
}
