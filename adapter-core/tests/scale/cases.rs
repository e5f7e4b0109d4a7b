//! The life of one cluster: each case goes on where the one before it ended.

use std::time::Duration;

use tokio::time::{Instant, advance, sleep};

use super::cluster::{Member, Nodes};
use super::limits::{CRASH_WITHIN, JOIN_WITHIN, LEAVE_WITHIN, STALL, START_WITHIN};
use super::report::{Report, Row};
use super::traffic::Traffic;

const SECOND: Duration = Duration::from_secs(1);
/// So long it is waited for what does not come in time, to say when it came.
const AT_LAST: Duration = Duration::from_secs(20);
/// What a case causes has been sent by then.
const AFTERMATH: Duration = Duration::from_secs(2);

/// Runs all cases on a cluster of so many nodes; virtual time begins with the first.
pub(crate) fn life(count: usize, seed: u64) -> Report {
    run(async move {
        let mut life = Life { nodes: Nodes::none(seed), report: Report::of(count), rest: Traffic::default() };
        life.start(count).await;
        life.rest().await;
        life.join().await;
        life.leave().await;
        life.crash(1, "crash").await;
        life.stall().await;
        life.freeze().await;
        life.cut().await;
        if count >= 30 {
            life.crash(count / 10, "crash of a tenth").await;
        }
        life.report
    })
}

/// A cluster that grows by so many nodes at a time: when one has connected, it knows all that had connected before.
pub(crate) fn growth(count: usize, batch: usize, seed: u64) -> Report {
    run(async move {
        let mut life = Life { nodes: Nodes::none(seed), report: Report::of(count), rest: Traffic::default() };
        let began = life.begin();
        let mut known = 0;
        while known < count {
            let started = life.nodes.start(batch).await;
            life.report.at_most("growth: nodes that could not connect", u8::from(started.is_err()), 0);
            let newest = &life.nodes.all[known..];
            let lacking = newest.iter().filter(|newcomer| !newcomer.knows_all(&life.nodes.all[..known])).count();
            life.report.at_most("growth: newcomers that do not know who was there", lacking, 0);
            known += batch;
        }
        let took = life.nodes.until(AT_LAST, |node| node.knows(known)).await;
        life.row("grows by batches", &began, took);
        life.report.within("growth: all know all", took, JOIN_WITHIN);
        life.report
    })
}

/// Runs on a paused clock of its own, in one thread.
pub(crate) fn run<T>(what: impl Future<Output = T>) -> T {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_time().start_paused(true).build().expect("a runtime").block_on(what)
}

struct Life {
    nodes: Nodes,
    report: Report,
    /// What ten seconds at rest cost.
    rest: Traffic,
}

/// When a case began, and what had been sent by then.
struct Began(Instant, Traffic);

impl Life {
    fn begin(&self) -> Began {
        Began(Instant::now(), self.nodes.traffic())
    }

    fn row(&mut self, what: &'static str, Began(at, before): &Began, took: Option<Duration>) {
        let traffic = self.nodes.traffic() - *before;
        self.report.row(Row { what, window: at.elapsed(), took, traffic });
        let mistaken = self.nodes.mistaken();
        self.report.at_most(&format!("{what}: nodes that do not know who lives"), mistaken, 0);
        self.report.at_most(&format!("{what}: too much under way"), u8::from(self.nodes.broker().ran_away()), 0);
    }

    /// Bytes that all received since, beyond what they receive at rest.
    fn beyond_rest(&self, Began(at, before): &Began) -> u64 {
        let overhead = self.report.limits.overhead;
        let rest = self.rest.delivered.all().bytes_with(overhead) as f64 * at.elapsed().as_secs_f64() / 10.0;
        let all = (self.nodes.traffic() - *before).delivered.all().bytes_with(overhead);
        all.saturating_sub(rest as u64)
    }

    /// All start at once.
    async fn start(&mut self, count: usize) {
        let began = self.begin();
        let started = self.nodes.start(count).await;
        self.report.at_most("start: nodes that could not connect", u8::from(started.is_err()), 0);
        let known = self.nodes.until(AT_LAST, |node| node.knows(count)).await;
        let took = known.map(|_| began.0.elapsed());
        sleep(AFTERMATH).await;
        self.row("all start at once", &began, took);
        self.report.within("start", took, START_WITHIN);
    }

    async fn rest(&mut self) {
        sleep(SECOND).await;
        let began = self.begin();
        sleep(10 * SECOND).await;
        self.row("10 s at rest", &began, Some(began.0.elapsed()));
        self.rest = self.nodes.traffic() - began.1;
        let (limits, nodes) = (self.report.limits, self.nodes.all.len() as f64);
        let received = self.rest.delivered;
        let rate = received.control.messages as f64 / nodes / 10.0;
        self.report.at_most("at rest: control messages for each node in a second", rate, limits.rest_messages);
        self.report.at_most("at rest: other messages", received.other.messages, 0);
        let bytes = received.all().bytes_with(limits.overhead) / 10;
        self.report.at_most("at rest: bytes in a second", bytes, limits.rest_bytes);
    }

