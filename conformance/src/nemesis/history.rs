//! What one node did and saw, in a file: one line for each operation, only ever appended.

use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

/// One run of one node: the node's number, and how often it was started before. `2.0` in text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Run {
    pub(crate) node: u32,
    pub(crate) start: u32,
}

/// One thing that a node did or saw. Times are in microseconds since 1970, by the clock that all processes share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// Connected, with its sockets, under this id: from now on it is owed what is sent.
    Ready { at: u64, id: String },
    /// Is about to emit this number to all.
    Sent { at: u64, n: u64 },
    /// The emit of this number was refused: other nodes do not get it.
    Refused { n: u64 },
    /// The socket got this number of that run.
    Got { at: u64, from: Run, n: u64 },
    /// Has let the guest of a node join the room of this round, and is about to emit to the room. The time is that of the call that
    /// joins, which may take seconds: a guest that connects meanwhile is in no room.
    SentInside { joined: u64, round: u64, guest: u32 },
    /// That emit was refused.
    RefusedInside { round: u64 },
    /// The guest got what was sent to it inside.
    GotInside { at: u64, from: Run, round: u64 },
    /// The guest got what was sent to the room after it had left.
    GotOutside { at: u64, from: Run, round: u64 },
    /// A question has ended, after so many microseconds: how many nodes answered, how many are missing, and how many of those
    /// because the time was up.
    Asked { took: u64, answered: u64, missing: u64, late: u64 },
    /// A question could not be put.
    NotAsked,
    /// Was told that messages of the node with this id are lost; `count` is `None` where nobody knows how many.
    Gap { id: String, inbox: bool, count: Option<u64> },
    /// So many events were not read in time: gaps may be among them.
    MissedEvents { n: u64 },
    /// What the node has counted in all.
    Counted { repaired: u64, resent: u64 },
    /// Closed, having sent all that it had and waited for all that it was owed.
    Ended { at: u64 },
}

/// What one run of a node did and saw.
#[derive(Clone, Debug)]
pub(crate) struct History {
    pub(crate) run: Run,
    pub(crate) lines: Vec<Line>,
}

/// Where a node writes its history.
#[derive(Debug)]
pub(crate) struct Log(Mutex<File>);

impl Log {
    pub(crate) fn create(path: &Path) -> io::Result<Self> {
        File::create_new(path).map(Mutex::new).map(Self)
    }

    /// Appends a line. The system has it when this returns, so that it survives the process.
    pub(crate) fn add(&self, line: &Line) -> io::Result<()> {
        // Guards the file alone: lines are written whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write_all(format!("{line}\n").as_bytes())
    }
}

impl History {
    /// Reads a history. What stands behind the last line's end is a line that a killed process has not finished.
    pub(crate) fn read(run: Run, path: &Path) -> io::Result<Self> {
        let text = std::fs::read_to_string(path)?;
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        let bad = |line: &str| io::Error::new(io::ErrorKind::InvalidData, format!("{}: {line:?}", path.display()));
        let lines = whole.lines().map(|line| line.parse().map_err(|()| bad(line))).collect::<io::Result<_>>()?;
        Ok(Self { run, lines })
    }
}

/// Microseconds since 1970.
pub(crate) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.node, self.start)
    }
}

