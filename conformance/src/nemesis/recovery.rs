//! How long it takes until a node that was struck receives again.

use std::collections::{BTreeMap, HashMap};

use super::history::{History, Line, Run};
use super::plan::Fault;

/// A fault as it was done. Times are in microseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Blow {
    pub(crate) fault: Fault,
    /// `None`: all of them.
    pub(crate) node: Option<u32>,
    pub(crate) from: u64,
    /// When it was over; for faults that are over at once the same.
    pub(crate) to: u64,
}

/// One line of the file `strikes`: begin, end, node and fault.
impl std::fmt::Display for Blow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let node = self.node.map_or("-".to_owned(), |node| node.to_string());
        write!(f, "{} {} {node} {}", self.from, self.to, self.fault)
    }
}

/// After so many microseconds without receiving what was sent, a node counts as deaf.
const DEAF: u64 = 5_000_000;

/// How nodes came back from one kind of fault.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Recovery {
    /// How often it was done.
    pub(crate) blows: u64,
    /// The longest time, in microseconds, from its end until a node received what was sent after that.
    pub(crate) slowest: u64,
    /// After how many of them a node received nothing any more.
    pub(crate) never: u64,
}

/// What became of a node after a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Back {
    /// It was struck again before one could see, or nothing was sent any more.
    Unknown,
    /// It received again, after so many microseconds.
    After(u64),
    /// It received nothing any more.
    Never,
}

/// What one run got: when, and when that was sent.
struct Arrivals {
    run: Run,
    /// When it connected, and when it did or got something for the last time.
    lived: (u64, u64),
    arrivals: Vec<(u64, u64)>,
    /// When another node sent something to all for the last time.
    last_sent: u64,
}

/// For each kind of fault how nodes came back; and the longest silence of a node that ran, both in microseconds.
pub(crate) fn recoveries(
    histories: &[History],
    sent: &HashMap<Run, HashMap<u64, u64>>,
    blows: &[Blow],
) -> (BTreeMap<Fault, Recovery>, u64) {
    let all: Vec<_> = histories.iter().filter_map(|history| Arrivals::of(history, sent)).collect();
    let mut found: BTreeMap<Fault, Recovery> = BTreeMap::new();
    for blow in blows {
        let recovery = found.entry(blow.fault).or_default();
        recovery.blows += 1;
        let struck = all.iter().filter(|of| blow.node.is_none_or(|node| node == of.run.node));
        let time = if blow.fault == Fault::NodeKilled {
            // What comes back is the run that follows.
            let next = struck.filter(|of| of.lived.0 >= blow.from).min_by_key(|of| of.lived.0);
            next.map(|of| of.after(blow, blows))
        } else {
            let there = struck.filter(|of| of.lived.0 <= blow.from && blow.to <= of.lived.1);
            there.map(|of| of.after(blow, blows)).max()
        };
        match time {
            Some(Back::After(time)) => recovery.slowest = recovery.slowest.max(time),
            Some(Back::Never) => recovery.never += 1,
            Some(Back::Unknown) | None => {}
        }
    }
    let silence = all.iter().map(|of| of.silence(blows)).max().unwrap_or(0);
    (found, silence)
}

impl Arrivals {
    fn of(history: &History, sent: &HashMap<Run, HashMap<u64, u64>>) -> Option<Self> {
        let mut lived = None;
        let mut arrivals = Vec::new();
        for line in &history.lines {
            match line {
                Line::Ready { at, .. } => lived = Some((*at, *at)),
                Line::Sent { at, .. } => lived = lived.map(|(from, _)| (from, *at)),
                Line::Got { at, from, n } => {
                    lived = lived.map(|(from, _)| (from, *at));
                    arrivals.extend(sent.get(from).and_then(|sent| sent.get(n)).map(|sent| (*at, *sent)));
                }
                _ => {}
            }
        }
        let others = sent.iter().filter(|(run, _)| run.node != history.run.node);
        let last_sent = others.filter_map(|(_, sent)| sent.values().max()).max().copied().unwrap_or(0);
        lived.map(|lived| Self { run: history.run, lived, arrivals, last_sent })
    }

    /// How long after the fault this run received what was sent since.
    fn after(&self, blow: &Blow, blows: &[Blow]) -> Back {
        let Some((got, _)) = self.arrivals.iter().find(|(_, sent)| *sent >= blow.to) else {
            let sent_since = self.last_sent.min(self.lived.1) > blow.to + DEAF;
            return if sent_since { Back::Never } else { Back::Unknown };
        };
        let meanwhile = |other: &&Blow| *other != blow && other.from <= *got && other.to > blow.to;
        let mut others = blows.iter().filter(meanwhile);
        if others.clone().any(|other| other.fault.of_process() && other.node == Some(self.run.node)) {
            return Back::Unknown;
        }
        // While the broker is away, nobody can come back.
        let broker = others.by_ref().filter(|other| other.fault == Fault::BrokerKilled).map(|other| other.to);
        let start = broker.max().unwrap_or(blow.to).max(blow.to);
        Back::After(got.saturating_sub(start))
    }

    /// The longest time without anything, but for those in which the process was stopped.
    fn silence(&self, blows: &[Blow]) -> u64 {
        let paused = |from: u64, to: u64| {
            let own = blows.iter().filter(|blow| blow.fault == Fault::NodePaused && blow.node == Some(self.run.node));
            own.clone().any(|blow| blow.from < to && blow.to > from)
        };
        let pairs = self.arrivals.iter().zip(self.arrivals.iter().skip(1));
        let pairs = pairs.map(|((one, _), (next, _))| (*one, *next)).filter(|(one, next)| !paused(*one, *next));
        // A node that got nothing at the end may be stopped for a part of that time; it is deaf in the rest.
        let last = self.arrivals.last().map_or(self.lived.0, |(got, _)| *got);
        pairs
            .chain([(last, self.last_sent.min(self.lived.1))])
            .map(|(one, next)| next.saturating_sub(one))
            .max()
            .unwrap_or(0)
    }
}
