//! The table that a run prints, and what in it is over a limit.

use std::fmt::Display;
use std::time::Duration;

use super::limits::Limits;
use super::traffic::Traffic;

/// One line: everything in it comes from the seed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) what: &'static str,
    /// Over so much virtual time.
    pub(crate) window: Duration,
    /// What the case waited for took so long; None if it did not come.
    pub(crate) took: Option<Duration>,
    pub(crate) traffic: Traffic,
}

/// A run of one size.
pub(crate) struct Report {
    pub(crate) nodes: usize,
    pub(crate) limits: Limits,
    pub(crate) rows: Vec<Row>,
    pub(crate) wrong: Vec<String>,
    real: std::time::Instant,
}

impl Report {
    pub(crate) fn of(nodes: usize) -> Self {
        println!(
            "{:>5} {:<22} {:>9} {:>9} {:>9} {:>9} {:>9} {:>8} {:>8}",
            "nodes", "what", "ctl/n/s", "oth/n/s", "msg", "MB", "MB+ovh", "took ms", "real ms"
        );
        Self { nodes, limits: Limits::of(nodes), rows: Vec::new(), wrong: Vec::new(), real: std::time::Instant::now() }
    }

    pub(crate) fn row(&mut self, row: Row) {
        let seconds = row.window.as_secs_f64();
        let received = row.traffic.delivered;
        let rate = |messages: u64| messages as f64 / self.nodes as f64 / seconds;
        let all = received.all();
        let took = row.took.map_or("never".to_owned(), |took| took.as_millis().to_string());
        let real = std::mem::replace(&mut self.real, std::time::Instant::now()).elapsed();
        println!(
            "{:>5} {:<22} {:>9.1} {:>9.1} {:>9} {:>9.3} {:>9.3} {:>8} {:>8}",
            self.nodes,
            row.what,
            rate(received.control.messages),
            rate(received.other.messages),
            all.messages,
            all.bytes as f64 / 1e6,
            all.bytes_with(self.limits.overhead) as f64 / 1e6,
            took,
            real.as_millis(),
        );
        self.rows.push(row);
    }

    /// Notes what is over its limit.
    pub(crate) fn at_most<T: PartialOrd + Display>(&mut self, what: &str, is: T, limit: T) {
        if is > limit {
            self.wrong.push(format!("{what}: {is}, at most {limit}"));
        }
    }

    pub(crate) fn within(&mut self, what: &str, took: Option<Duration>, limit: Duration) {
        if took.is_none_or(|took| took > limit) {
            self.wrong.push(format!("{what}: {took:?}, at most {limit:?}"));
        }
    }

    pub(crate) fn assert(&self) {
        assert!(self.wrong.is_empty(), "{} nodes:\n{}", self.nodes, self.wrong.join("\n"));
    }
}