    async fn join(&mut self) {
        let began = self.begin();
        let joined = self.nodes.start(1).await;
        let connected = joined.is_ok().then(|| began.0.elapsed());
        let count = self.nodes.all.len();
        if let Some(newcomer) = self.nodes.all.last() {
            let unknown = count - newcomer.cluster.nodes().len();
            self.report.at_most("join: nodes that the newcomer does not know", unknown, 0);
        }
        let known = self.nodes.until(AT_LAST, |node| node.knows(count)).await;
        let took = known.map(|_| began.0.elapsed());
        sleep(AFTERMATH).await;
        self.row("one joins", &began, took);
        self.report.within("join: connected", connected, JOIN_WITHIN);
        self.report.within("join: known to all", took, JOIN_WITHIN);
        let limits = self.report.limits;
        let newcomer = self.nodes.all[count - 1].link;
        let received = self.nodes.broker().traffic_of(newcomer).delivered.all().bytes_with(limits.overhead);
        println!("{:>5} . the newcomer receives {received} bytes, all {} beyond rest", count, self.beyond_rest(&began));
        self.report.at_most("join: bytes for the newcomer", received, limits.join_received);
        self.report.at_most("join: bytes for all", self.beyond_rest(&began), limits.join_bytes);
    }

    async fn leave(&mut self) {
        let began = self.begin();
        let left = self.nodes.all.remove(0);
        let closing = tokio::spawn(async move { left.cluster.close().await });
        let count = self.nodes.all.len();
        let took = self.nodes.until(AT_LAST, |node| node.knows(count)).await;
        let closed = closing.await.expect("closing does not panic");
        self.report.at_most("leave: it did not close well", u8::from(closed.is_err()), 0);
        sleep(AFTERMATH).await;
        self.row("one leaves", &began, took);
        self.report.within("leave", took, LEAVE_WITHIN);
    }

    /// So many processes end without a word.
    async fn crash(&mut self, crashed: usize, what: &'static str) {
        let began = self.begin();
        let dead: Vec<_> = self.nodes.all.drain(..crashed).collect();
        dead.iter().for_each(|dead| self.nodes.broker().kill(dead.link));
        drop(dead);
        let count = self.nodes.all.len();
        let took = self.nodes.until(AT_LAST, |node| node.knows(count)).await;
        sleep(AFTERMATH).await;
        self.row(what, &began, took);
        self.report.within(what, took, CRASH_WITHIN);
    }

    /// One node's link passes nothing for a while.
    async fn stall(&mut self) {
        let mut watch = self.nodes.watch();
        let began = self.begin();
        self.nodes.broker().stall(self.nodes.all[0].link, STALL);
        sleep(STALL + 4 * SECOND).await;
        self.row("a link stalls for 1 s", &began, Some(began.0.elapsed()));
        self.report.at_most("stall: evictions", watch.evictions(), 0);
    }

    /// No task of anybody runs for a while: the host was suspended.
    async fn freeze(&mut self) {
        let mut watch = self.nodes.watch();
        let began = self.begin();
        advance(STALL).await;
        sleep(4 * SECOND).await;
        self.row("nothing runs for 1 s", &began, Some(began.0.elapsed()));
        self.report.at_most("freeze: evictions", watch.evictions(), 0);
    }

    /// Every link breaks; a second later the broker is there again, and the nodes return within half a second.
    async fn cut(&mut self) {
        let mut watch = self.nodes.watch();
        self.nodes.all.iter().for_each(|node| self.nodes.broker().cut(node.link));
        let emitting = [0, self.nodes.all.len() / 2, self.nodes.all.len() - 1];
        for node in emitting {
            let emitted = self.nodes.all[node].chat.emit("while the broker was away").await;
            self.report.at_most("cut: emits that were refused", u8::from(emitted.is_err()), 0);
        }
        sleep(SECOND).await;
        let began = self.begin();
        let mut returns: Vec<_> =
            self.nodes.all.iter().map(|node| (self.nodes.random.between(0, 500), node.link)).collect();
        returns.sort_unstable();
        for (at, link) in returns {
            tokio::time::sleep_until(began.0 + Duration::from_millis(at)).await;
            self.nodes.broker().mend(link);
        }
        // Nothing was emitted before.
        let is_back = |node: &Member| node.is_healthy() && node.heard.count() == emitting.len();
        let back = self.nodes.until(AT_LAST, is_back).await;
        let took = back.map(|_| began.0.elapsed());
        sleep(AFTERMATH).await;
        self.row("all back after a cut", &began, took);
        let limits = self.report.limits;
        self.report.within("cut: all back", took, limits.back_within);
        println!("{:>5} . {} bytes beyond rest", self.nodes.all.len(), self.beyond_rest(&began));
        self.report.at_most("cut: bytes for all to be back", self.beyond_rest(&began), limits.back_bytes);
        self.report.at_most("cut: evictions", watch.evictions(), 0);
    }
}
