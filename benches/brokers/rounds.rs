//! Rounds in which the contestants take turns.

use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use crate::contestant::{Contestant, Result};
use crate::machine::Clock;
use crate::receipts::Receipts;

/// Messages of a latency run, one each millisecond.
const PACED: u64 = 2000;
/// So many cores at work for others make a round a disturbed one.
const DISTURBED: f64 = 0.2;
/// So many times the rounds that are wanted are tried at the most.
const TRIES: usize = 3;

/// How much is measured.
pub(crate) struct Rounds {
    /// So many rounds.
    pub(crate) wanted: usize,
    /// In each of them, as fast as it goes.
    pub(crate) messages: u64,
}

/// What one contestant did in one round.
#[derive(Clone)]
pub(crate) struct Turn {
    pub(crate) name: &'static str,
    /// Messages in a second, each received twice.
    pub(crate) rate: f64,
    /// Processor time for each message, of publisher and receivers together, in microseconds.
    pub(crate) cpu: f64,
    /// The broker's.
    pub(crate) broker_cpu: Option<f64>,
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) lost: u64,
    /// Out of order, or after a loss.
    pub(crate) astray: u64,
    /// Cores at work for others meanwhile.
    pub(crate) foreign: f64,
}

/// One turn of each contestant.
pub(crate) type Round = Vec<Turn>;

type Named = (&'static str, Box<dyn Contestant>);

impl Rounds {
    /// Answers the least disturbed rounds, and how many more there were.
    pub(crate) async fn run(&self, contestants: &mut [Named]) -> Result<(Vec<Round>, usize)> {
        self.round(contestants).await?; // everybody warms up
        let mut rounds = Vec::new();
        while rounds.iter().filter(|round| disturbance(round) <= DISTURBED).count() < self.wanted
            && rounds.len() < self.wanted * TRIES
        {
            rounds.push(self.round(contestants).await?);
        }
        rounds.sort_by(|one, two| disturbance(one).total_cmp(&disturbance(two)));
        let repeated = rounds.len() - self.wanted;
        rounds.truncate(self.wanted);
        Ok((rounds, repeated))
    }

    async fn round(&self, contestants: &mut [Named]) -> Result<Round> {
        let mut round = Vec::new();
        for (name, contestant) in contestants {
            round.push(self.turn(name, &mut **contestant).await?);
        }
        Ok(round)
    }

    async fn turn(&self, name: &'static str, contestant: &mut dyn Contestant) -> Result<Turn> {
        let receipts = contestant.receipts().clone();
        let astray = receipts.astray();
        let paced = Clock::read();
        let mut lost = pace(contestant, &receipts).await?;
        let paced = paced.elapsed();
        let latencies = receipts.latencies(PACED);
        let micros = |percent: usize| latencies[latencies.len() * percent / 100].as_secs_f64() * 1e6;

        let clock = Clock::read();
        contestant.burst(&mut receipts.begin(self.messages, false)).await?;
        let missing = receipts.complete().await;
        let spent = clock.elapsed();
        lost += missing;
        let each = |time: Duration| time.as_secs_f64() * 1e6 / self.messages as f64;
        Ok(Turn {
            name,
            rate: self.messages as f64 / spent.time.as_secs_f64(),
            cpu: each(spent.ours),
            broker_cpu: spent.broker.map(each),
            p50: micros(50),
            p99: micros(99),
            lost,
            astray: receipts.astray() - astray,
            foreign: spent.foreign.max(paced.foreign),
        })
    }
}

/// Publishes a message each millisecond.
async fn pace(contestant: &mut dyn Contestant, receipts: &Receipts) -> Result<u64> {
    let mut tick = interval(Duration::from_millis(1));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for (number, message) in (0..).zip(receipts.begin(PACED, true)) {
        tick.tick().await;
        receipts.published(number);
        contestant.one(message).await?;
    }
    Ok(receipts.complete().await)
}

fn disturbance(round: &Round) -> f64 {
    round.iter().map(|turn| turn.foreign).fold(0.0, f64::max)
}
