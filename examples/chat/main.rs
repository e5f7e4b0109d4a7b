//! A chat on several Socket.IO servers that act as one: `cargo run --example chat`.
//!
//! Every node is a server of its own with its own port; only the adapter joins them. `README.md` beside this file
//! lists the events. `--adapter none` shows what happens without it.

mod args;
mod board;
mod chat;
mod demo;
mod page;
mod peers;
mod server;
mod stage;
mod state;

/// The smallest broker that can be killed, of the suite's own tests.
#[path = "../../conformance/tests/relay"]
mod relay {
    pub(crate) mod backend;
    pub(crate) mod recipe;
    pub(crate) mod server;
    pub(crate) mod wire;
}

#[path = "../applications/stop.rs"]
mod stop;

use std::io::Result;
use std::process::ExitCode;

use args::{Adapter, Args, Command};
use stage::Stage;
use tokio::signal;

fn main() -> ExitCode {
    // The relay is this program, too.
    if std::env::args().nth(1).as_deref() == Some("serve") {
        std::thread::spawn(outlive_ctrl_c);
    }
    relay::server::asked_for().unwrap_or_else(nodes)
}

/// Ctrl-C reaches all processes of a terminal. The nodes need the relay for their goodbyes, and end it after them.
#[tokio::main(flavor = "current_thread")]
async fn outlive_ctrl_c() {
    while signal::ctrl_c().await.is_ok() {}
}

#[tokio::main]
async fn nodes() -> ExitCode {
    let args = match args::parse(std::env::args().skip(1)) {
        Ok(Command::Run(args)) => args,
        Ok(Command::Help) => {
            println!("{}", args::HELP);
            return ExitCode::SUCCESS;
        }
        Err(reason) => {
            eprintln!("chat: {reason}\n\n{}", args::HELP);
            return ExitCode::from(2);
        }
    };
    match run(args).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("chat: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: Args) -> Result<()> {
    let url = match &args.adapter {
        Adapter::Relay => return run_demo(&args).await,
        Adapter::Url(url) => Some(url.as_str()),
        Adapter::None => None,
    };
    let mut nodes = Vec::new();
    for index in 0..args.nodes {
        let port = if args.port == 0 { 0 } else { args.port + index };
        nodes.push(server::start(&args.name, (args.host, port), url, None).await?);
    }
    greet(&args, &nodes.iter().collect::<Vec<_>>());
    stop::asked().await?;
    println!("closing");
    let closing = nodes.into_iter().map(server::Server::close);
    futures_util::future::join_all(closing).await.into_iter().collect()
}

/// Over the relay, whatever is killed comes back when a page asks for it.
async fn run_demo(args: &Args) -> Result<()> {
    let mut stage = Stage::start(args).await?;
    greet(args, &stage.servers().collect::<Vec<_>>());
    stage.run(stop::asked()).await?;
    println!("closing");
    stage.close().await
}

fn greet(args: &Args, nodes: &[&server::Server]) {
    let joined = match &args.adapter {
        Adapter::Relay => "act as one over a broker that the page can kill".to_owned(),
        Adapter::Url(url) => format!("act as one over {}", args::scheme(url)),
        Adapter::None => "know nothing of each other (--adapter none)".to_owned(),
    };
    let servers = match nodes.len() {
        1 => "one Socket.IO server; it and others".to_owned(),
        several => format!("{several} Socket.IO servers that"),
    };
    println!("Roomcast chat: {servers} {joined}\n");
    for node in nodes {
        println!("  {:<10}  {}", node.name, node.url);
    }
    let second = match &args.adapter {
        Adapter::Relay => {
            "Press \"Send 1,000\" in one, and meanwhile \"Kill broker\" and \"Start broker\": the other counts what it gets."
        }
        _ => "Press \"Send 1,000\" in one: the other counts what is lost, doubled or out of order.",
    };
    println!(
        "\nTry this:\n  \
         1. Open two of them side by side and write: each message says which node it came from.\n  \
         2. {second}\n  \
         3. Stop this (Ctrl-C) and start it with --adapter none: every node is alone."
    );
}
