//! What a node tells of what it gets.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use roomcast_core::GapChannel;
use tokio::sync::watch;

use super::history::{Line, Log, Run, now};
use super::message::Message;

/// Takes what a node gets, and writes it down. A clone writes to the same history.
#[derive(Clone)]
pub struct Listener(Arc<State>);

struct State {
    run: Run,
    log: Log,
    /// Which nodes have said that this was their last message, to all and to guests: they may say so again.
    ends: watch::Sender<HashSet<Message>>,
    /// The first thing that could not be taken, and why.
    failed: watch::Sender<Option<String>>,
}

impl Listener {
    pub(crate) fn new(run: Run, log: Log) -> Self {
        Self(Arc::new(State { run, log, ends: watch::Sender::default(), failed: watch::Sender::new(None) }))
    }

    /// The node's socket or its guest got this packet.
    pub fn packet(&self, packet: &[u8]) {
        let at = now();
        let line = match Message::parse(packet) {
            None => return self.fail("a packet came that no node sends"),
            Some(Message::ToAll(from, n)) => Line::Got { at, from, n },
            Some(Message::Inside(from, round)) => Line::GotInside { at, from, round },
            Some(Message::Outside(from, round)) => Line::GotOutside { at, from, round },
            Some(end) => {
                self.0.ends.send_if_modified(|ends| ends.insert(end));
                return;
            }
        };
        // What a node emits is on its own sockets before the call has returned; that is not what is asked here.
        if !matches!(line, Line::Got { from, .. } if from == self.0.run) {
            self.write(&line);
        }
    }

    /// The node was told that it has lost messages of the node with this [id](super::Node::id); `count` is `None` where nobody knows
    /// how many.
    pub fn gap(&self, id: &str, channel: GapChannel, count: Option<u64>) {
        self.write(&Line::Gap { id: id.to_owned(), inbox: channel == GapChannel::Inbox, count });
    }

    /// The node's socket or its guest was disconnected, which it should not be: the node fails.
    pub fn disconnected(&self) {
        self.fail("a socket was disconnected");
    }

    /// So many events were not read in time: gaps may be among them.
    pub fn missed_events(&self, n: u64) {
        self.write(&Line::MissedEvents { n });
    }

    pub(crate) fn write(&self, line: &Line) {
        if let Err(error) = self.0.log.add(line) {
            self.fail(&error.to_string());
        }
    }

    /// Returns when so many last messages have come.
    pub(crate) async fn ends(&self, count: usize) {
        let _ = self.0.ends.subscribe().wait_for(|ends| ends.len() >= count).await; // never closed: it is ours
    }

    /// Returns when something could not be taken.
    pub(crate) async fn failed(&self) -> String {
        let mut failed = self.0.failed.subscribe();
        match failed.wait_for(Option::is_some).await {
            Ok(failed) => failed.clone().unwrap_or_default(),
            Err(_) => std::future::pending().await, // never closed: it is ours
        }
    }

    fn fail(&self, why: &str) {
        self.0.failed.send_if_modified(|failed| {
            let first = failed.is_none();
            failed.get_or_insert_with(|| why.to_owned());
            first
        });
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener").field("run", &self.0.run).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use roomcast_core::GapChannel;

    use super::super::history::{History, Line, Log, Run};
    use super::{Listener, Message};

    #[test]
    fn it_writes_down_what_others_send_and_counts_their_ends() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("history");
        let (this, other) = (Run { node: 0, start: 0 }, Run { node: 1, start: 0 });
        let listener = Listener::new(this, Log::create(&path).expect("a file"));
        listener.packet(&Message::ToAll(this, 1).padded(0));
        listener.packet(&Message::ToAll(other, 2).padded(0));
        listener.gap("a", GapChannel::Inbox, None);
        assert!(listener.ends(1).now_or_never().is_none());
        listener.packet(&Message::End(other).padded(0));
        listener.packet(&Message::End(other).padded(0));
        assert!(listener.ends(1).now_or_never().is_some());
        assert!(listener.ends(2).now_or_never().is_none(), "it was the same once more");
        assert!(listener.failed().now_or_never().is_none());
        listener.packet(b"hello");
        assert!(listener.failed().now_or_never().is_some_and(|why| why.contains("no node sends")));
        let lines = History::read(this, &path).expect("read").lines;
        assert!(matches!(lines[..], [Line::Got { n: 2, .. }, Line::Gap { inbox: true, count: None, .. }]), "{lines:?}");
    }
}
