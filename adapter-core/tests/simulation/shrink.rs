//! A schedule that fails, made short: what of it is not needed is left out, as long as the same check fails.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::time::Duration;

use super::checks::failures;
use super::world::{run_with, schedule};

/// What is left out of the schedule that a seed draws up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Cut {
    /// These of its events, by their places.
    pub(super) without: BTreeSet<u64>,
    /// Nobody calls anything from then on.
    pub(super) busy: Option<Duration>,
}

/// More runs are not worth the time.
const RUNS: usize = 150;

/// The shortest schedule found of this seed in which this check fails, and fails as it is.
pub(super) fn shrink(seed: u64, check: &str) -> Cut {
    let mut left = RUNS;
    let mut fails = |cut: &Cut| {
        left = left.saturating_sub(1);
        left > 0 && failures(&run_with(seed, cut, None)).iter().any(|(name, _)| *name == check)
    };
    let mut cut = Cut::default();
    // Events first, since each is one thing less to understand; again, since some are needed for others alone.
    for _ in 0..2 {
        for (place, ..) in schedule(seed) {
            let mut shorter = cut.clone();
            if shorter.without.insert(place) && fails(&shorter) {
                cut = shorter;
            }
        }
    }
    let mut step = Duration::from_secs(2);
    let mut busy = Duration::from_secs(5);
    while step > Duration::from_millis(20) {
        let shorter = Cut { busy: Some(busy.saturating_sub(step)), ..cut.clone() };
        if fails(&shorter) {
            busy = busy.saturating_sub(step);
            cut = shorter;
        } else {
            step /= 2;
        }
    }
    cut
}

/// A test that runs what is left of a seed, with its events as they are left.
pub(super) fn as_test(seed: u64, cut: &Cut) -> String {
    let mut text = String::new();
    let busy = cut.busy.map_or("None".to_owned(), |busy| format!("Some({})", busy.as_millis()));
    let without: Vec<_> = cut.without.iter().collect();
    let _ = writeln!(text, "#[test]\nfn seed_{seed:x}() {{");
    for (place, at, event) in schedule(seed) {
        if !cut.without.contains(&place) {
            let _ = writeln!(text, "    // {:>6} ms  {event}", at.as_millis());
        }
    }
    let _ = write!(text, "    holds({seed:#x}, &{without:?}, {busy});\n}}");
    text
}

/// Runs what is left of a seed through every check: for the tests that [`as_test`] writes.
pub(super) fn holds(seed: u64, without: &[u64], busy: Option<u64>) {
    let cut = Cut { without: without.iter().copied().collect(), busy: busy.map(Duration::from_millis) };
    let failed = failures(&run_with(seed, &cut, None));
    assert!(failed.is_empty(), "seed {seed:#x}: {failed:#?}");
}

#[test]
fn a_schedule_that_fails_is_made_short_and_fails_still() {
    use super::history::What;
    use super::network::Profile;
    use super::world::run;

    // No check fails on a healthy engine, so something stands in for one: a node that was killed.
    let killed = |cut: &Cut, seed| run_with(seed, cut, None).records.iter().any(|record| record.what == What::Killed);
    let seed = Profile::OrderedTurbulent.seeds(60).find(|seed| {
        let kills = run(*seed).records.iter().filter(|record| record.what == What::Killed).count();
        kills == 1 && schedule(*seed).len() > 6
    });
    let seed = seed.expect("a run with one kill");
    let mut cut = Cut::default();
    for (place, ..) in schedule(seed) {
        let mut shorter = cut.clone();
        shorter.without.insert(place);
        if killed(&shorter, seed) {
            cut = shorter;
        }
    }
    let left = schedule(seed).len() - cut.without.len();
    assert_eq!(left, 2, "its start and its end");
    let test = as_test(seed, &cut);
    assert!(test.contains("Kill(") && test.contains("Start(") && test.contains(&format!("holds({seed:#x}")), "{test}");
    holds(seed, &cut.without.iter().copied().collect::<Vec<_>>(), Some(500));
}
