//! What a process has, and has done.

use std::collections::BTreeMap;
use std::fs;

use serde_json::{Value, json};
use tokio::runtime::Handle;

use crate::failure::{Failure, Verdict};

/// What a process has at this moment, and has done since it began. What the system does not tell is 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Census {
    /// Of the runtime.
    pub(crate) tasks: u64,
    /// Open files, sockets among them.
    pub(crate) files: u64,
    pub(crate) threads: u64,
    /// The most memory that it has ever had, in bytes.
    pub(crate) peak: u64,
    /// For how many ticks of another thread the runtime ran no task, at the most.
    pub(crate) blocked: u64,
    /// Events of the log from INFO upwards: how many by each line of source.
    pub(crate) logged: BTreeMap<String, u64>,
}

impl Census {
    /// Of this process, whose runtime this is.
    pub(super) fn here(blocked: u64, logged: BTreeMap<String, u64>) -> Self {
        let tasks = Handle::current().metrics().num_alive_tasks() as u64;
        // The folder that is read is one of them, each time.
        let count = |folder: &str| fs::read_dir(folder).map_or(0, |entries| entries.count() as u64);
        let (files, threads) = (count("/proc/self/fd"), count("/proc/self/task"));
        let peak = fs::read_to_string("/proc/self/status").map_or(0, |status| peak(&status));
        Self { tasks, files, threads, peak, blocked, logged }
    }

    /// As one line.
    pub(super) fn line(&self) -> String {
        let Self { tasks, files, threads, peak, blocked, logged } = self;
        json!({"tasks": tasks, "files": files, "threads": threads, "peak": peak, "blocked": blocked, "logged": logged})
            .to_string()
    }

    pub(super) fn parse(line: &str) -> Verdict<Self> {
        let value: Value = serde_json::from_str(line)?;
        let odd = || Failure::new(format!("no census: {line}"));
        let number = |name: &str| value[name].as_u64().ok_or_else(odd);
        let logged = value["logged"].as_object().ok_or_else(odd)?;
        let logged = logged.iter().map(|(line, count)| (line.clone(), count.as_u64().unwrap_or(0))).collect();
        let (tasks, files, threads) = (number("tasks")?, number("files")?, number("threads")?);
        Ok(Self { tasks, files, threads, peak: number("peak")?, blocked: number("blocked")?, logged })
    }

    /// How many events were logged since an earlier one, and the lines of source that they are from.
    pub(crate) fn logged_since(&self, before: &Self) -> (u64, BTreeMap<String, u64>) {
        let mut lines = self.logged.clone();
        for (line, count) in &before.logged {
            *lines.entry(line.clone()).or_default() -= count;
        }
        lines.retain(|_, count| *count > 0);
        (lines.values().sum(), lines)
    }
}

/// `VmHWM:     1234 kB`, in bytes.
fn peak(status: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    line.split_whitespace().next().and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) << 10
}

#[cfg(test)]
mod tests {
    use super::{Census, peak};

    #[test]
    fn it_is_read_as_it_was_written() {
        let logged = [("WARN a:1".to_owned(), 3), ("INFO \"b\":2".to_owned(), 1)].into();
        let census = Census { tasks: 1, files: 2, threads: 3, peak: u64::MAX, blocked: 5, logged };
        assert_eq!(Census::parse(&census.line()).expect("a census"), census);
        assert!(Census::parse("{}").is_err() && Census::parse("ready").is_err());
        assert_eq!(peak("VmPeak:\t 9 kB\nVmHWM:\t    12 kB\n"), 12 << 10);
    }

    #[test]
    fn what_was_logged_before_does_not_count() {
        let census = |lines: &[(&str, u64)]| Census {
            logged: lines.iter().map(|(line, count)| ((*line).to_owned(), *count)).collect(),
            ..Census::default()
        };
        let (count, lines) = census(&[("a", 3), ("b", 2), ("c", 1)]).logged_since(&census(&[("a", 3), ("b", 1)]));
        assert_eq!((count, lines), (2, [("b".to_owned(), 1), ("c".to_owned(), 1)].into()));
    }
}
