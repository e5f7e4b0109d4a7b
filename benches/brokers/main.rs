//! Roomcast over each broker against the plain client crate on the same broker: messages per second, processor time for
//! each message, and latency. `cargo bench --bench brokers`, or with some of the brokers and another number of rounds:
//! `cargo bench --bench brokers -- redis nats --rounds 3`.
//!
//! Messages of 200 bytes go from one publisher to two receivers, each over a connection of its own, all in this process.
//! The contestants take turns within each round, and a ratio is that of two neighbours in one round: whatever else the
//! machine does meets both. Rounds in which it does too much are made again.

mod contestant;
mod machine;
mod plain_nats;
mod plain_redis;
mod receipts;
mod report;
mod roomcast_node;
mod rounds;

use conformance::broker::{Broker, Recipe, recipes};
use contestant::{Open, Result};
use rounds::Rounds;

/// One broker, and who runs on it beside Roomcast.
struct Row {
    recipe: Recipe,
    /// The client crate in its best forms; the first is the one that latencies are compared with.
    plain: &'static [(&'static str, Open)],
    /// So many messages in each round.
    messages: u64,
}

const ROWS: &[Row] = &[
    Row {
        recipe: recipes::REDIS,
        plain: &[("redis, 64 in a pipeline", plain_redis::by_64), ("redis, 1,000 in a pipeline", plain_redis::by_1000)],
        messages: 200_000,
    },
    Row { recipe: recipes::NATS, plain: &[("async-nats", plain_nats::open)], messages: 200_000 },
];

fn main() -> Result<()> {
    let (names, rounds) = arguments(std::env::args().skip(1))?;
    let runtime = tokio::runtime::Runtime::new()?;
    // On a worker, where a server's handlers run: the thread of `block_on` is none, and is slow to wake.
    runtime.block_on(async { tokio::spawn(all(names, rounds)).await? })
}

/// The brokers that are named, and how many rounds.
fn arguments(arguments: impl Iterator<Item = String>) -> Result<(Vec<String>, usize)> {
    let (mut names, mut rounds) = (Vec::new(), 7);
    let mut arguments = arguments.filter(|argument| argument != "--bench"); // which cargo adds
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--rounds" => rounds = arguments.next().ok_or("--rounds needs a number")?.parse::<usize>()?.max(1),
            name if ROWS.iter().any(|row| row.recipe.name == name) => names.push(argument),
            other => return Err(format!("{other:?} is none of the brokers: {}", known()).into()),
        }
    }
    Ok((names, rounds))
}

fn known() -> String {
    ROWS.iter().map(|row| row.recipe.name).collect::<Vec<_>>().join(", ")
}

async fn all(names: Vec<String>, rounds: usize) -> Result<()> {
    for row in ROWS.iter().filter(|row| names.is_empty() || names.iter().any(|name| name == row.recipe.name)) {
        let broker = Broker::start(&row.recipe).await?;
        let mut contestants = Vec::new();
        for (name, open) in row.plain {
            contestants.push((*name, open(broker.url()).await?));
        }
        contestants.push(("roomcast", roomcast_node::open(broker.url()).await?));
        let rounds = Rounds { wanted: rounds, messages: row.messages };
        let (kept, repeated) = rounds.run(&mut contestants).await?;
        for (_, contestant) in contestants {
            contestant.close().await?;
        }
        println!(
            "\n{} {}, {}: {} messages in each of {} rounds, {repeated} disturbed ones made again",
            broker.name(),
            broker.version(),
            broker.provider(),
            row.messages,
            kept.len()
        );
        report::print(&kept);
    }
    Ok(())
}
