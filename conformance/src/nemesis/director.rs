//! Starts the nodes, does what the plan says, and gathers the histories.

use std::path::{Path, PathBuf};
use std::sync::Mutex as StdMutex;
use std::sync::PoisonError;
use std::time::Duration;

use futures_util::future::{join_all, try_join_all};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, sleep_until};

use super::Options;
use super::command::NODE;
use super::contestant::Contestant;
use super::history::{History, Run, now};
use super::plan::{Fault, LIFE, PEACE, Plan, Strike};
use super::recovery::Blow;
use super::worker::Post;
use crate::broker::Broker;
use crate::failure::Verdict;
use crate::process::Process;
use crate::proxy::Proxy;

/// How long a node may take to connect, while others are struck.
const READY: Duration = Duration::from_secs(90);
/// How long the nodes may take, after the load, to have all that they are owed.
const DONE: Duration = Duration::from_secs(120);
const CLOSED: Duration = Duration::from_secs(30);

/// What is run, and where.
pub(crate) struct Director<'a> {
    contestant: &'a Contestant,
    broker: &'a Broker,
    options: &'a Options,
    folder: &'a Path,
    seats: Vec<Seat>,
    blows: StdMutex<Vec<Blow>>,
}

/// The place of one node: the way to the broker, and the process that runs there now.
struct Seat {
    node: u32,
    proxy: Proxy,
    now: Mutex<Option<Process>>,
    /// Every run, in the order of their starts; all but the last were killed.
    starts: StdMutex<u32>,
}

/// What is left of a run.
pub(crate) struct Evidence {
    pub(crate) histories: Vec<History>,
    pub(crate) blows: Vec<Blow>,
    /// For how long there was load: longer than asked for where the broker takes its time to start.
    pub(crate) length: Duration,
    /// Those that were killed.
    pub(crate) killed: Vec<Run>,
}

impl<'a> Director<'a> {
    pub(crate) async fn new(
        contestant: &'a Contestant,
        broker: &'a Broker,
        options: &'a Options,
        folder: &'a Path,
    ) -> Verdict<Self> {
        let mut seats = Vec::new();
        for node in 0..options.nodes {
            let proxy = broker.proxy().await?;
            seats.push(Seat { node, proxy, now: Mutex::default(), starts: StdMutex::default() });
        }
        Ok(Self { contestant, broker, options, folder, seats, blows: StdMutex::default() })
    }

    /// Runs it from beginning to end.
    pub(crate) async fn run(&self, plan: &Plan, length: Duration) -> Verdict<Evidence> {
        try_join_all(self.seats.iter().map(|seat| self.start(seat))).await?;
        for seat in &self.seats {
            seat.order("go").await?;
        }
        let began = Instant::now();
        let strikes = try_join_all(plan.strikes.iter().map(|strike| self.strike(began, strike)));
        tokio::try_join!(self.kill_brokers(&plan.outages, began + length.saturating_sub(PEACE)), strikes)?;
        sleep_until(began + length).await;
        let length = began.elapsed();
        for seat in &self.seats {
            seat.order("stop").await?;
        }
        // A node that does not come to the end is what its history is there to show.
        join_all(self.seats.iter().map(|seat| seat.says("done", DONE))).await.into_iter().for_each(drop);
        for seat in &self.seats {
            drop(seat.order("close").await);
        }
        join_all(self.seats.iter().map(Seat::ends)).await.into_iter().for_each(drop);
        self.evidence(length)
    }

    /// Starts a process for a node, and waits until it is part of the cluster.
    async fn start(&self, seat: &Seat) -> Verdict {
        let run = Run { node: seat.node, start: seat.next() };
        let post = Post {
            label: self.contestant.label.clone(),
            url: self.contestant.with_options(self.broker.url_through(&seat.proxy)),
            cluster: format!("n{:016x}", self.options.seed),
            run,
            nodes: self.options.nodes,
            rate: (self.options.rate / self.options.nodes.max(1)).max(1),
            seed: self.options.seed,
            history_bytes: self.options.history_bytes,
            history: self.history_of(run),
        };
        let mut process = Process::start([NODE.to_owned()].into_iter().chain(post.arguments()))?;
        process.says("ready", READY).await?;
        *seat.now.lock().await = Some(process);
        Ok(())
    }

