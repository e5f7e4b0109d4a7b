//! One node of a run, as a process: it carries load, and writes down what it does and sees.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use adapter_core::{
    Cluster, Event, Events, GapChannel, Hub, MissingReason, NamespaceHandle, NodeId, Socket, SocketId, WhenUnreachable,
};
use futures_util::FutureExt;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::history::{Line, Log, Run, now};
use super::message::Message;
use crate::failure::{Failure, Verdict};
use crate::random::Random;
use crate::subject::Subject;

/// What a node is started with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Post {
    /// Which subject of the program.
    pub(crate) label: String,
    pub(crate) url: String,
    pub(crate) cluster: String,
    pub(crate) run: Run,
    pub(crate) nodes: u32,
    /// Messages a second that this node emits to all.
    pub(crate) rate: u32,
    pub(crate) seed: u64,
    /// See [`Options`](super::Options).
    pub(crate) history_bytes: Option<usize>,
    pub(crate) history: PathBuf,
}

/// So many messages are emitted in one go.
const BURST: u32 = 4;
/// One message in so many is large: it travels in pieces.
const LARGE_EVERY: u64 = 1_000;
const LARGE: usize = 150_000;
const SMALL: usize = 64;
/// Between two questions, and between two rounds of joining and leaving.
const PAUSE: Duration = Duration::from_millis(200);
/// How long connecting may take while the broker is struck.
const CONNECTING: Duration = Duration::from_secs(60);
/// How long a question may take.
const QUESTION: Duration = Duration::from_secs(5);
/// After the load, how long what is missing may take to come.
const PATIENCE: Duration = Duration::from_secs(40);
/// An echo that is younger proves the link.
const FRESH: Duration = Duration::from_millis(1_500);

/// A node at work.
struct Worker {
    post: Post,
    log: Log,
    cluster: Cluster,
    all: NamespaceHandle,
    rooms: NamespaceHandle,
    /// Says to stop the load.
    stop: watch::Receiver<bool>,
    /// How many nodes have said that this was their last message, to all and to rooms.
    ends: watch::Sender<u32>,
}

impl Post {
    /// As arguments of a program.
    pub(crate) fn arguments(&self) -> [String; 9] {
        let Self { label, url, cluster, run, nodes, rate, seed, history_bytes, history } = self;
        let history = history.display().to_string();
        let kept = history_bytes.map_or_else(|| "default".to_owned(), |bytes| bytes.to_string());
        [
            label.clone(),
            url.clone(),
            cluster.clone(),
            run.to_string(),
            nodes.to_string(),
            rate.to_string(),
            seed.to_string(),
            kept,
            history,
        ]
    }

    pub(crate) fn parse(arguments: impl IntoIterator<Item = String>) -> Option<Self> {
        let arguments: Vec<_> = arguments.into_iter().collect();
        let [label, url, cluster, run, nodes, rate, seed, kept, history] = arguments.try_into().ok()?;
        let history_bytes = if kept == "default" { None } else { Some(kept.parse().ok()?) };
        let (run, nodes, rate) = (run.parse().ok()?, nodes.parse().ok()?, rate.parse().ok()?);
        Some(Self {
            label,
            url,
            cluster,
            run,
            nodes,
            rate,
            seed: seed.parse().ok()?,
            history_bytes,
            history: history.into(),
        })
    }
}

