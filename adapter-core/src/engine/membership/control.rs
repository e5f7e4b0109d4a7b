//! The control frames that this node sends.

use std::time::Instant;

use bytes::Bytes;

use crate::engine::{Destination, Engine};
use crate::model::NodeId;
use crate::wire::{Content, Hello, Kind, Pulse, Welcome, encode};

/// Control frames, made when they are sent: what they say is true then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum Control {
    Hello,
    Welcome(NodeId),
    Heartbeat,
    Probe,
    Bye,
}

impl Engine {
    pub(in crate::engine) fn control_frame(&mut self, control: Control, now: Instant) -> (Destination, u64, Content) {
        let counter = self.outbox.next_counter();
        if matches!(control, Control::Heartbeat | Control::Probe) {
            self.echo.sent(counter, now);
        }
        let name = self.settings.node.name.clone();
        let cluster = self.outbox.cluster_mark();
        let content = |kind, body| Content { kind, body, packet: Bytes::new() };
        let recent = now.checked_sub(3 * self.settings.heartbeat);
        let (to, content) = match control {
            Control::Hello => (Destination::Cluster, content(Kind::HELLO, encode(&Hello { name, cluster }))),
            Control::Welcome(to) => {
                let cluster = self.members.get_mut(to).map_or(cluster, |peer| *peer.welcomed.get_or_insert(cluster));
                let welcome = Welcome { name, cluster, nodes: self.members.entries() };
                (Destination::Inbox(to), content(Kind::WELCOME, encode(&welcome)))
            }
            Control::Heartbeat => {
                let pulse = Pulse { name, cluster, inboxes: self.outbox.inbox_marks(recent) };
                (Destination::Cluster, content(Kind::HEARTBEAT, encode(&pulse)))
            }
            Control::Probe => {
                (Destination::Inbox(self.settings.node.id), content(Kind::PROBE, encode(&crate::wire::Empty {})))
            }
            Control::Bye => {
                let pulse = Pulse { name, cluster, inboxes: self.outbox.inbox_marks(None) };
                (Destination::Cluster, content(Kind::BYE, encode(&pulse)))
            }
        };
        (to, counter, content)
    }

    pub(in crate::engine) fn pulse(&mut self) {
        if self.leaving {
            return;
        }
        for control in [Control::Heartbeat, Control::Probe] {
            if !self.control.contains(&control) {
                self.control.push_back(control);
            }
        }
    }
}