impl FromStr for Run {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (node, start) = text.split_once('.').ok_or(())?;
        Ok(Self { node: number(node)?, start: number(start)? })
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready { at, id } => write!(f, "ready {at} {id}"),
            Self::Sent { at, n } => write!(f, "s {at} {n}"),
            Self::Refused { n } => write!(f, "refused {n}"),
            Self::Got { at, from, n } => write!(f, "g {at} {from} {n}"),
            Self::SentInside { joined, round, guest } => write!(f, "si {joined} {round} {guest}"),
            Self::RefusedInside { round } => write!(f, "refused-inside {round}"),
            Self::GotInside { at, from, round } => write!(f, "gi {at} {from} {round}"),
            Self::GotOutside { at, from, round } => write!(f, "go {at} {from} {round}"),
            Self::Asked { took, answered, missing, late } => write!(f, "asked {took} {answered} {missing} {late}"),
            Self::NotAsked => f.write_str("not-asked"),
            Self::Gap { id, inbox, count } => {
                let (channel, count) = (if *inbox { "inbox" } else { "cluster" }, count.map(|count| count.to_string()));
                write!(f, "gap {id} {channel} {}", count.as_deref().unwrap_or("?"))
            }
            Self::MissedEvents { n } => write!(f, "missed-events {n}"),
            Self::Counted { repaired, resent } => write!(f, "counted {repaired} {resent}"),
            Self::Ended { at } => write!(f, "ended {at}"),
        }
    }
}

impl FromStr for Line {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let words: Vec<_> = text.split(' ').collect();
        Ok(match words[..] {
            ["ready", at, id] => Self::Ready { at: number(at)?, id: id.to_owned() },
            ["s", at, n] => Self::Sent { at: number(at)?, n: number(n)? },
            ["refused", n] => Self::Refused { n: number(n)? },
            ["g", at, from, n] => Self::Got { at: number(at)?, from: from.parse()?, n: number(n)? },
            ["si", joined, round, guest] => {
                Self::SentInside { joined: number(joined)?, round: number(round)?, guest: number(guest)? }
            }
            ["refused-inside", round] => Self::RefusedInside { round: number(round)? },
            ["gi", at, from, round] => Self::GotInside { at: number(at)?, from: from.parse()?, round: number(round)? },
            ["go", at, from, round] => Self::GotOutside { at: number(at)?, from: from.parse()?, round: number(round)? },
            ["asked", took, answered, missing, late] => Self::Asked {
                took: number(took)?,
                answered: number(answered)?,
                missing: number(missing)?,
                late: number(late)?,
            },
            ["not-asked"] => Self::NotAsked,
            ["gap", id, channel @ ("inbox" | "cluster"), count] => {
                let count = if count == "?" { None } else { Some(number(count)?) };
                Self::Gap { id: id.to_owned(), inbox: channel == "inbox", count }
            }
            ["missed-events", n] => Self::MissedEvents { n: number(n)? },
            ["counted", repaired, resent] => Self::Counted { repaired: number(repaired)?, resent: number(resent)? },
            ["ended", at] => Self::Ended { at: number(at)? },
            _ => return Err(()),
        })
    }
}

fn number<T: FromStr>(text: &str) -> Result<T, ()> {
    text.parse().map_err(drop)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::{History, Line, Log, Run};

    #[test]
    fn what_is_written_is_read_again_but_for_a_line_that_was_cut_off() {
        let (at, n, round, from) = (7, 3, 5, Run { node: 2, start: 1 });
        let id = "ab".to_owned();
        let lines = vec![
            Line::Ready { at, id: id.clone() },
            Line::Sent { at, n },
            Line::Refused { n },
            Line::Got { at, from, n },
            Line::SentInside { joined: at, round, guest: 4 },
            Line::RefusedInside { round },
            Line::GotInside { at, from, round },
            Line::GotOutside { at, from, round },
            Line::Asked { took: 9, answered: 2, missing: 2, late: 1 },
            Line::NotAsked,
            Line::Gap { id: id.clone(), inbox: false, count: Some(8) },
            Line::Gap { id, inbox: true, count: None },
            Line::MissedEvents { n },
            Line::Counted { repaired: 1, resent: 2 },
            Line::Ended { at },
        ];
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("history");
        let log = Log::create(&path).expect("a file");
        lines.iter().for_each(|line| log.add(line).expect("written"));
        let mut file = std::fs::File::options().append(true).open(&path).expect("it is there");
        file.write_all(b"s 8 4").expect("written");
        assert_eq!(History::read(from, &path).expect("read").lines, lines);
        file.write_all(b"\nnonsense\n").expect("written");
        assert!(History::read(from, &path).is_err());
    }
}
