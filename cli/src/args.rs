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

/// What to do. The help of each is the documentation of its arguments.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Emit(crate::emit::Args),
    Watch(crate::watch::Args),
    Nodes(crate::nodes::Args),
    Sockets(crate::sockets::Args),
    Rooms(crate::rooms::Args),
    Top(crate::top::Args),
    Disconnect(crate::disconnect::Args),
    Bench(crate::bench::Args),
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

    #[test]
    fn the_help_says_what_the_cluster_sees_of_each_command() {
        for command in Cli::command().get_subcommands_mut() {
            let help = command.render_long_help().to_string().split_whitespace().collect::<Vec<_>>().join(" ");
            let name = command.get_name();
            let sees =
                if name == "bench" { "your nodes see nothing of it" } else { "the other nodes see one more node" };
            assert!(help.contains(sees), "{name}: {help}");
            assert_eq!(help.contains("NoHandler"), ["watch", "top"].contains(&name), "{name}: {help}");
        }
    }
}