/// Does what a node does, until it is told to end.
///
/// It says `ready`, and waits for `go`; with `stop` it ends the load and says `done` when it has all that it is owed, or has waited
/// long enough; with `close` it closes.
pub(crate) async fn work(subject: &Subject, post: Post, mut orders: mpsc::Receiver<String>) -> Verdict {
    let log = Log::create(&post.history)?;
    let builder = Cluster::builder().cluster(post.cluster.as_str()).node_name(format!("node {}", post.run));
    let builder = builder.when_unreachable(WhenUnreachable::Wait).connect_timeout(CONNECTING);
    let builder = match post.history_bytes {
        Some(bytes) => builder.history_bytes(bytes),
        None => builder,
    };
    let cluster = builder.connect((subject.connect)(&post.url)?).await?;
    let mut events = cluster.events();
    let hub = || Hub::builder().queue(500_000).queue_bytes(1 << 30).build();
    let (everyone, guests) = (hub(), hub());
    let all = cluster.namespace("/all", everyone.clone()).await?;
    let rooms = cluster.namespace("/rooms", guests.clone()).await?;
    all.on_server_event(|event| async move {
        if let Some(reply) = event.reply {
            reply.send("here");
        }
    })?;
    let socket = everyone.connect()?;
    let guest = guests.connect_as(guest(post.run.node)?)?;
    log.add(&Line::Ready { at: now(), id: cluster.node().id.to_string() })?;
    let (stop, stopped) = watch::channel(false);
    let worker = Arc::new(Worker { post, log, cluster, all, rooms, stop: stopped, ends: watch::Sender::new(0) });

    let mut readers = JoinSet::new();
    readers.spawn(worker.clone().read(socket));
    readers.spawn(worker.clone().read(guest));
    say("ready");
    expect(&mut orders, "go").await?;
    let mut load = JoinSet::new();
    load.spawn(worker.clone().emit());
    load.spawn(worker.clone().visit());
    load.spawn(worker.clone().ask());
    {
        let gaps = worker.watch(&mut events);
        tokio::pin!(gaps);
        tokio::select! {
            stop = expect(&mut orders, "stop") => stop?,
            failed = &mut gaps => return failed,
            Some(ended) = load.join_next() => ended??,
            Some(ended) = readers.join_next() => ended??,
        }
        let finish = async {
            stop.send_replace(true);
            while let Some(ended) = load.join_next().await {
                ended??;
            }
            worker.finish().await?;
            say("done");
            expect(&mut orders, "close").await
        };
        tokio::select! {
            finished = finish => finished?,
            failed = &mut gaps => return failed,
        }
    }
    worker.cluster.close().await?;
    while let Some(Some(event)) = events.next().now_or_never() {
        worker.note(event)?;
    }
    let stats = worker.cluster.stats();
    worker.log.add(&Line::Counted { repaired: stats.repaired, resent: stats.resent })?;
    worker.log.add(&Line::Ended { at: now() })?;
    readers.shutdown().await;
    Ok(())
}

impl Worker {
    /// Emits numbers to all, until it is told to stop.
    async fn emit(self: Arc<Self>) -> Verdict {
        let mut pace = tokio::time::interval(Duration::from_secs(u64::from(BURST)) / self.post.rate.max(1));
        // After a pause of the process the load goes on as it was.
        pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut n = 0;
        while !*self.stop.borrow() {
            pace.tick().await;
            for _ in 0..BURST {
                let size = if n % LARGE_EVERY == LARGE_EVERY / 2 { LARGE } else { SMALL };
                self.log.add(&Line::Sent { at: now(), n })?;
                if self.all.emit(Message::ToAll(self.post.run, n).padded(size)).await.is_err() {
                    self.log.add(&Line::Refused { n })?;
                }
                n += 1;
            }
        }
        Ok(())
    }

    /// Lets guests of other nodes into rooms and out again, and emits to the rooms both times.
    async fn visit(self: Arc<Self>) -> Verdict {
        let mut random = Random(self.post.seed ^ u64::from(self.post.run.node) << 8 ^ u64::from(self.post.run.start));
        let mut pace = tokio::time::interval(PAUSE);
        pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let others: Vec<_> = (0..self.post.nodes).filter(|node| *node != self.post.run.node).collect();
        let mut round = 0;
        while !*self.stop.borrow() && !others.is_empty() {
            pace.tick().await;
            let node = others[random.below(others.len())];
            let room = format!("room {} {round}", self.post.run);
            let id = guest(node)?;
            // Every other time without waiting: one sender's operations are carried out in order all the same.
            let guest = || {
                let guest = self.rooms.within(id.as_str()).timeout(QUESTION);
                if round % 2 == 0 { guest } else { guest.no_wait() }
            };
            let joined = now();
            if guest().join_sockets(room.as_str()).await.is_ok() {
                self.log.add(&Line::SentInside { joined, round, guest: node })?;
                let inside = Message::Inside(self.post.run, round).padded(SMALL);
                if self.rooms.to(room.as_str()).emit(inside).await.is_err() {
                    self.log.add(&Line::RefusedInside { round })?;
                }
                if guest().leave_sockets(room.as_str()).await.is_ok() {
                    let outside = Message::Outside(self.post.run, round).padded(SMALL);
                    drop(self.rooms.to(room.as_str()).emit(outside).await); // nobody is to get it in any case
                }
            }
            round += 1;
        }
        Ok(())
    }

