//! The inbox of a backend: any channel, any bytes, beside a plain model of what it holds.

use std::collections::VecDeque;

use bytes::Bytes;

use super::choices::Script;
use super::{Choices, messages, target};
use crate::model::{ClusterName, NodeId};
use crate::seams::Owner;
use crate::seams::inbox::{Bounds, PLACE};
use crate::seams::{Channel, Inbox, InboxFull};
use crate::wire::Glance;

const ME: NodeId = NodeId::from_bytes([1; 16]);
const CAST: [NodeId; 2] = [ME, NodeId::from_bytes([2; 16])];
const BOUNDS: Bounds = Bounds { messages: 4, bytes: 400 + 3 * PLACE, control: 3 };

#[test]
fn inbox() {
    target!("inbox").for_each(|script: &Script| {
        let mut choices = Choices::new(script);
        let mut run = Run::default();
        run.inbox.want(&[Channel::new("rc.a").expect("valid"), Channel::new("rc.b").expect("valid")]);
        while !choices.is_over() {
            match choices.below(8) {
                0 => run.take(choices.yes()),
                1 => {
                    let name = String::from_utf8_lossy(choices.bytes(8)).into_owned();
                    run.offer(&name, messages::message(&mut choices, &CAST));
                }
                _ => {
                    let channel = *choices.pick(&["rc.a", "rc.b", "rc.c", ""]);
                    run.offer(channel, messages::message(&mut choices, &CAST));
                }
            }
        }
        run.take(true);
        run.take(true);
        assert!(run.messages.is_empty() && run.control.is_empty(), "something was not handed on");
        run.inbox.close();
        assert_eq!(run.inbox.frame("rc.a", Bytes::from_static(b"late")), Ok(()));
        assert!(run.inbox.take(true).messages.is_empty(), "taken after the end");
    });
}

struct Run {
    inbox: Inbox,
    /// What waits, as (channel, payload).
    messages: VecDeque<(String, Bytes)>,
    control: VecDeque<Bytes>,
    own: u64,
}

impl Default for Run {
    fn default() -> Self {
        let owner = Owner {
            cluster: ClusterName::new(ClusterName::DEFAULT).expect("valid"),
            node: Some(ME),
            name: String::new(),
        };
        let inbox = Inbox::new(BOUNDS, Some(owner));
        inbox.wrote(u64::MAX); // nobody else speaks as this node here
        Self { inbox, messages: VecDeque::new(), control: VecDeque::new(), own: 0 }
    }
}

impl Run {
    fn offer(&mut self, channel: &str, payload: Bytes) {
        let answer = self.inbox.frame(channel, payload.clone());
        let glance = Glance::at(&payload);
        let control = glance.is_some_and(|glance| glance.control);
        if !["rc.a", "rc.b"].contains(&channel) {
            return assert_eq!(answer, Ok(()), "a stranger's is dropped");
        }
        if !control && glance.is_some_and(|glance| glance.sender == ME) {
            self.own += 1;
            assert_eq!((answer, self.inbox.own()), (Ok(()), self.own));
            return;
        }
        let cost = |payload: &Bytes| PLACE + payload.len();
        let bytes = self.messages.iter().map(|(_, payload)| cost(payload)).sum::<usize>() + cost(&payload);
        let fits = |most, bound| self.messages.len() < most && (self.messages.is_empty() || bytes <= bound);
        if control {
            assert_eq!(answer, Ok(()), "never full for control");
            let bytes: usize = self.control.iter().map(cost).sum();
            if self.control.len() < BOUNDS.control && bytes < BOUNDS.bytes {
                self.control.push_back(payload.clone());
            }
            if fits(BOUNDS.messages + BOUNDS.control, 2 * BOUNDS.bytes) {
                self.messages.push_back((channel.to_owned(), payload));
            }
        } else if fits(BOUNDS.messages, BOUNDS.bytes) {
            assert_eq!(answer, Ok(()));
            self.messages.push_back((channel.to_owned(), payload));
        } else {
            assert_eq!(answer, Err(InboxFull(payload)));
        }
    }

    fn take(&mut self, messages: bool) {
        let taken = self.inbox.take(messages);
        let control: VecDeque<_> = taken.control.into_iter().map(|arrival| arrival.payload).collect();
        assert_eq!(control, std::mem::take(&mut self.control));
        if messages {
            let of = |arrival: crate::seams::inbox::Arrival| (arrival.channel.as_str().to_owned(), arrival.payload);
            let taken: VecDeque<_> = taken.messages.into_iter().map(of).collect();
            assert_eq!(taken, std::mem::take(&mut self.messages));
        }
    }
}
