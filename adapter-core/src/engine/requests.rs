//! Questions that wait for answers.

use std::collections::{BTreeSet, HashMap};
use std::time::Instant;

use crate::model::{MissingNode, MissingReason, NodeId};

/// The open questions. Each knows whom it asked: it ends when the last of them has answered, died or left, or at its
/// deadline, and names those who did not answer.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    newest: u64,
    open: HashMap<u64, Open>,
    deadlines: BTreeSet<(Instant, u64)>,
}

#[derive(Debug)]
struct Open {
    waiting: BTreeSet<NodeId>,
    missing: Vec<MissingNode>,
    deadline: Instant,
}

/// A question that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) request: u64,
    pub(crate) missing: Vec<MissingNode>,
}

impl Requests {
    /// A question to these nodes. There is nothing to wait for when there are none.
    pub(crate) fn ask(&mut self, nodes: impl IntoIterator<Item = NodeId>, deadline: Instant) -> u64 {
        self.newest += 1;
        let waiting: BTreeSet<_> = nodes.into_iter().collect();
        if !waiting.is_empty() {
            self.deadlines.insert((deadline, self.newest));
            self.open.insert(self.newest, Open { waiting, missing: Vec::new(), deadline });
        }
        self.newest
    }

    /// Whether an answer of this node is still waited for.
    pub(crate) fn awaits(&self, request: u64, node: NodeId) -> bool {
        self.open.get(&request).is_some_and(|open| open.waiting.contains(&node))
    }

    /// A node has said its last word, or never will.
    pub(crate) fn node_done(&mut self, request: u64, node: NodeId, missing: Option<MissingReason>) -> Option<Ended> {
        let open = self.open.get_mut(&request)?;
        if !open.waiting.remove(&node) {
            return None;
        }
        open.missing.extend(missing.map(|reason| MissingNode { node, reason }));
        if open.waiting.is_empty() { self.end(request) } else { None }
    }

    /// A node is gone: no question waits for it any more. Returns the questions that waited for it, and whether each
    /// has ended with that.
    pub(crate) fn gone(&mut self, node: NodeId, reason: MissingReason) -> Vec<(u64, Option<Ended>)> {
        let waited = self.open.iter().filter(|(_, open)| open.waiting.contains(&node));
        let mut requests: Vec<u64> = waited.map(|(request, _)| *request).collect();
        requests.sort_unstable();
        requests.into_iter().map(|request| (request, self.node_done(request, node, Some(reason)))).collect()
    }

    /// The questions whose time is up.
    pub(crate) fn expire(&mut self, now: Instant) -> Vec<Ended> {
        let mut ended = Vec::new();
        while let Some(&(deadline, request)) = self.deadlines.first().filter(|(deadline, _)| *deadline <= now) {
            self.deadlines.remove(&(deadline, request));
            ended.extend(self.end(request));
        }
        ended
    }

    /// Nobody waits for the answers any more.
    pub(crate) fn forget(&mut self, request: u64) {
        self.end(request);
    }

    /// Every question ends now.
    pub(crate) fn end_all(&mut self) -> Vec<Ended> {
        let mut requests: Vec<u64> = self.open.keys().copied().collect();
        requests.sort_unstable();
        requests.into_iter().filter_map(|request| self.end(request)).collect()
    }

    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    pub(crate) fn len(&self) -> usize {
        self.open.len()
    }

    #[cfg(test)]
    pub(crate) fn deadlines(&self) -> usize {
        self.deadlines.len()
    }

    fn end(&mut self, request: u64) -> Option<Ended> {
        let Open { waiting, mut missing, deadline } = self.open.remove(&request)?;
        self.deadlines.remove(&(deadline, request));
        missing.extend(waiting.into_iter().map(|node| MissingNode { node, reason: MissingReason::Timeout }));
        Some(Ended { request, missing })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const A: NodeId = NodeId::from_bytes([1; 16]);
    const B: NodeId = NodeId::from_bytes([2; 16]);

    #[test]
    fn g04_ends_with_the_last_answer_death_or_leave_and_names_who_is_missing() {
        let now = Instant::now();
        let mut requests = Requests::default();
        let request = requests.ask([A, B], now + Duration::from_secs(5));
        assert_eq!(requests.node_done(request, A, None), None);
        assert_eq!(requests.node_done(request, A, None), None, "a second answer of the same node changes nothing");
        let missing = vec![MissingNode { node: B, reason: MissingReason::Died }];
        assert_eq!(requests.gone(B, MissingReason::Died), [(request, Some(Ended { request, missing }))]);
        assert_eq!((requests.len(), requests.next_deadline()), (0, None));
    }

    #[test]
    fn g04_ends_at_the_deadline_and_leaves_nothing() {
        let now = Instant::now();
        let mut requests = Requests::default();
        let request = requests.ask([A, B], now);
        requests.node_done(request, B, None);
        let missing = vec![MissingNode { node: A, reason: MissingReason::Timeout }];
        assert_eq!(requests.expire(now), [Ended { request, missing }]);
        assert_eq!((requests.len(), requests.next_deadline()), (0, None));
        assert_eq!(requests.node_done(request, A, None), None, "too late");
    }
}