    /// Kills the broker as often as planned, and less often where it takes so long to start that the time is up before.
    async fn kill_brokers(&self, outages: &[Duration], until: Instant) -> Verdict {
        for away in outages {
            sleep(LIFE).await;
            if Instant::now() >= until {
                break;
            }
            let from = now();
            self.broker.kill().await?;
            sleep(*away).await;
            self.broker.start_again().await?;
            self.note(Fault::BrokerKilled, None, from);
        }
        Ok(())
    }

    async fn strike(&self, began: Instant, strike: &Strike) -> Verdict {
        sleep_until(began + strike.at).await;
        let Some(seat) = self.seats.get(strike.node as usize) else { return Ok(()) };
        let from = now();
        match strike.fault {
            Fault::LinkCut => seat.proxy.cut(),
            Fault::LinkDead => seat.proxy.black_hole(),
            Fault::LinkSlow => {
                seat.proxy.delay(strike.delay);
                sleep(strike.lasts).await;
                seat.proxy.delay(Duration::ZERO);
            }
            Fault::NodePaused => {
                let mut process = seat.now.lock().await;
                if let Some(process) = &mut *process {
                    process.pause().await?;
                    sleep(strike.lasts).await;
                    process.resume().await?;
                }
            }
            Fault::NodeKilled => {
                // None: it is still on its way back from the last time.
                let Some(process) = seat.now.lock().await.take() else { return Ok(()) };
                process.kill()?;
                sleep(strike.lasts).await;
                self.note(Fault::NodeKilled, Some(seat.node), from);
                self.start(seat).await?;
                return seat.order("go").await;
            }
            Fault::BrokerKilled => {}
        }
        self.note(strike.fault, Some(seat.node), from);
        Ok(())
    }

    fn note(&self, fault: Fault, node: Option<u32>, from: u64) {
        let over_at_once = matches!(fault, Fault::LinkCut | Fault::LinkDead);
        let to = if over_at_once { from } else { now() };
        self.blows.lock().unwrap_or_else(PoisonError::into_inner).push(Blow { fault, node, from, to });
    }

    fn history_of(&self, run: Run) -> PathBuf {
        self.folder.join(format!("node-{run}.history"))
    }

    fn evidence(&self, length: Duration) -> Verdict<Evidence> {
        let (mut histories, mut killed) = (Vec::new(), Vec::new());
        for seat in &self.seats {
            let starts = *seat.starts.lock().unwrap_or_else(PoisonError::into_inner);
            for start in 0..starts {
                let run = Run { node: seat.node, start };
                histories.push(History::read(run, &self.history_of(run))?);
                killed.extend((start + 1 < starts).then_some(run));
            }
        }
        let blows = self.blows.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let line = |blow: &Blow| format!("{blow}\n");
        std::fs::write(self.folder.join("strikes"), blows.iter().map(line).collect::<String>())?;
        Ok(Evidence { histories, blows, killed, length })
    }
}

impl Seat {
    fn next(&self) -> u32 {
        let mut starts = self.starts.lock().unwrap_or_else(PoisonError::into_inner);
        *starts += 1;
        *starts - 1
    }

    async fn order(&self, word: &str) -> Verdict {
        self.now.lock().await.as_mut().map_or(Ok(()), |process| process.tell(word))
    }

    async fn says(&self, word: &str, limit: Duration) -> Verdict {
        match &mut *self.now.lock().await {
            Some(process) => process.says(word, limit).await,
            None => Ok(()),
        }
    }

    async fn ends(&self) -> Verdict {
        match &mut *self.now.lock().await {
            Some(process) => process.ends(CLOSED).await,
            None => Ok(()),
        }
    }
}
