//! What the simulated broker does to messages, and what happens to the nodes: chosen by the seed.

use std::collections::HashMap;
use std::time::Duration;

use super::random::Random;

/// A kind of weather. The seed chooses one, so that one number tells a whole run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Profile {
    /// Lossless, each publisher's order kept; nodes come and stay.
    Ordered,
    /// The same, and nodes crash, leave, come late and stall.
    OrderedTurbulent,
    /// Random delays, copies, publishes of unknown outcome; nothing is lost for good.
    Wild,
    WildTurbulent,
    /// Links go down and lose what is sent to them; the order is kept.
    Lossy,
    /// The same without an order.
    LossyWild,
    /// One node does nothing for five seconds: it is evicted, and comes back.
    Sleeper,
    /// One node sleeps for so long that the others have forgotten it.
    LongSleeper,
    /// Links swallow what is sent without a word, until the engine wants new ones.
    HalfOpen,
    /// What is sent to one node is seconds late, though nothing is lost.
    Congested,
    /// Single messages and bursts do not arrive, and nobody says so; the order is kept.
    Leaky,
    /// The same without an order.
    LeakyWild,
    /// The same with next to nothing kept of what was sent.
    Forgetful,
    /// What some nodes send does not reach some others, one way or both ways, and nobody says so; the order is kept.
    Split,
    /// The same without an order.
    SplitWild,
    /// A node and its clock stand still, as those of a machine that is suspended: it does not know that it was away.
    Suspended,
}

/// What these nodes send does not reach those.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Split {
    pub(super) from: Vec<usize>,
    pub(super) to: Vec<usize>,
}

impl Split {
    /// Of so many nodes: two halves that do not hear each other, one of two that does not hear the other, or the same of two nodes
    /// alone.
    pub(super) fn draw(nodes: usize, random: &mut Random) -> Vec<Self> {
        let mut all: Vec<_> = (0..nodes).collect();
        (0..nodes).for_each(|at| all.swap(at, at + random.below(nodes - at)));
        let to = if random.chance(30) { vec![all[1]] } else { all.split_off(1 + random.below(nodes - 1)) };
        let from = if to.len() == 1 && random.chance(50) {
            vec![all[0]]
        } else {
            all.into_iter().filter(|node| !to.contains(node)).collect()
        };
        let there = Self { from, to };
        let back = Self { from: there.to.clone(), to: there.from.clone() };
        if random.chance(50) { vec![there, back] } else { vec![there] }
    }
}

/// Which direction of a half-open link swallows what is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Swallows {
    Both,
    /// The node hears nothing, and is heard.
    Incoming,
    /// The node hears all, and is not heard.
    Outgoing,
}

impl Profile {
    pub(super) const ALL: [Self; 16] = [
        Self::Ordered,
        Self::OrderedTurbulent,
        Self::Wild,
        Self::WildTurbulent,
        Self::Lossy,
        Self::LossyWild,
        Self::Sleeper,
        Self::LongSleeper,
        Self::HalfOpen,
        Self::Congested,
        Self::Leaky,
        Self::LeakyWild,
        Self::Forgetful,
        Self::Split,
        Self::SplitWild,
        Self::Suspended,
    ];

    pub(super) fn of(seed: u64) -> Self {
        Self::ALL[(seed % Self::ALL.len() as u64) as usize]
    }

    /// The seeds of this profile, in order.
    pub(super) fn seeds(self, count: u64) -> impl Iterator<Item = u64> {
        let all = Self::ALL.len() as u64;
        (0..count).map(move |at| at * all + self as u64)
    }
}

/// What is true of one run from its start to its end.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) profile: Profile,
    pub(super) ordered: bool,
    pub(super) lossy: bool,
    /// In a thousand: messages that one receiver does not get, and bursts of them.
    pub(super) loss: usize,
    pub(super) bursts: usize,
    /// Bytes that a node keeps of what it has sent.
    pub(super) history: usize,
    /// The longest way of a message from the broker to a node.
    pub(super) delay: Duration,
    /// The longest way to the broker, and the same again for its word.
    pub(super) publish: Duration,
    /// In percent: publishes whose outcome stays unknown, and messages that come twice.
    pub(super) unknown: usize,
    pub(super) copies: usize,
    pub(super) max_frame: usize,
    pub(super) max_message: usize,
    pub(super) nodes: usize,
    /// How long the nodes are busy, and when the run ends.
    pub(super) busy: Duration,
    pub(super) end: Duration,
    /// How long a node remembers those that are gone.
    pub(super) keep: Duration,
    /// For so long one that has fallen silent may come back.
    pub(super) absence: Duration,
    /// Every other seed: the cluster is a ring, in which so many nodes watch each one.
    pub(super) watchers: Option<usize>,
}

impl Plan {
    /// Whether some nodes do not hear others for a while.
    pub(super) fn splits(&self) -> bool {
        matches!(self.profile, Profile::Split | Profile::SplitWild)
    }

