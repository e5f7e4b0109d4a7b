//! The command `roomcast`: works with any Roomcast cluster over any broker. README.md says what each command does.

mod args;
mod bench;
mod context;
mod disconnect;
mod doctor;
mod emit;
mod exit;
mod nodes;
mod out;
mod packet;
mod place;
mod rooms;
mod selection;
mod sockets;
mod stop;
mod text;
mod top;
mod watch;

use std::process::ExitCode;

use args::{Cli, Command};
use context::Context;
use exit::{Done, Failure};

fn main() -> ExitCode {
    let cli = match args::parse() {
        Ok(cli) => cli,
        Err(code) => return ExitCode::from(code),
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return exit::end(Err(Failure::failed(format!("no runtime: {error}")))),
    };
    let ended = runtime.block_on(run(cli));
    runtime.shutdown_background(); // nothing is left but what cannot be waited for
    exit::end(ended)
}

async fn run(Cli { options, command }: Cli) -> Result<Done, Failure> {
    let context = Context::new(options)?;
    match command {
        Command::Emit(args) => emit::run(&context, args).await,
        Command::Watch(args) => watch::run(&context, args).await,
        Command::Nodes(args) => nodes::run(&context, args).await,
        Command::Sockets(args) => sockets::run(&context, args).await,
        Command::Rooms(args) => rooms::run(&context, args).await,
        Command::Disconnect(args) => disconnect::run(&context, args).await,
        Command::Top(args) => top::run(&context, args).await,
        Command::Bench(args) => bench::run(&context, args).await,
        Command::Doctor(args) => doctor::run(context, args).await,
    }
}
