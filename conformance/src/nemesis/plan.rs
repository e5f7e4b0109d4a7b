//! What is struck, and when: it follows from a seed alone.

use std::fmt;
use std::time::Duration;

use crate::random::Random;

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Fault {
    /// The broker is killed, and started again.
    BrokerKilled,
    /// A node's connections are reset.
    LinkCut,
    /// A node's connections stay open, and carry nothing any more; new ones work.
    LinkDead,
    /// Every byte to and from a node comes later.
    LinkSlow,
    /// A node's process is stopped for some seconds (SIGSTOP).
    NodePaused,
    /// A node's process is killed (SIGKILL), and started again.
    NodeKilled,
}

/// One fault of a node or of its link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Strike {
    /// After the load's beginning.
    pub(crate) at: Duration,
    pub(crate) fault: Fault,
    pub(crate) node: u32,
    /// How long it lasts; zero for those that are over at once.
    pub(crate) lasts: Duration,
    /// How much later bytes come with [`Fault::LinkSlow`].
    pub(crate) delay: Duration,
}

/// All that is struck.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    /// How long the broker is away each time. It is killed [`LIFE`] after it was ready the last time.
    pub(crate) outages: Vec<Duration>,
    pub(crate) strikes: Vec<Strike>,
}

/// How long a broker lives.
pub(crate) const LIFE: Duration = Duration::from_secs(5);
/// Between two strikes at nodes and links.
const PACE: Duration = Duration::from_millis(1_700);
/// What the end of a run is free of, so that a death is known before the run is over.
pub(crate) const PEACE: Duration = Duration::from_secs(3);
/// What a node that was struck is left alone for afterwards.
const REST: Duration = Duration::from_secs(3);

impl Fault {
    pub(crate) const ALL: [Self; 6] =
        [Self::BrokerKilled, Self::LinkCut, Self::LinkDead, Self::LinkSlow, Self::NodePaused, Self::NodeKilled];
    const OF_NODES: [Self; 5] = [Self::LinkCut, Self::NodePaused, Self::LinkDead, Self::NodeKilled, Self::LinkSlow];

    /// Whether the process itself is struck, and not its link.
    pub(crate) fn of_process(self) -> bool {
        matches!(self, Self::NodePaused | Self::NodeKilled)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::BrokerKilled => "broker killed",
            Self::LinkCut => "link cut",
            Self::LinkDead => "link dead",
            Self::LinkSlow => "link slow",
            Self::NodePaused => "node paused",
            Self::NodeKilled => "node killed",
        })
    }
}

impl Plan {
    /// For a load of so many nodes that takes so long. Node 0 is never paused nor killed: it sees everything.
    pub(crate) fn new(seed: u64, length: Duration, nodes: u32) -> Self {
        let mut random = Random(seed);
        let kills = length.saturating_sub(PEACE).as_secs() / LIFE.as_secs();
        let outages = (0..kills).map(|_| between(&mut random, 300, 1_500)).collect();
        let (mut strikes, mut free, mut bag) = (Vec::new(), vec![Duration::ZERO; nodes as usize], Vec::new());
        let mut at = PACE;
        while at + PEACE < length {
            if bag.is_empty() {
                bag = Fault::OF_NODES.to_vec();
            }
            let (lasts, delay) = (between(&mut random, 3_000, 4_000), between(&mut random, 50, 400));
            // In the order of the list at first, so that a short run has them all; then in any.
            let pick = if strikes.len() < Fault::OF_NODES.len() { 0 } else { random.below(bag.len()) };
            let fault = bag.remove(pick);
            let lasts = match fault {
                Fault::NodePaused | Fault::LinkSlow => lasts,
                Fault::NodeKilled => lasts / 3,
                _ => Duration::ZERO,
            };
            let from = usize::from(fault.of_process());
            let idle: Vec<_> = (from..free.len()).filter(|node| free[*node] <= at).collect();
            if !idle.is_empty() && at + lasts + PEACE <= length {
                let node = idle[random.below(idle.len())];
                free[node] = at + lasts + REST;
                strikes.push(Strike { at, fault, node: u32::try_from(node).unwrap_or(u32::MAX), lasts, delay });
            }
            at += PACE;
        }
        Self { outages, strikes }
    }
}

/// Some milliseconds, from the least on, below the most.
fn between(random: &mut Random, least: u64, most: u64) -> Duration {
    Duration::from_millis(least + random.next() % (most - least))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::time::Duration;

    use super::{Fault, Plan};

    #[test]
    fn it_follows_from_the_seed() {
        let plan = |seed| Plan::new(seed, Duration::from_secs(60), 4);
        assert_eq!(plan(7), plan(7));
        assert_ne!(plan(7), plan(8));
    }

    #[test]
    fn a_short_one_has_every_fault_and_spares_the_witness() {
        for seed in 0..200 {
            let length = Duration::from_secs(20);
            let plan = Plan::new(seed, length, 4);
            assert_eq!(plan.outages.len(), 3, "seed {seed}");
            let faults: HashSet<_> = plan.strikes.iter().map(|strike| strike.fault).collect();
            assert_eq!(faults.len(), 5, "seed {seed}: {:?}", plan.strikes);
            for strike in &plan.strikes {
                assert!(strike.node != 0 || !strike.fault.of_process(), "seed {seed}: {strike:?}");
                assert!(strike.at + strike.lasts < length, "seed {seed}: {strike:?}");
            }
            let twice = plan.strikes.iter().any(|one| {
                let during = |other: &&super::Strike| other.node == one.node && other.at > one.at;
                plan.strikes.iter().find(during).is_some_and(|other| other.at < one.at + one.lasts)
            });
            assert!(!twice, "seed {seed}: a node is struck while it is struck: {:?}", plan.strikes);
        }
    }

    #[test]
    fn a_run_that_is_too_short_has_no_fault() {
        let plan = Plan::new(1, Duration::from_secs(3), 4);
        assert!(plan.outages.is_empty() && plan.strikes.is_empty());
        assert_eq!(Fault::ALL.len(), 6);
    }
}
