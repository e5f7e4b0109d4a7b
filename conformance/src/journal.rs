//! What happened in a case, for the report of its failure.

use std::collections::VecDeque;
use std::fmt::{self, Display};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use roomcast_core::Events;
use tokio::runtime::Handle;
use tokio::task::JoinSet;

/// So many of the last lines are kept.
const KEPT: usize = 60;

/// What nodes saw and which faults there were, with the seconds since the case began.
#[derive(Debug)]
pub(crate) struct Journal {
    began: Instant,
    lines: Mutex<Lines>,
}

#[derive(Debug, Default)]
struct Lines {
    last: VecDeque<String>,
    before: usize,
}

impl Journal {
    pub(crate) fn new() -> Self {
        Self { began: Instant::now(), lines: Mutex::default() }
    }

    pub(crate) fn note(&self, what: impl Display) {
        let line = format!("{:8.3} {what}", self.began.elapsed().as_secs_f64());
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.last.len() == KEPT {
            lines.last.pop_front();
            lines.before += 1;
        }
        lines.last.push_back(line);
    }
}

impl Display for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.before > 0 {
            write!(f, "\n    ({} lines before)", lines.before)?;
        }
        lines.last.iter().try_for_each(|line| write!(f, "\n    {line}"))
    }
}

/// Those who write down what nodes see; they end with it.
#[derive(Debug, Default)]
pub(crate) struct Watchers(Mutex<JoinSet<()>>);

impl Watchers {
    /// Writes down what a node tells until it is gone. On another runtime than the case's, whose tasks may be counted.
    pub(crate) fn watch(&self, on: &Handle, name: String, mut events: Events, journal: std::sync::Arc<Journal>) {
        let watch = async move {
            while let Some(event) = events.next().await {
                journal.note(format_args!("{name}: {event}"));
            }
            journal.note(format_args!("{name} is gone"));
        };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).spawn_on(watch, on);
    }
}

#[cfg(test)]
mod tests {
    use super::{Journal, KEPT};

    #[test]
    fn the_last_lines_are_kept_and_the_others_counted() {
        let journal = Journal::new();
        assert_eq!(journal.to_string(), "");
        (0..KEPT + 2).for_each(|n| journal.note(format_args!("line {n}")));
        let text = journal.to_string();
        assert!(
            text.contains("(2 lines before)") && text.contains(" line 2\n") && !text.contains(" line 1\n"),
            "{text}"
        );
    }
}
