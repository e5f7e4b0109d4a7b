//! The control frames that this node sends.

use std::time::Instant;

use serde::Serialize;

use super::Farewell;
use super::detector::successors;
use super::rhythm::Due;
use crate::engine::{Destination, Engine};
use crate::model::NodeId;
use crate::wire::{Bye, Content, Empty, Heartbeat, Hello, InboxMark, Kind, Mark, Nodes, Suspect, Tail, Welcome};

/// So much control goes into one batch: what waits behind it is not held up.
const BATCH: usize = 64 << 10;
/// No control frame is larger than this, or than the link takes: none is cut into parts.
const LARGEST: usize = 4 << 10;
/// What a frame of names or marks takes beside them, at the most.
const AROUND: usize = 96;

/// Control frames, made when they are sent: what they say is true then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum Control {
    Hello,
    /// With so many frames of names after it.
    Welcome(NodeId, u32),
    /// Which frame of names, of how many.
    Nodes(NodeId, u32, u32),
    Heartbeat,
    /// A heartbeat that asks who is there.
    Ask,
    /// A heartbeat to one node's inbox.
    Beat(NodeId),
    Probe,
    Suspect(NodeId),
    /// Where the numbers of a channel stand.
    Mark(Destination),
    /// What this node has and misses of what another one has sent to its inbox, or to the cluster.
    Nack(NodeId, bool),
    Bye,
}

impl Engine {
    /// Sends a control frame with the next batch; after the goodbye nothing is sent that says that we live.
    pub(in crate::engine) fn control(&mut self, control: Control) {
        if !self.leaving && !self.control.contains(&control) {
            self.control.push_back(control);
        }
    }

    /// The control frames of the next batch.
    pub(in crate::engine) fn take_control(&mut self, now: Instant) -> (Vec<Control>, Vec<(Destination, u64, Content)>) {
        self.note_tails(now);
        let (mut taken, mut frames, mut bytes) = (Vec::new(), Vec::new(), 0);
        while bytes < BATCH
            && let Some(control) = self.control.pop_front()
        {
            // What does not fit into a goodbye goes before it.
            let before = if control == Control::Bye { self.other_inboxes(now) } else { Vec::new() };
            for control in before.into_iter().map(Control::Mark).chain([control]) {
                if let Some(frame) = self.control_frame(control, now) {
                    bytes += frame.2.body.len() + AROUND;
                    frames.push(frame);
                    taken.push(control);
                }
            }
        }
        (taken, frames)
    }

    fn control_frame(&mut self, control: Control, now: Instant) -> Option<(Destination, u64, Content)> {
        let cluster = self.sending.cluster_mark();
        let me = self.settings.node.id;
        let (to, content) = match control {
            // The greeting waited for the link until this node was ready. A node that has started since would take this one for a newcomer.
            Control::Hello if self.readiness.is_none() => return None,
            Control::Hello => {
                let name = self.settings.node.name.clone();
                (Destination::Cluster, content(Kind::HELLO, &Hello { name, cluster }))
            }
            Control::Welcome(to, lists) => {
                let name = self.settings.node.name.clone();
                let newcomer = self.sending.newcomer_mark();
                let cluster = *self.members.get_mut(to)?.welcomed.get_or_insert(newcomer);
                (
                    Destination::Inbox(to),
                    content(Kind::WELCOME, &Welcome { name, cluster, period: self.period(), lists }),
                )
            }
            Control::Nodes(to, index, of) => {
                let nodes = self.names(to, index, of);
                (Destination::Inbox(to), content(Kind::NODES, &Nodes { index, nodes }))
            }
            Control::Heartbeat => (Destination::Cluster, self.heartbeat(cluster, false)),
            Control::Ask => (Destination::Cluster, self.heartbeat(cluster, true)),
            Control::Beat(to) => (Destination::Inbox(to), self.heartbeat(cluster, false)),
            Control::Probe => (Destination::Inbox(me), content(Kind::PROBE, &Empty {})),
            Control::Suspect(node) => (Destination::Cluster, content(Kind::SUSPECT, &Suspect { node })),
            Control::Mark(to) => (to, content(Kind::MARK, &Tail { mark: self.sending.mark(to)? })),
            Control::Nack(node, inbox) => return self.nack(node, inbox, now),
            Control::Bye => {
                self.farewell = Some(self.wait_for_others(cluster));
                let inboxes = self.last_inboxes(now);
                (Destination::Cluster, content(Kind::BYE, &Bye { cluster, inboxes }))
            }
        };
        let counter = self.sending.next_counter();
        match control {
            Control::Probe => self.echo.probe_sent(counter, now),
            Control::Hello => self.echo.heartbeat_sent(counter, now),
            Control::Heartbeat | Control::Ask => {
                self.echo.heartbeat_sent(counter, now);
                self.rhythm.beaten(now);
            }
            _ => {}
        }
        Some((to, counter, content))
    }

