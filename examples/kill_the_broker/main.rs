//! Three servers under load, and a broker that is killed every five seconds: `cargo run --release --example kill_the_broker`.
//!
//! Each server emits numbered messages to all; each counts what its socket gets. The end says what was lost, what came twice and
//! what came out of order. `--help` lists the options.

mod args;
mod broker;
mod load;
mod score;

/// The smallest broker that can be killed, of the suite's own tests: for machines on which there is none.
#[path = "../../conformance/tests/relay"]
mod relay {
    pub(crate) mod backend;
    pub(crate) mod recipe;
    pub(crate) mod server;
    pub(crate) mod wire;
}

use std::process::ExitCode;
use std::time::{Duration, Instant};

use args::{Args, Command};
use broker::Victim;
use load::Load;
use roomcast::Result;
use score::Score;

/// Between two kills, and how long the broker stays away.
const LIFE: Duration = Duration::from_secs(5);
const AWAY: Duration = Duration::from_millis(500);
/// After the last message, how long what is missing may take to come.
const PATIENCE: Duration = Duration::from_secs(20);

fn main() -> ExitCode {
    // The relay is this program, too.
    relay::server::asked_for().unwrap_or_else(demo)
}

#[tokio::main]
async fn demo() -> ExitCode {
    let args = match args::parse(std::env::args().skip(1)) {
        Ok(Command::Run(args)) => args,
        Ok(Command::Help) => {
            println!("{}", args::HELP);
            return ExitCode::SUCCESS;
        }
        Err(reason) => {
            eprintln!("kill_the_broker: {reason}\n\n{}", args::HELP);
            return ExitCode::from(2);
        }
    };
    match run(args).await {
        Ok(score) if score.is_clean() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("kill_the_broker: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: Args) -> Result<Score> {
    let mut victim = Victim::start(args.adapter.as_deref()).await?;
    println!("{} servers, {} messages a second in all, over {}\n", args.nodes, args.rate, victim.name());
    let load = Load::start(&victim, args.nodes, args.rate).await?;
    let (began, mut kills) = (Instant::now(), 0);
    let mut next = began + LIFE;
    let mut look = tokio::time::interval(Duration::from_millis(100));
    while began.elapsed() < Duration::from_secs(args.seconds) {
        look.tick().await;
        load.score(kills).show();
        if Instant::now() >= next {
            kills += 1;
            victim.strike(AWAY).await?;
            next = Instant::now() + LIFE;
        }
    }
    let score = load.finish(kills, PATIENCE).await?;
    println!("\n\n{score}");
    Ok(score)
}
