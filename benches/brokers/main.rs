//! Roomcast over each broker against the plain client crate on the same broker: messages per second, processor time for
//! each message, and latency. `cargo bench --bench brokers`, or with some of the brokers and another number of rounds:
//! `cargo bench --bench brokers -- redis nats --rounds 3`. `--only roomcast` leaves out those with another name, for a profiler.
//!
//! Messages of 200 bytes go from one publisher to two receivers, each over a connection of its own, all in this process.
//! The contestants take turns within each round, and a ratio is that of two neighbours in one round: whatever else the
//! machine does meets both. Rounds in which it does too much are made again.

mod contestant;
mod machine;
mod plain_amqp;
mod plain_nats;
mod plain_postgres;
mod plain_redis;
mod receipts;
mod report;
mod roomcast_node;
mod rounds;

use std::sync::Arc;

use contestant::{Open, Result};
use receipts::Receipts;
use roomcast_conformance::broker::{Broker, Recipe, recipes};
use rounds::Rounds;

/// One broker, and who runs on it beside Roomcast.
struct Row {
    name: &'static str,
    recipe: fn() -> Recipe,
    /// The client crate in its best forms. The first also runs with a task that takes what each receiver has received, as in
    /// most applications.
    plain: &'static [(&'static str, Open)],
    with_tasks: &'static str,
    /// And with a subscription of the publisher's own side beside, as each node of a cluster has one.
    as_nodes: &'static str,
    /// So many messages in each round.
    messages: u64,
}

/// How a plain client takes what is received.
enum Receiving {
    AtOnce,
    InTasks,
    AllInTasks,
}

const ROWS: &[Row] = &[
    Row {
        name: "redis",
        recipe: recipes::redis,
        plain: &[("redis, 64 in a pipeline", plain_redis::by_64), ("redis, 1,000 in a pipeline", plain_redis::by_1000)],
        with_tasks: "redis, 64 in a pipeline, to tasks",
        as_nodes: "redis, 64 in a pipeline, to tasks, all subscribed",
        messages: 200_000,
    },
    Row {
        name: "nats",
        recipe: recipes::nats,
        plain: &[("async-nats", plain_nats::open)],
        with_tasks: "async-nats, to tasks",
        as_nodes: "async-nats, to tasks, all subscribed",
        messages: 200_000,
    },
    Row {
        name: "rabbitmq",
        recipe: recipes::rabbitmq,
        plain: &[("lapin, 256 in flight", plain_amqp::open)],
        with_tasks: "lapin, 256 in flight, to tasks",
        as_nodes: "lapin, 256 in flight, to tasks, all subscribed",
        messages: 100_000,
    },
    Row {
        name: "postgres",
        recipe: recipes::postgres,
        plain: &[("tokio-postgres, 64 in a statement", plain_postgres::open)],
        with_tasks: "tokio-postgres, 64 in a statement, to tasks",
        as_nodes: "tokio-postgres, 64 in a statement, to tasks, all subscribed",
        messages: 100_000,
    },
];

fn main() -> Result<()> {
    let choice = Choice::of(std::env::args().skip(1))?;
    let runtime = tokio::runtime::Runtime::new()?;
    // On a worker, where a server's handlers run: the thread of `block_on` is none, and is slow to wake.
    runtime.block_on(async { tokio::spawn(all(choice)).await? })
}

/// What the command line asks for.
struct Choice {
    /// The brokers, by name; none means all.
    brokers: Vec<String>,
    rounds: usize,
    /// Those whose name begins so.
    only: String,
}

impl Choice {
    fn of(arguments: impl Iterator<Item = String>) -> Result<Self> {
        let mut choice = Self { brokers: Vec::new(), rounds: 7, only: String::new() };
        let mut arguments = arguments.filter(|argument| argument != "--bench"); // which cargo adds
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or_else(|| format!("{argument} needs a value"));
            match argument.as_str() {
                "--rounds" => choice.rounds = value()?.parse::<usize>()?.max(1),
                "--only" => choice.only = value()?,
                name if ROWS.iter().any(|row| row.name == name) => choice.brokers.push(argument),
                other => return Err(format!("{other:?} is none of the brokers: {}", known()).into()),
            }
        }
        Ok(choice)
    }

    fn includes(&self, row: &Row) -> bool {
        self.brokers.is_empty() || self.brokers.iter().any(|name| name == row.name)
    }
}

fn known() -> String {
    ROWS.iter().map(|row| row.name).collect::<Vec<_>>().join(", ")
}

async fn all(choice: Choice) -> Result<()> {
    for row in ROWS.iter().filter(|row| choice.includes(row)) {
        let broker = Broker::start(&(row.recipe)()).await?;
        let open = |(_, open): &(_, Open)| *open;
        let tasks = row.plain.first().map(|first| (row.with_tasks, open(first), Receiving::InTasks));
        let nodes = row.plain.first().map(|first| (row.as_nodes, open(first), Receiving::AllInTasks));
        let plain = row.plain.iter().map(|(name, open)| (*name, *open, Receiving::AtOnce));
        let roomcast = ("roomcast", roomcast_node::open as Open, Receiving::AtOnce);
        let everybody = plain.chain(tasks).chain(nodes).chain([roomcast]);
        let mut contestants = Vec::new();
        for (name, open, receiving) in everybody.filter(|(name, ..)| name.starts_with(&choice.only)) {
            let receipts = match receiving {
                Receiving::AtOnce => Arc::new(Receipts::new()),
                Receiving::InTasks => Receipts::of_tasks(false),
                Receiving::AllInTasks => Receipts::of_tasks(true),
            };
            contestants.push((name, open(broker.url(), receipts).await?));
        }
        let rounds = Rounds { wanted: choice.rounds, messages: row.messages };
        let (kept, repeated) = rounds.run(&mut contestants).await?;
        for (_, contestant) in contestants {
            contestant.close().await?;
        }
        let (name, version, provider) = (broker.name(), broker.version(), broker.provider());
        println!(
            "\n{name} {version}, {provider}: {} rounds of {} messages, {repeated} made again",
            kept.len(),
            row.messages
        );
        report::print(&kept);
    }
    Ok(())
}
