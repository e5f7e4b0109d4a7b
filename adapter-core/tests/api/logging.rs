//! What an operator reads who never asks for events.

use std::fmt::{Debug, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use roomcast_core::backend::{Channel, Connect, Outgoing};
use roomcast_core::{Cluster, ClusterName, Event, Memory};
use tokio::time::timeout;
use tracing::field::{Field, Visit};
use tracing::subscriber::{DefaultGuard, set_default};
use tracing::{Level, Metadata, Subscriber, span};

use crate::bad_input::stranger_inbox;
use crate::faulty::Mode;
use crate::outage::pair;
use crate::support::{Node, SOON, eventually, next};

/// The log of this thread, a line for each event: its fields as `name=value`, the message first.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<(Level, String)>>>);

impl Log {
    fn start() -> (Self, DefaultGuard) {
        let log = Self::default();
        (log.clone(), set_default(log))
    }

    /// The lines of a level that contain this.
    fn lines(&self, level: Level, text: &str) -> Vec<String> {
        let lines = self.0.lock().unwrap();
        lines.iter().filter(|(of, line)| *of == level && line.contains(text)).map(|(_, line)| line.clone()).collect()
    }

    /// The sum of the field `count` of such lines.
    fn count(&self, level: Level, text: &str) -> u64 {
        let counts = |line: &String| line.split(" count=").nth(1)?.split(' ').next()?.parse::<u64>().ok();
        self.lines(level, text).iter().filter_map(counts).sum()
    }
}

struct Line<'a>(&'a mut String);

impl Visit for Line<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let line = &mut *self.0;
        if field.name() == "message" { write!(line, "{value:?} ") } else { write!(line, "{field}={value:?} ") }
            .unwrap();
    }
}

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("roomcast_core")
    }
    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }
    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn event(&self, event: &tracing::Event<'_>) {
        let mut line = String::new();
        event.record(&mut Line(&mut line));
        self.0.lock().unwrap().push((*event.metadata().level(), line));
    }
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

#[tokio::test]
async fn joining_and_leaving_are_logged() {
    let (log, _guard) = Log::start();
    let memory = Memory::new();
    let one = Node::on(&memory).await;
    let joined = log.lines(Level::INFO, "joined the cluster");
    assert_eq!(joined.len(), 1);
    assert!(joined[0].contains("cluster=roomcast") && joined[0].contains("others=0"), "{joined:?}");

    let two = Node::with(Cluster::builder().node_name("web-2"), &memory).await;
    let joined = log.lines(Level::INFO, "joined the cluster");
    assert!(joined[1].contains("others=1") && joined[1].contains("web-2"), "{joined:?}");
    let id = two.cluster.node().id;
    eventually(|| !log.lines(Level::INFO, "a node is up").is_empty()).await;
    let up = log.lines(Level::INFO, "a node is up");
    assert_eq!(up.len(), 1, "whom a newcomer meets is no news: {up:?}");
    assert!(up[0].contains(&format!("other={id}")) && up[0].contains("web-2"), "{up:?}");

    two.cluster.close().await.unwrap();
    assert_eq!(log.lines(Level::INFO, "left the cluster").len(), 1);
    eventually(|| !log.lines(Level::INFO, "a node is down").is_empty()).await;
    let down = log.lines(Level::INFO, "a node is down");
    assert!(down[0].contains(&format!("other={id}")) && down[0].contains("it left"), "{down:?}");
    drop(one);
}

#[tokio::test]
async fn g09_what_was_lost_is_logged_with_its_number() {
    for (kept, level, line) in [
        (0, Level::WARN, "messages of other nodes were lost"),
        (1 << 20, Level::INFO, "messages of other nodes that were lost have been sent again"),
    ] {
        lose_seven(kept, level, line).await;
    }
}

async fn lose_seven(kept: usize, level: Level, line: &str) {
    let (log, _guard) = Log::start();
    let (one, link, two) = pair(Cluster::builder().history_bytes(kept)).await;
    let mut here = one.socket([]);
    two.chat.emit("before").await.unwrap();
    assert_eq!(next(&mut here).await, "before");
    link.set(Mode::Down).await;
    for _ in 0..7 {
        two.chat.emit("missed").await.unwrap();
    }
    two.cluster.flush(Duration::from_secs(10)).await.unwrap();
    link.set(Mode::Up).await;
    eventually(|| log.count(level, line) == 7).await;
    if kept == 0 {
        assert!(log.lines(level, line)[0].contains(&format!("sender={}", two.cluster.node().id)));
    }
    drop(one);
}

#[tokio::test(start_paused = true)]
async fn g14_a_flood_of_what_is_dropped_is_one_line_a_second() {
    let (log, _guard) = Log::start();
    let memory = Memory::new();
    let node = Node::on(&memory).await;
    let stranger = memory.connect(stranger_inbox().await).await.unwrap();
    let channel = Channel::cluster(&ClusterName::new("roomcast").unwrap());
    for _ in 0..300 {
        stranger.publish(&[Outgoing::new(channel.clone(), "garbage".into())]).await.unwrap();
        tokio::time::sleep(Duration::from_millis(10)).await; // by the paused clock: three seconds in all
    }
    eventually(|| log.count(Level::WARN, "malformed messages") == 300).await;
    let lines = log.lines(Level::WARN, "malformed messages").len();
    assert!(lines <= 5, "{lines} lines");
    drop(node);
}

#[tokio::test]
async fn a_handler_that_panics_is_logged_once_for_many_times() {
    let (log, _guard) = Log::start();
    let memory = Memory::new();
    let (one, two) = (Node::on(&memory).await, Node::on(&memory).await);
    two.chat.on_server_event(|_| async { panic!("no such job") }).unwrap();
    let mut events = two.cluster.events();
    for _ in 0..100 {
        one.chat.server_side_emit("job", "").await.unwrap();
    }
    let mut told = 0;
    while told < 100 {
        let event = timeout(SOON, events.next()).await.expect("nobody was told").unwrap();
        if let Event::Panicked { what, count, .. } = event {
            assert!(what.contains("/chat") && what.contains("no such job"), "{what}");
            told += count;
        }
    }
    assert_eq!(log.count(Level::ERROR, "panicked"), 100);
    assert!(log.lines(Level::ERROR, "panicked").len() <= 3);
}