    /// Asks all nodes now and then.
    async fn ask(self: Arc<Self>) -> Verdict {
        let mut pace = tokio::time::interval(PAUSE);
        pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        for n in 0_u64.. {
            pace.tick().await;
            if *self.stop.borrow() {
                break;
            }
            let began = Instant::now();
            let answer = if n % 2 == 0 {
                let counted = self.all.timeout(QUESTION).count_sockets().await;
                counted.map(|counted| (counted.items.len(), counted.missing))
            } else {
                let asked = self.all.server_side_emit_with_ack("who", "", QUESTION).await;
                asked.map(|asked| (asked.items.len(), asked.missing))
            };
            let took = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
            self.log.add(&match answer {
                Err(_) => Line::NotAsked,
                Ok((answered, missing)) => {
                    let late = missing.iter().filter(|node| node.reason == MissingReason::Timeout).count() as u64;
                    Line::Asked { took, answered: answered as u64, missing: missing.len() as u64, late }
                }
            })?;
        }
        Ok(())
    }

    /// Writes down what a socket gets, for as long as it is connected.
    async fn read(self: Arc<Self>, mut socket: Socket) -> Verdict {
        while let Some(delivery) = socket.next().await {
            let at = now();
            let line = match Message::parse(&delivery.packet.data) {
                None => return Err(Failure::new("a packet came that no node sends")),
                Some(Message::ToAll(from, n)) => Line::Got { at, from, n },
                Some(Message::Inside(from, round)) => Line::GotInside { at, from, round },
                Some(Message::Outside(from, round)) => Line::GotOutside { at, from, round },
                Some(Message::End(_)) => {
                    self.ends.send_modify(|ends| *ends += 1);
                    continue;
                }
            };
            // What a node emits is on its own sockets before the call has returned; that is not what is asked here.
            if !matches!(line, Line::Got { from, .. } if from == self.post.run) {
                self.log.add(&line)?;
            }
        }
        Ok(())
    }

    /// Writes down what the node is told to be lost; ends only when that fails.
    async fn watch(&self, events: &mut Events) -> Verdict {
        while let Some(event) = events.next().await {
            self.note(event)?;
        }
        std::future::pending().await
    }

    fn note(&self, event: Event) -> Verdict {
        let line = match event {
            Event::Gap { node, channel, count } => gap(node, channel, count),
            Event::Missed(n) => Line::MissedEvents { n },
            _ => return Ok(()),
        };
        Ok(self.log.add(&line)?)
    }

    /// Sends a last message, and waits for that of every node: what was sent before is delivered then, or reported.
    async fn finish(&self) -> Verdict {
        let all = self.post.nodes * 2;
        let wait = async {
            let mut look = tokio::time::interval(Duration::from_millis(20));
            while self.cluster.health() >= FRESH {
                look.tick().await; // it can only be looked at
            }
            self.cluster.flush(PATIENCE).await?;
            self.all.emit(Message::End(self.post.run).padded(SMALL)).await?;
            self.rooms.emit(Message::End(self.post.run).padded(SMALL)).await?;
            let _ = self.ends.subscribe().wait_for(|ends| *ends >= all).await; // never closed: it is ours
            Verdict::Ok(())
        };
        // Who waits in vain has lost something, which its history says.
        tokio::time::timeout(PATIENCE, wait).await.unwrap_or(Ok(()))
    }
}

fn gap(node: NodeId, channel: GapChannel, count: Option<u64>) -> Line {
    Line::Gap { id: node.to_string(), inbox: channel == GapChannel::Inbox, count }
}

/// The guest of a node: the socket that others let into their rooms.
fn guest(node: u32) -> Verdict<SocketId> {
    Ok(SocketId::new(format!("guest-{node}"))?)
}

/// To the process that has started this one.
fn say(word: &str) {
    println!("{word}");
}

async fn expect(orders: &mut mpsc::Receiver<String>, word: &str) -> Verdict {
    match orders.recv().await {
        Some(order) if order == word => Ok(()),
        other => Err(Failure::new(format!("{word} was expected, not {other:?}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::{Post, Run};

    #[test]
    fn a_post_is_told_by_arguments() {
        let post = Post {
            label: "redis sharded".to_owned(),
            url: "redis://127.0.0.1:1?mode=sharded".to_owned(),
            cluster: "c1".to_owned(),
            run: Run { node: 3, start: 2 },
            nodes: 4,
            rate: 500,
            seed: u64::MAX,
            history_bytes: Some(0),
            history: "/tmp/a b".into(),
        };
        assert_eq!(Post::parse(post.arguments()), Some(post.clone()));
        let post = Post { history_bytes: None, ..post };
        assert_eq!(Post::parse(post.arguments()), Some(post.clone()));
        assert_eq!(Post::parse(post.arguments().into_iter().skip(1)), None);
    }
}
