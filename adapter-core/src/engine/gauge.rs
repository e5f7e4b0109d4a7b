//! How much an engine holds, for the tests of G12.

use super::Engine;

/// How much an engine holds that belongs to somebody, or to something that should end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Gauge {
    /// Messages that wait to be sent.
    pub(crate) queued: usize,
    pub(crate) open_requests: usize,
    pub(crate) deadlines: usize,
    /// Questions of others for which acks are gathered, and the bytes of all answers.
    pub(crate) pending_acks: usize,
    pub(crate) answer_bytes: usize,
    /// Nodes that are remembered, and how many of them are not live.
    pub(crate) peers: usize,
    pub(crate) departed: usize,
    /// Nodes to whose inboxes messages are counted, and how many of them are not remembered as nodes.
    pub(crate) inboxes: usize,
    pub(crate) stray_inboxes: usize,
    /// Bytes held back behind holes, or in pieces.
    pub(crate) held_bytes: usize,
    pub(crate) assembled_bytes: usize,
}

impl Engine {
    pub(crate) fn gauge(&self) -> Gauge {
        let peers = self.members.all().count();
        let stray = |node: &crate::model::NodeId| self.members.get(*node).is_none();
        let accounts = self.members.all().flat_map(|(_, peer)| peer.cluster.iter().chain(&peer.inbox));
        Gauge {
            queued: self.sending.len(),
            open_requests: self.requests.len(),
            deadlines: self.requests.deadlines(),
            pending_acks: self.sending.pending_acks(),
            answer_bytes: self.sending.answer_bytes(),
            peers,
            departed: self.members.all().filter(|(_, peer)| !peer.is_live()).count(),
            inboxes: self.sending.inboxes().count(),
            stray_inboxes: self.sending.inboxes().filter(|node| stray(node)).count(),
            held_bytes: accounts.map(|account| account.bytes()).sum(),
            assembled_bytes: self.window.bytes(),
        }
    }
}