    pub(super) fn new(seed: u64, random: &mut Random) -> Self {
        let profile = Profile::of(seed);
        let ordered = match profile {
            Profile::Ordered | Profile::OrderedTurbulent | Profile::Lossy | Profile::Leaky | Profile::Split => true,
            Profile::Wild | Profile::WildTurbulent | Profile::LossyWild | Profile::LeakyWild | Profile::SplitWild => {
                false
            }
            Profile::Sleeper
            | Profile::LongSleeper
            | Profile::HalfOpen
            | Profile::Congested
            | Profile::Forgetful
            | Profile::Suspended => random.chance(50),
        };
        let delays: &[u64] = match profile {
            _ if ordered => &[1, 10, 60],
            // In a ring a node that hears another half of the cluster is suspected by this one, and has half a second to reply.
            Profile::SplitWild => &[20, 100],
            _ => &[20, 100, 300],
        };
        let ms = |list: &[u64], random: &mut Random| Duration::from_millis(random.pick(list).copied().unwrap_or(1));
        let busy = random.between(2500, 4500);
        let watchers = [None, Some(1), None, Some(2)][(seed / Profile::ALL.len() as u64 % 4) as usize];
        let long = match profile {
            // Nodes of a ring that die together with those who watch them are found one after the other.
            Profile::OrderedTurbulent | Profile::WildTurbulent if watchers.is_some() => 8000,
            Profile::Sleeper => 4000,
            Profile::LongSleeper => 8000,
            Profile::HalfOpen => 9000,
            Profile::Congested | Profile::Suspended => 4000,
            Profile::Split | Profile::SplitWild => 8000,
            _ => 0,
        };
        let leaks = matches!(profile, Profile::Leaky | Profile::LeakyWild | Profile::Forgetful);
        Self {
            profile,
            ordered,
            lossy: leaks
                || matches!(
                    profile,
                    Profile::Lossy | Profile::LossyWild | Profile::HalfOpen | Profile::Split | Profile::SplitWild
                ),
            loss: if leaks { *random.pick(&[3, 10, 30]).unwrap_or(&10) } else { 0 },
            bursts: if leaks { *random.pick(&[0, 2, 5]).unwrap_or(&0) } else { 0 },
            history: if profile == Profile::Forgetful {
                *random.pick(&[0, 3000, 10_000]).unwrap_or(&0)
            } else {
                16 << 20
            },
            delay: ms(delays, random),
            publish: ms(if ordered { &[1, 5] } else { &[1, 10, 40] }, random),
            unknown: if ordered { 3 } else { 8 },
            copies: if ordered { 0 } else { 15 },
            max_frame: *random.pick(&[512, 700, 2000, 1 << 20]).unwrap_or(&512),
            max_message: 6000,
            nodes: 3 + random.below(3),
            busy,
            end: busy + Duration::from_millis(10_500 + long),
            // Longer than a link may be half-open.
            keep: Duration::from_secs(if profile == Profile::HalfOpen { 20 } else { 4 }),
            absence: Duration::from_secs(3),
            watchers,
        }
    }
}

/// On a congested link messages come so far apart, and so late at the most.
const PACE: Duration = Duration::from_millis(100);
pub(super) const LATE: Duration = Duration::from_secs(6);

/// The ways between the nodes.
#[derive(Debug, Default)]
pub(super) struct Links {
    last: HashMap<(usize, usize), Duration>,
    /// Nodes whose link is congested: until when, and when the last of what is queued there arrives.
    congested: HashMap<usize, (Duration, Duration)>,
    /// Nodes to which nothing arrives until then.
    burst: HashMap<usize, Duration>,
    /// What is split, and until when.
    splits: Vec<(Split, Duration)>,
}

/// The longest burst of losses.
const BURST: u64 = 200;

impl Links {
    /// When a message that the broker takes now arrives.
    pub(super) fn arrival(
        &mut self,
        from: usize,
        to: usize,
        now: Duration,
        plan: &Plan,
        random: &mut Random,
    ) -> Duration {
        let most = plan.delay.as_millis() as u64;
        let at = now + random.between(0, most);
        if !plan.ordered {
            return self.queue(to, at);
        }
        let last = self.last.entry((from, to)).or_default();
        *last = at.max(*last);
        let at = *last;
        self.queue(to, at)
    }

    /// From now on, what is sent to this node queues.
    pub(super) fn congest(&mut self, to: usize, until: Duration) {
        self.congested.insert(to, (until, Duration::ZERO));
    }

    /// From now on, what some send does not reach others.
    pub(super) fn split(&mut self, split: Split, until: Duration) {
        self.splits.push((split, until));
    }

    /// Whether a message does not arrive.
    pub(super) fn loses(&mut self, from: usize, to: usize, now: Duration, plan: &Plan, random: &mut Random) -> bool {
        self.splits.retain(|(_, until)| now < *until);
        if self.splits.iter().any(|(split, _)| split.from.contains(&from) && split.to.contains(&to)) {
            return true;
        }
        if plan.loss == 0 || now > plan.busy {
            return false;
        }
        if random.below(1000) < plan.bursts {
            self.burst.insert(to, now + random.between(0, BURST));
        }
        self.burst.get(&to).is_some_and(|until| now < *until) || random.below(1000) < plan.loss
    }

    fn queue(&mut self, to: usize, at: Duration) -> Duration {
        let Some((until, last)) = self.congested.get_mut(&to) else { return at };
        let pace = if at < *until { PACE } else { Duration::ZERO };
        *last = at.max(*last + pace).min((*last).max(at + LATE));
        *last
    }
}
