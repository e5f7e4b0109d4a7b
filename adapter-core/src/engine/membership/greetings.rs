//! How newcomers are welcomed: each node says who it is, and a few say who else is there.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::random::hash_pair;
use crate::engine::bucket::Bucket;
use crate::model::NodeId;

/// So many nodes tell a newcomer whom they know.
const LISTERS: usize = 3;
/// So many welcomes and lists a second, each: a flood of greetings costs no more.
const WELCOMES: u32 = 256;
const LISTS: u32 = 16;
/// A greeting that comes again so soon is not answered again.
const AGAIN: Duration = Duration::from_millis(200);
/// Of those who greeted before this node was ready, so many are welcomed one by one; more by one heartbeat.
const ONE_BY_ONE: usize = 8;

/// What becomes of a greeting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    /// A welcome, with a list of the nodes or without.
    Welcome { list: bool },
    /// It was answered a moment ago.
    Done,
    /// There are too many: one heartbeat has to do for all.
    Heartbeat,
}

#[derive(Debug)]
pub(crate) struct Greetings {
    me: NodeId,
    welcomes: Bucket,
    lists: Bucket,
    /// Those who greeted while this node was not ready.
    waiting: BTreeSet<NodeId>,
}

impl Greetings {
    pub(crate) fn new(me: NodeId, now: Instant) -> Self {
        Self { me, welcomes: Bucket::new(WELCOMES, now), lists: Bucket::new(LISTS, now), waiting: BTreeSet::new() }
    }

    /// Somebody greets while this node is not ready, so knows nobody for it.
    pub(crate) fn wait(&mut self, newcomer: NodeId) {
        if self.waiting.len() <= ONE_BY_ONE {
            self.waiting.insert(newcomer);
        }
    }

    /// Those who have waited, now that this node is ready; none when there are so many that one heartbeat has to do.
    pub(crate) fn waited(&mut self) -> Option<Vec<NodeId>> {
        let waiting = std::mem::take(&mut self.waiting);
        (waiting.len() <= ONE_BY_ONE).then(|| waiting.into_iter().collect())
    }

    /// What a greeting is answered with. `welcomed` is when the newcomer was welcomed last.
    pub(crate) fn reply(
        &mut self,
        newcomer: NodeId,
        welcomed: Option<Instant>,
        live: &BTreeSet<NodeId>,
        now: Instant,
    ) -> Reply {
        if welcomed.is_some_and(|welcomed| now.saturating_duration_since(welcomed) < AGAIN) {
            return Reply::Done;
        }
        if !self.may_welcome(now) {
            return Reply::Heartbeat;
        }
        Reply::Welcome { list: self.lists(newcomer, live) && self.lists.take(1, now) }
    }

    /// Whether one more welcome may be sent now.
    pub(crate) fn may_welcome(&mut self, now: Instant) -> bool {
        self.welcomes.take(1, now)
    }

    /// When within a time this node asks that one: not when others do.
    pub(crate) fn spread(&self, other: NodeId, within: Duration) -> Duration {
        let most = u64::try_from(within.as_micros()).unwrap_or(u64::MAX);
        Duration::from_micros(hash_pair(self.me, other) % most.max(1))
    }

    /// Whether this node is one of the few that tell this newcomer whom they know.
    fn lists(&self, newcomer: NodeId, live: &BTreeSet<NodeId>) -> bool {
        let mine = hash_pair(self.me, newcomer);
        let nearer = live.iter().filter(|other| **other != newcomer && hash_pair(**other, newcomer) < mine);
        nearer.take(LISTERS).count() < LISTERS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(n: u8) -> NodeId {
        NodeId::from_bytes([n; 16])
    }

    #[test]
    fn g22_everybody_welcomes_a_newcomer_and_three_name_the_others() {
        let now = Instant::now();
        let live: BTreeSet<_> = (0..100).map(node).collect();
        for newcomer in 100..120 {
            let reply = |me: u8| {
                let others = live.iter().copied().filter(|other| *other != node(me)).chain([node(newcomer)]).collect();
                Greetings::new(node(me), now).reply(node(newcomer), None, &others, now)
            };
            let lists = (0..100).filter(|me| reply(*me) == Reply::Welcome { list: true }).count();
            assert_eq!(lists, 3);
            assert!((0..100).all(|me| matches!(reply(me), Reply::Welcome { .. })));
        }
    }

    #[test]
    fn g14_a_flood_of_greetings_is_answered_at_a_bounded_rate() {
        let now = Instant::now();
        let mut greetings = Greetings::new(node(0), now);
        let live = BTreeSet::new();
        let mut flood = |at: Instant| {
            let replies: Vec<_> = (0..10_000).map(|_| greetings.reply(node(1), None, &live, at)).collect();
            let count = |wanted: Reply| replies.iter().filter(|reply| **reply == wanted).count();
            (count(Reply::Welcome { list: true }), count(Reply::Welcome { list: false }), count(Reply::Heartbeat))
        };
        assert_eq!(flood(now), (16, 240, 9744));
        assert_eq!(flood(now), (0, 0, 10_000));
        assert_eq!(flood(now + Duration::from_millis(500)), (8, 120, 9872));
    }

    #[test]
    fn a_greeting_that_comes_again_is_answered_once() {
        let now = Instant::now();
        let mut greetings = Greetings::new(node(0), now);
        let mut reply =
            |welcomed| greetings.reply(node(1), welcomed, &BTreeSet::new(), now + Duration::from_millis(200));
        assert_eq!(reply(Some(now + Duration::from_millis(1))), Reply::Done);
        assert_eq!(reply(Some(now)), Reply::Welcome { list: true });
    }
}
