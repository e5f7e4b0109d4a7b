//! The one screen that says what came of a run.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::check::Findings;
use super::plan::Fault;

/// What came of a run.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Report {
    /// The backend, with its variant.
    pub subject: String,
    /// The broker and its version.
    pub broker: String,
    /// From which the plan follows.
    pub seed: u64,
    /// For how long there was load.
    pub length: Duration,
    /// How many nodes there were at a time.
    pub nodes: u32,
    /// As in [`Options`](super::Options): with less than the default, what is lost may be reported instead of repaired.
    pub history_bytes: Option<usize>,
    /// Where the histories are, if they were to be kept, or something is wrong with them.
    pub histories: Option<PathBuf>,
    pub(crate) found: Findings,
}

impl Report {
    /// Whether every promise held: nothing came twice, out of order, from nowhere or to the wrong socket, every node came to
    /// its end, and nothing was lost; what is reported as lost counts as lost if nodes keep as much as they do by default.
    pub fn is_clean(&self) -> bool {
        self.found.is_clean() && (self.found.reported == 0 || self.history_bytes.is_some())
    }

    /// How often nothing was as promised, for a sentence: `lost 3, doubled 1`. Empty for a clean run.
    pub fn complaints(&self) -> String {
        let Findings { lost, reported, doubled, disordered, strays, invented, unfinished, .. } = &self.found;
        let reported = if self.history_bytes.is_none() { *reported } else { 0 };
        let unfinished_count = unfinished.len() as u64;
        let all = [
            ("lost without a report", *lost),
            ("lost and reported", reported),
            ("doubled", *doubled),
            ("out of order", *disordered),
            ("delivered to the wrong socket", *strays),
            ("delivered, and never sent", *invented),
            ("nodes that did not come to the end", unfinished_count),
        ];
        let wrong = all.iter().filter(|(_, count)| *count > 0).map(|(what, count)| format!("{what}: {count}"));
        wrong.collect::<Vec<_>>().join(", ")
    }

    /// What is worth a place in the suite's report.
    pub(crate) fn measures(&self) -> [(&'static str, u64); 5] {
        let kills = self.found.recoveries.get(&Fault::BrokerKilled).map_or(0, |of| of.blows);
        let slowest = self.found.recoveries.values().map(|of| of.slowest).max().unwrap_or(0);
        let Findings { sent, repaired, .. } = self.found;
        let back = ("slowest_recovery_ms", slowest / 1_000);
        [("sent", sent), ("delivered", self.found.delivered), ("repaired", repaired), ("kills", kills), back]
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { subject, broker, seed, length, nodes, found, .. } = self;
        let row = |f: &mut fmt::Formatter<'_>, what: &str, count: u64| writeln!(f, "  {what:<44}{count:>12}");
        writeln!(f, "{subject} over {broker}: {nodes} nodes, {} s, seed {seed}\n", length.as_secs())?;
        row(f, "messages sent", found.sent)?;
        if found.refused > 0 {
            row(f, "refused by emit, at once", found.refused)?;
        }
        row(f, "deliveries owed", found.due)?;
        row(f, "delivered", found.delivered)?;
        row(f, "  of which had been lost, and were repaired", found.repaired)?;
        row(f, "lost, and reported as gaps", found.reported)?;
        if found.gone_with_senders > 0 {
            row(f, "gone with dead senders, as reported", found.gone_with_senders)?;
        }
        writeln!(f)?;
        row(f, "LOST WITHOUT A REPORT", found.lost)?;
        row(f, "DOUBLED", found.doubled)?;
        row(f, "OUT OF ORDER", found.disordered)?;
        row(f, "TO A SOCKET NOT IN THE ROOM", found.strays)?;
        if found.invented > 0 {
            row(f, "NEVER SENT", found.invented)?;
        }
        writeln!(f, "\n  {:<16}{:>8}{:>32}", "what was done", "times", "slowest to receive again, ms")?;
        for fault in Fault::ALL {
            let Some(of) = found.recoveries.get(&fault) else { continue };
            let never = if of.never > 0 { format!(", never after {}", of.never) } else { String::new() };
            writeln!(f, "  {fault:<16}{:>8}{:>32}{never}", of.blows, of.slowest / 1_000)?;
        }
        writeln!(f, "  longest silence of a running node, ms{:>19}", found.silence / 1_000)?;
        let of = &found.questions;
        writeln!(
            f,
            "\n  questions {}: all nodes answered {}, some missing {}, timed out {}, not put {}; slowest {} ms",
            of.asked,
            of.complete,
            of.partial,
            of.late,
            of.refused,
            of.slowest / 1_000
        )?;
        writeln!(f, "  joins and leaves {}", found.rounds)?;
        for run in &found.unfinished {
            writeln!(f, "  node {run} did not come to the end")?;
        }
        match self.complaints() {
            wrong if wrong.is_empty() => write!(f, "\nAll promises held."),
            wrong => write!(f, "\nBROKEN: {wrong}."),
        }
    }
}
