//! One node of a run, as a process: it carries load, and writes down what it does and sees.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use roomcast_core::adapter::WaitFor;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Interval;

use super::contestant::Contestant;
use super::history::{Line, Log, Run, now};
use super::listener::Listener;
use super::message::Message;
use super::node::{Answered, Node, NodeResult, Place, Repairs};
use crate::failure::{Failure, Verdict};
use crate::random::Random;

/// What a node is started with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Post {
    /// Which contestant of the program.
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
/// After the load, how long what is missing may take to come.
const PATIENCE: Duration = Duration::from_secs(40);

/// A node at work.
struct Worker {
    post: Post,
    node: Arc<dyn Node>,
    listener: Listener,
    /// Says to stop the load.
    stop: watch::Receiver<bool>,
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

    fn place(&self) -> Place {
        let Self { url, cluster, run, nodes, history_bytes, .. } = self.clone();
        Place { url, cluster, node: run.node, start: run.start, nodes, history_bytes }
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
pub(crate) async fn work(contestant: &Contestant, post: Post, mut orders: mpsc::Receiver<String>) -> Verdict {
    let listener = Listener::new(post.run, Log::create(&post.history)?);
    let node = contestant.join.join(&post.place(), listener.clone()).await.map_err(Failure::new)?;
    listener.write(&Line::Ready { at: now(), id: node.id() });
    let (stop, stopped) = watch::channel(false);
    let worker = Arc::new(Worker { post, node, listener, stop: stopped });
    say("ready");
    expect(&mut orders, "go").await?;
    let mut load = JoinSet::new();
    load.spawn(worker.clone().emit());
    load.spawn(worker.clone().visit());
    load.spawn(worker.clone().ask());
    let through = async {
        tokio::select! {
            stop = expect(&mut orders, "stop") => stop?,
            Some(ended) = load.join_next() => return Err(Failure::new(format!("the load ended: {ended:?}"))),
        }
        stop.send_replace(true);
        while let Some(ended) = load.join_next().await {
            ended?;
        }
        worker.finish().await;
        say("done");
        expect(&mut orders, "close").await
    };
    tokio::select! {
        through = through => through?,
        why = worker.listener.failed() => return Err(Failure::new(why)),
    }
    worker.node.close().await.map_err(Failure::new)?;
    let Repairs { repaired, resent } = worker.node.repairs();
    worker.listener.write(&Line::Counted { repaired, resent });
    worker.listener.write(&Line::Ended { at: now() });
    Ok(())
}

impl Worker {
    /// Emits numbers to all, until it is told to stop.
    async fn emit(self: Arc<Self>) {
        let mut pace = pace(Duration::from_secs(u64::from(BURST)) / self.post.rate.max(1));
        let mut n = 0;
        while !*self.stop.borrow() {
            pace.tick().await;
            for _ in 0..BURST {
                let size = if n % LARGE_EVERY == LARGE_EVERY / 2 { LARGE } else { SMALL };
                self.listener.write(&Line::Sent { at: now(), n });
                if self.node.emit(&Message::ToAll(self.post.run, n).padded(size)).await.is_err() {
                    self.listener.write(&Line::Refused { n });
                }
                n += 1;
            }
        }
    }

    /// Lets guests of other nodes into rooms and out again, and emits to the rooms both times.
    async fn visit(self: Arc<Self>) {
        let mut random = Random(self.post.seed ^ u64::from(self.post.run.node) << 8 ^ u64::from(self.post.run.start));
        let mut pace = pace(PAUSE);
        let others: Vec<_> = (0..self.post.nodes).filter(|node| *node != self.post.run.node).collect();
        let mut round = 0;
        while !*self.stop.borrow() && !others.is_empty() {
            pace.tick().await;
            let guest = others[random.below(others.len())];
            let room = format!("room {} {round}", self.post.run);
            // Every other time without waiting: one sender's operations are carried out in order all the same.
            let wait = if round % 2 == 0 { WaitFor::Applied } else { WaitFor::Sent }(Place::QUESTION);
            let joined = now();
            if self.node.join(guest, &room, wait).await.is_ok() {
                self.listener.write(&Line::SentInside { joined, round, guest });
                let inside = Message::Inside(self.post.run, round).padded(SMALL);
                if self.node.emit_to_room(&room, &inside).await.is_err() {
                    self.listener.write(&Line::RefusedInside { round });
                }
                if self.node.leave(guest, &room, wait).await.is_ok() {
                    let outside = Message::Outside(self.post.run, round).padded(SMALL);
                    drop(self.node.emit_to_room(&room, &outside).await); // nobody is to get it in any case
                }
            }
            round += 1;
        }
    }

    /// Asks all nodes now and then.
    async fn ask(self: Arc<Self>) {
        let mut pace = pace(PAUSE);
        for n in 0_u64.. {
            pace.tick().await;
            if *self.stop.borrow() {
                break;
            }
            let began = Instant::now();
            let answer = self.node.ask(n).await;
            let took = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
            self.listener.write(&match answer {
                Err(_) => Line::NotAsked,
                Ok(Answered { answered, missing, late }) => Line::Asked { took, answered, missing, late },
            });
        }
    }

    /// Sends a last message, and waits for that of every node: what was sent before is delivered then, or reported.
    async fn finish(&self) {
        let (end, to_guests) = (Message::End(self.post.run), Message::EndToGuests(self.post.run));
        let (end, to_guests) = (end.padded(SMALL), to_guests.padded(SMALL));
        let wait = async {
            until_ok(|| self.node.settle()).await;
            until_ok(|| self.node.emit(&end)).await;
            until_ok(|| self.node.emit_to_guests(&to_guests)).await;
            self.listener.ends(self.post.nodes as usize * 2).await;
        };
        // Who waits in vain has lost something, which its history says.
        let _ = tokio::time::timeout(PATIENCE, wait).await;
    }
}

async fn until_ok<F: Future<Output = NodeResult>>(mut attempt: impl FnMut() -> F) {
    let mut pace = pace(PAUSE);
    while attempt().await.is_err() {
        pace.tick().await;
    }
}

/// After a pause of the process the load goes on as it was.
fn pace(period: Duration) -> Interval {
    let mut pace = tokio::time::interval(period);
    pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    pace
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