    fn heartbeat(&self, cluster: Mark, asks: bool) -> Content {
        let (name, period) = (self.settings.node.name.clone(), self.period());
        content(Kind::HEARTBEAT, &Heartbeat { name, cluster, period, asks })
    }

    /// What we promise, in milliseconds.
    fn period(&self) -> u32 {
        u32::try_from(self.rhythm.period().as_millis()).unwrap_or(u32::MAX)
    }

    /// How much of a control frame may be names or marks.
    pub(in crate::engine) fn capacity(&self) -> usize {
        LARGEST.min(self.limits.max_frame).saturating_sub(AROUND)
    }

    /// How many frames a list of all that we know takes.
    pub(super) fn lists(&self) -> u32 {
        let each = (self.capacity() / size_of::<NodeId>()).max(1);
        u32::try_from(self.members.ring().len().div_ceil(each).max(1)).unwrap_or(u32::MAX)
    }

    /// The names in one frame of a list of so many: an equal share of those that are live now.
    fn names(&self, newcomer: NodeId, index: u32, of: u32) -> Vec<NodeId> {
        let live = self.members.ring();
        let each = live.len().div_ceil(of.max(1) as usize).min((self.capacity() / size_of::<NodeId>()).max(1));
        let names = live.iter().copied().skip(each * index as usize).take(each);
        names.filter(|name| *name != newcomer).collect()
    }

    /// The inboxes that were written to last, as many as fit into a goodbye.
    fn last_inboxes(&self, now: Instant) -> Vec<InboxMark> {
        let recent = self.tails.recent(now).into_iter().take(self.most_inboxes());
        let mark = |to| self.sending.mark(to).map(|mark| (to, mark));
        let inbox = |(to, mark)| if let Destination::Inbox(node) = to { Some(InboxMark { node, mark }) } else { None };
        recent.filter_map(mark).filter_map(inbox).collect()
    }

    /// The others.
    fn other_inboxes(&self, now: Instant) -> Vec<Destination> {
        self.tails.recent(now).into_iter().skip(self.most_inboxes()).collect()
    }

    fn most_inboxes(&self) -> usize {
        self.capacity() / (size_of::<NodeId>() + 2 * 9)
    }

    /// Those who may miss something of what this node has sent.
    fn wait_for_others(&self, last: Mark) -> Farewell {
        let live = self.members.ring();
        let waiting = if self.sending.keeps(Destination::Cluster) {
            live.clone()
        } else {
            let inbox = |to| if let Destination::Inbox(node) = to { Some(node) } else { None };
            self.sending.kept_channels().filter_map(inbox).filter(|node| live.contains(node)).collect()
        };
        Farewell::new(last, waiting)
    }

    /// Says goodbye; what is queued before it is to be sent before it.
    pub(crate) fn say_bye(&mut self, now: Instant) {
        self.leaving = true;
        let absent = self.members.take_absent();
        self.give_up_absent(absent, now);
        self.control.clear();
        self.control.push_back(Control::Bye);
    }

    /// Sends what is due by the rhythm.
    pub(in crate::engine) fn beat(&mut self, now: Instant) {
        let quiet = self.echo.quiet(now) >= self.settings.heartbeat;
        let Due { probe, heartbeat, beats, askers } = self.rhythm.due(quiet, now);
        if heartbeat {
            self.control(Control::Heartbeat);
        }
        if probe {
            self.control(Control::Probe);
        }
        let watchers = if beats { self.settings.watchers } else { 0 };
        let watchers: Vec<_> = successors(self.members.ring(), self.settings.node.id).take(watchers).collect();
        for node in watchers.into_iter().chain(askers) {
            self.control(Control::Beat(node));
        }
    }

    /// Notes what the broker has taken meanwhile.
    fn note_tails(&mut self, now: Instant) {
        for to in self.sending.take_confirmed() {
            self.tails.sent(to, now);
        }
    }

    /// Tells those who wait for it where the numbers of the streams stand that have gone idle.
    pub(in crate::engine) fn tell_tails(&mut self, now: Instant) {
        self.note_tails(now);
        for to in self.tails.idle(now) {
            // In a small cluster the heartbeats say it each second.
            if to != Destination::Cluster || self.rhythm.is_ring() {
                self.control(Control::Mark(to));
            }
        }
    }
}

fn content<T: Serialize>(kind: Kind, body: &T) -> Content {
    Content::new(kind, body)
}
