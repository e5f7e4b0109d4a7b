//! The race: three socketioxide servers as processes, with the adapter of each contestant in turn, and clients over WebSocket.
//!
//! `cargo run --release --manifest-path benches/peers/Cargo.toml --bin race`, or with some of the contestants and another number
//! of rounds: `-- roomcast-redis socketioxide-redis --rounds 5`.
//!
//! Within each round the contestants take turns, so that whatever else the machine does meets all of them; the table has the
//! medians. An event has 64 bytes of text, and goes to one client of each server.
//! - CPU: processor time for an event, of the server that emits, of another one, and of the broker, while 64 emits are in flight
//!   and no client is more than a thousand behind.
//! - Latency: from the emit call to the client, at a thousand events in a second; at a client of another server, and of the same.
//! - Rounds: those in which the contestant lost nothing. In the others it is told what it lost.
//! - fetch_sockets of a thousand sockets, and an event that a hundred clients acknowledge: from the call to its last answer.

mod load;
mod machine;
mod process;
mod server;
mod table;

use std::process::ExitCode;

use peers::Failed;
use peers::adapters::Kind;
use roomcast_conformance::broker::{Broker, Recipe, recipes};

/// One adapter over one broker.
#[derive(Clone, Copy)]
struct Contestant {
    name: &'static str,
    kind: Kind,
    recipe: fn() -> Recipe,
}

const CONTESTANTS: [Contestant; 8] = [
    Contestant { name: "roomcast-redis", kind: Kind::Roomcast, recipe: recipes::redis },
    Contestant { name: "socketioxide-redis", kind: Kind::Redis, recipe: recipes::redis },
    Contestant { name: "socketioxide-redis-fred", kind: Kind::Fred, recipe: recipes::redis },
    Contestant { name: "roomcast-nats", kind: Kind::Roomcast, recipe: recipes::nats },
    Contestant { name: "roomcast-rabbitmq", kind: Kind::Roomcast, recipe: recipes::rabbitmq },
    Contestant { name: "roomcast-postgres", kind: Kind::Roomcast, recipe: recipes::postgres },
    Contestant { name: "socketioxide-postgres", kind: Kind::TokioPostgres, recipe: recipes::postgres },
    Contestant { name: "socketioxide-postgres-sqlx", kind: Kind::Sqlx, recipe: recipes::postgres },
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    let done = runtime.block_on(async move {
        if let [process::SERVER, name, url, prefix] = arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            let contestant =
                CONTESTANTS.iter().find(|contestant| contestant.name == name).ok_or("nobody has this name")?;
            return contestant.kind.serve(url, prefix, server::Obey).await;
        }
        // On a worker, where a client's task would run, too.
        tokio::spawn(race(Choice::of(arguments)?)).await?
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// What the command line asks for.
struct Choice {
    contestants: Vec<Contestant>,
    rounds: usize,
}

impl Choice {
    fn of(arguments: Vec<String>) -> Result<Self, Failed> {
        let (mut contestants, mut rounds, mut arguments) = (Vec::new(), 3, arguments.into_iter());
        while let Some(argument) = arguments.next() {
            if argument == "--rounds" {
                rounds = arguments.next().ok_or("--rounds needs a number")?.parse()?;
                continue;
            }
            let names = || CONTESTANTS.map(|contestant| contestant.name).join(", ");
            let named = CONTESTANTS.iter().find(|contestant| contestant.name == argument);
            contestants.push(*named.ok_or_else(|| format!("nobody is called {argument}; there are {}", names()))?);
        }
        if contestants.is_empty() {
            contestants = CONTESTANTS.to_vec();
        }
        Ok(Self { contestants, rounds })
    }
}

async fn race(choice: Choice) -> Result<(), Failed> {
    let mut all = vec![Vec::new(); choice.contestants.len()];
    for round in 0..choice.rounds {
        for (contestant, results) in choice.contestants.iter().zip(&mut all) {
            let broker = Broker::start(&(contestant.recipe)()).await?;
            // One that loses events, or does not start, is told, and the others go on.
            match load::run(contestant.name, &broker, &format!("race{round}")).await {
                Ok(result) => {
                    eprintln!("{} {result:?}", contestant.name);
                    results.push(result);
                }
                Err(failed) => eprintln!("{}, round {round}: {failed}", contestant.name),
            }
        }
    }
    table::print(choice.contestants.iter().map(|contestant| contestant.name).zip(all));
    Ok(())
}
