//! A chat on several Socket.IO servers that act as one: `cargo run --example chat`.
//!
//! Every node is a server of its own with its own port; only the adapter joins them. `README.md` beside this file
//! lists the events. `--adapter none` shows what happens without it.

mod args;
mod chat;
mod page;
mod peers;
mod server;
mod state;

use std::io::{Error, Result};
use std::process::ExitCode;

use args::{Args, Command};
use tokio::signal;

#[tokio::main]
async fn main() -> ExitCode {
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
    let mut nodes = Vec::new();
    for index in 0..args.nodes {
        let port = if args.port == 0 { 0 } else { args.port + index };
        nodes.push(server::start(&args.name, (args.host, port), args.adapter.as_deref()).await?);
    }
    greet(&args, &nodes);
    stop_asked().await?;
    println!("closing");
    let closing = nodes.into_iter().map(server::Server::close);
    futures_util::future::join_all(closing).await.into_iter().collect()
}

fn greet(args: &Args, nodes: &[server::Server]) {
    let joined = match &args.adapter {
        Some(url) => format!("act as one over {}", args::scheme(url)),
        None => "know nothing of each other (--adapter none)".to_owned(),
    };
    println!("Roomcast chat: {} Socket.IO servers that {joined}\n", nodes.len());
    for node in nodes {
        println!("  {:<10}  {}", node.name, node.url);
    }
    println!(
        "\nTry this:\n  \
         1. Open two of them in two windows and write: each message says which node it came from.\n  \
         2. Join another room in both, and see on either page who is where.\n  \
         3. Stop this (Ctrl-C) and start it with --adapter none: every node is alone."
    );
}

/// Returns on Ctrl-C, and on SIGTERM where that exists.
async fn stop_asked() -> Result<()> {
    #[cfg(unix)]
    {
        let mut terminate = signal::unix::signal(signal::unix::SignalKind::terminate())?;
        tokio::select! {
            pressed = signal::ctrl_c() => pressed,
            told = terminate.recv() => told.ok_or_else(|| Error::other("no more signals can arrive")),
        }
    }
    #[cfg(not(unix))]
    signal::ctrl_c().await
}
