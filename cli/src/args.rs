//! The command line.

use std::io::Write;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::exit::CODES;
use crate::place::without_secrets;

/// Works with any Roomcast cluster, over any broker.
#[derive(Debug, Parser)]
#[command(name = "roomcast", version, after_help = CODES, disable_help_subcommand = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) options: Options,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What all commands take.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The broker, by the URL that your servers use, such as redis://127.0.0.1. Prefer the variable for a URL with a password: others
    /// of this machine can read command lines.
    #[arg(long, global = true, env = "ROOMCAST_URL", hide_env_values = true)]
    pub(crate) url: Option<String>,
    /// The cluster's name; else the one in the URL (?cluster=NAME), else "roomcast".
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) cluster: Option<String>,
    /// How long connecting may take, and then each request, in seconds.
    #[arg(long, global = true, value_name = "SECONDS", default_value_t = 5.0)]
    pub(crate) timeout: f64,
    /// Writes one JSON object a line.
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Emits a packet to sockets on every node.
    Emit(crate::emit::Args),
    /// Shows what passes, as it passes, and the events of the cluster.
    Watch(crate::watch::Args),
    /// Lists the nodes, with how long each takes to reply.
    Nodes(crate::nodes::Args),
    /// Lists sockets.
    Sockets(crate::sockets::Args),
    /// Lists rooms, with how many sockets they have.
    Rooms(crate::rooms::Args),
    /// Shows the cluster live: nodes, rates, queues, losses, events.
    Top(crate::top::Args),
    /// Disconnects sockets, on every node.
    Disconnect(crate::disconnect::Args),
    /// Measures latency and rate through the broker, between two nodes of its own.
    Bench(crate::bench::Args),
    /// Checks the way to the broker and into the cluster, and says what to mend.
    Doctor(crate::doctor::Args),
}

/// Reads the command line.
///
/// # Errors
/// The exit code, when there is nothing to do any more: 0 after --help, 2 for a mistake.
pub(crate) fn parse() -> Result<Cli, u8> {
    let matches = Cli::command().try_get_matches();
    match matches.and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) => Ok(cli),
        Err(error) if !error.use_stderr() => {
            let _ = error.print(); // nobody reads it: so be it
            Err(0)
        }
        Err(error) => {
            // A mistake is quoted, and may be a URL in the wrong place.
            let arguments = std::env::args_os().skip(1).map(|argument| argument.to_string_lossy().into_owned());
            let text = without_secrets(error.to_string(), arguments);
            let _ = std::io::stderr().write_all(text.as_bytes()); // nobody reads it: so be it
            Err(2)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_made() {
        Cli::command().debug_assert();
    }
}
