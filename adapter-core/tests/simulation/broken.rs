//! Known bugs of the field, built into what surrounds the engine: each must be caught, by the check that the table names.

use std::time::Duration;

use bytes::Bytes;

use super::checks::{failures, hold};
use super::history::{History, What};
use super::network::Profile;
use super::random::Random;
use super::shrink::Cut;
use super::world::run_with;
use crate::wire::{Frame, Frames, Head, Kind, Mark, Message, Number, Resend, decode, encode};

/// A bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bug {
    DeafAfterReconnect,
    RoomsCounted,
    TaskForEachMessage,
    PoisonLoop,
    ReadyTooSoon,
    HalfAJoin,
    RetryAsNew,
    TailUnseen,
    NeverForgets,
    ConfirmedTooSoon,
    NackStorm,
    ResentAsNew,
    ResentInAnotherEpoch,
    HistoryWithHoles,
    NeverGivesUp,
}

/// Each bug: what it does, the weather in which it shows, and the check that catches it.
const BUGS: [(Bug, &str, Profile, &str); 15] = [
    (Bug::DeafAfterReconnect, "a link that is back is not subscribed", Profile::Lossy, "g07_never_deaf"),
    (Bug::RoomsCounted, "a socket that joins twice has to leave twice", Profile::Ordered, "g01_reach"),
    (Bug::TaskForEachMessage, "a task for each message: they overtake each other", Profile::Ordered, "g02_order"),
    (Bug::PoisonLoop, "a message comes back as often as it is read", Profile::Ordered, "the run ends"),
    (Bug::ReadyTooSoon, "connecting returns before the others are known", Profile::Ordered, "g18_ready"),
    (Bug::HalfAJoin, "of several rooms only the first is joined", Profile::Ordered, "g01_reach"),
    (Bug::RetryAsNew, "a publish of unknown outcome is repeated as a new message", Profile::Wild, "g10_once"),
    (Bug::TailUnseen, "nobody says how far the numbers have come", Profile::Lossy, "g09_no_silent_loss"),
    (Bug::NeverForgets, "nodes that are gone are remembered for ever", Profile::OrderedTurbulent, "g12_no_residue"),
    (Bug::ConfirmedTooSoon, "closing does not wait for what is queued", Profile::OrderedTurbulent, "g02_order"),
    (Bug::NackStorm, "what is missing is asked for again and again", Profile::Leaky, "repair is bounded"),
    (Bug::ResentAsNew, "what is sent again has new numbers", Profile::Leaky, "g09_what_is_lost_is_repaired"),
    (
        Bug::ResentInAnotherEpoch,
        "what is sent again is of another count",
        Profile::Leaky,
        "g09_what_is_lost_is_repaired",
    ),
    (Bug::HistoryWithHoles, "a history has forgotten some of it", Profile::Leaky, "g09_what_is_lost_is_repaired"),
    (Bug::NeverGivesUp, "what nobody has any more is waited for", Profile::Forgetful, "g09_no_silent_loss"),
];

impl Bug {
    /// What the broker passes on in the place of a message.
    pub(super) fn passed_on(self, message: Bytes, random: &mut Random) -> Vec<Bytes> {
        let first = Frames::new(message.clone()).next().and_then(Result::ok).map(|frame| frame.head.kind);
        let resent = first == Some(Kind::RESEND);
        match self {
            Self::TailUnseen => vec![rewrite(&message, without_mark)],
            Self::NackStorm if first == Some(Kind::NACK) => vec![message; 20],
            Self::ResentAsNew if resent => vec![renumber(&message, |number| Number { n: number.n + 1000, ..number })],
            Self::ResentInAnotherEpoch if resent => {
                vec![renumber(&message, |number| Number { epoch: number.epoch + 1, ..number })]
            }
            Self::HistoryWithHoles if resent && random.chance(50) => Vec::new(),
            Self::NeverGivesUp if resent => vec![rewrite(&message, without_what_is_gone)],
            _ => vec![message],
        }
    }

    /// How long a node waits for what is missing.
    pub(super) fn repair(self, usual: Duration) -> Duration {
        if self == Self::NeverGivesUp { Duration::from_secs(3600) } else { usual }
    }

    /// How long a node remembers those that are gone.
    pub(super) fn keep(self, usual: Duration) -> Duration {
        if self == Self::NeverForgets { Duration::from_secs(3600) } else { usual }
    }
}

/// The same frames, but some; a frame that becomes none is left out.
fn rewrite(message: &Bytes, change: impl Fn(Frame) -> Option<Frame>) -> Bytes {
    let mut again = Message::default();
    for frame in Frames::new(message.clone()).flatten().filter_map(change) {
        again.add(&frame.head, &frame.body, &frame.packet);
    }
    again.freeze()
}

fn renumber(message: &Bytes, change: impl Fn(Number) -> Number) -> Bytes {
    rewrite(message, |frame| {
        Some(Frame { head: Head { number: frame.head.number.map(&change), ..frame.head }, ..frame })
    })
}

fn without_mark(frame: Frame) -> Option<Frame> {
    match frame.head.kind {
        Kind::MARK => None,
        Kind::HEARTBEAT => {
            let mut heartbeat: crate::wire::Heartbeat = decode(&frame.body).ok()?;
            heartbeat.cluster = Mark { n: 0, ..heartbeat.cluster };
            Some(Frame { body: encode(&heartbeat), ..frame })
        }
        _ => Some(frame),
    }
}

fn without_what_is_gone(frame: Frame) -> Option<Frame> {
    if frame.head.kind != Kind::RESEND {
        return Some(frame);
    }
    let resend: Resend = decode(&frame.body).ok()?;
    Some(Frame { body: encode(&Resend { gone: Vec::new(), ..resend }), ..frame })
}

/// Where nothing comes late or twice, no more is sent again than was lost.
fn repair_is_bounded(history: &History) -> Result<(), String> {
    let count = |of: What| history.records.iter().filter(|record| record.what == of).count();
    let (lost, resent) = (count(What::Lost), count(What::Resent));
    hold(resent <= lost, || format!("{lost} messages were lost, {resent} were sent again"))
}

/// The first history in which a check fails.
fn caught(bug: Bug, profile: Profile, check: &str) -> bool {
    profile.seeds(200).any(|seed| {
        let ran = std::panic::catch_unwind(|| run_with(seed, &Cut::default(), Some(bug)));
        match ran {
            Err(_) => check == "the run ends",
            Ok(history) if check == "repair is bounded" => repair_is_bounded(&history).is_err(),
            Ok(history) => failures(&history).iter().any(|(name, _)| *name == check),
        }
    })
}

#[test]
fn every_bug_is_caught_by_the_check_that_the_table_names() {
    let missed: Vec<_> = BUGS.iter().filter(|(bug, _, profile, check)| !caught(*bug, *profile, check)).collect();
    assert!(missed.is_empty(), "{missed:#?}");
}

#[test]
fn the_table_of_bugs_is_in_guarantees_md() {
    let page = include_str!("../../../docs/guarantees.md");
    for (_, what, _, check) in BUGS {
        let row = format!("| {what} | {} |", check.replace('_', " "));
        assert!(page.contains(&row), "docs/guarantees.md lacks the row\n{row}");
    }
}

#[test]
fn repair_is_bounded_without_a_bug() {
    for seed in Profile::Leaky.seeds(60) {
        let history = run_with(seed, &Cut::default(), None);
        repair_is_bounded(&history).unwrap_or_else(|why| panic!("seed {seed:#x}: {why}"));
    }
}
