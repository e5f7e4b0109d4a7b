//! The command line.

use std::net::{IpAddr, Ipv4Addr};

/// What `--help` prints.
pub(crate) const HELP: &str = "\
A chat on several Socket.IO servers that act as one.

Usage: chat [--nodes N] [--port P] [--host ADDRESS] [--name NAME] [--adapter URL]

  --nodes N      how many servers, 1 to 16 (default 3)
  --port P       the first one's port, the others take the next ones; 0 takes free ports (default 3001)
  --host ADDRESS where they listen (default 127.0.0.1: this machine alone)
  --name NAME    what the nodes' names begin with, before the port (default node)
  --adapter URL  what joins them: redis://.., nats://.., amqp://.., postgres://.., memory://chat; none leaves each of
                 them alone; relay, the default, is a small broker that is part of this program: the page has buttons
                 that kill it, freeze links and kill servers, so with it the servers listen on this machine alone
  --help         this text";

const MOST_NODES: u16 = 16;

/// What was asked for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Command {
    Run(Args),
    Help,
}

/// How to run.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Args {
    pub(crate) nodes: u16,
    /// The first node's port, or 0 for free ones.
    pub(crate) port: u16,
    /// Where the nodes listen.
    pub(crate) host: IpAddr,
    /// What the nodes' names begin with.
    pub(crate) name: String,
    pub(crate) adapter: Adapter,
}

/// What joins the nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Adapter {
    /// The broker of this program, which the page can kill.
    Relay,
    Url(String),
    /// Nothing: each of them is alone.
    None,
}

/// Reads the command line, without the program's name. The error is a sentence for people.
pub(crate) fn parse(words: impl IntoIterator<Item = String>) -> Result<Command, String> {
    let mut args = Args {
        nodes: 3,
        port: 3001,
        host: IpAddr::V4(Ipv4Addr::LOCALHOST),
        name: "node".to_owned(),
        adapter: Adapter::Relay,
    };
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        let (flag, inline) = match word.split_once('=') {
            Some((flag, value)) => (flag.to_owned(), Some(value.to_owned())),
            None => (word, None),
        };
        let mut value = || inline.clone().or_else(|| words.next()).ok_or(format!("{flag} needs a value"));
        match flag.as_str() {
            "--help" | "-h" => return Ok(Command::Help),
            "--nodes" => args.nodes = number(&flag, &value()?, 1, MOST_NODES)?,
            "--port" => args.port = number(&flag, &value()?, 0, u16::MAX)?,
            "--host" => args.host = host(&value()?)?,
            "--name" => args.name = name(value()?)?,
            "--adapter" => args.adapter = adapter(value()?)?,
            other => return Err(format!("there is no option {other:?}")),
        }
    }
    if args.adapter == Adapter::Relay && !args.host.is_loopback() {
        return Err(format!(
            "over the relay, any visitor of the page can kill the servers, so they cannot listen on {}; --adapter takes another",
            args.host
        ));
    }
    match args.port.checked_add(args.nodes - 1) {
        Some(_) => Ok(Command::Run(args)),
        None => Err(format!("{} nodes from port {} on need ports over {}", args.nodes, args.port, u16::MAX)),
    }
}

/// The part of a URL that may be shown: no user, no password.
pub(crate) fn scheme(url: &str) -> &str {
    url.split_once("://").map_or("an unknown adapter", |(scheme, _)| scheme)
}

fn number(flag: &str, text: &str, least: u16, most: u16) -> Result<u16, String> {
    match text.parse() {
        Ok(number) if (least..=most).contains(&number) => Ok(number),
        _ => Err(format!("{flag} takes a number from {least} to {most}, not {text:?}")),
    }
}

fn host(text: &str) -> Result<IpAddr, String> {
    text.parse().map_err(|_| format!("--host takes an IP address, not {text:?}"))
}

fn name(text: String) -> Result<String, String> {
    match text.chars().count() {
        1..=32 => Ok(text),
        _ => Err("--name takes 1 to 32 characters".to_owned()),
    }
}

fn adapter(text: String) -> Result<Adapter, String> {
    match text.as_str() {
        "relay" => Ok(Adapter::Relay),
        "none" => Ok(Adapter::None),
        url if url.contains("://") => Ok(Adapter::Url(text)),
        _ => Err("--adapter takes a URL such as redis://127.0.0.1, or relay, or none".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Command, String> {
        parse(line.split_whitespace().map(str::to_owned))
    }

    fn run(nodes: u16, port: u16, adapter: Adapter) -> Result<Command, String> {
        let (host, name) = (IpAddr::V4(Ipv4Addr::LOCALHOST), "node".to_owned());
        Ok(Command::Run(Args { nodes, port, host, name, adapter }))
    }

    #[test]
    fn without_options_three_nodes_share_the_relay() {
        assert_eq!(parsed(""), run(3, 3001, Adapter::Relay));
        assert_eq!(parsed("--adapter relay"), parsed(""));
    }

    #[test]
    fn what_the_page_can_kill_is_on_this_machine_alone() {
        let reason = parsed("--host 0.0.0.0").expect_err("anybody could kill it");
        assert!(reason.contains("cannot listen on 0.0.0.0"), "{reason}");
        assert!(parsed("--host ::1").is_ok());
        assert!(parsed("--host 0.0.0.0 --adapter memory://chat").is_ok());
    }

    #[test]
    fn every_option_is_read_with_a_space_or_an_equals_sign() {
        assert_eq!(parsed("--nodes 5 --port 0 --adapter none"), run(5, 0, Adapter::None));
        assert_eq!(
            parsed("--nodes=1 --port=65535 --adapter=redis://h?a=b"),
            run(1, 65535, Adapter::Url("redis://h?a=b".to_owned()))
        );
        assert_eq!(parsed("--nodes 2 --help"), Ok(Command::Help));
    }

    #[test]
    fn what_is_wrong_is_refused_by_name() {
        for (line, part) in [
            ("--nodes 0", "--nodes takes a number from 1 to 16"),
            ("--nodes 17", "--nodes takes a number from 1 to 16"),
            ("--nodes x", "\"x\""),
            ("--nodes", "--nodes needs a value"),
            ("--port 65536", "--port takes a number"),
            ("--port 65535", "need ports over"),
            ("--host localhost", "--host takes an IP address"),
            ("--name=", "--name takes 1 to 32"),
            ("--adapter chat", "--adapter takes a URL"),
            ("--colour", "no option \"--colour\""),
            ("more", "no option \"more\""),
        ] {
            let reason = parsed(line).expect_err(line);
            assert!(reason.contains(part), "{line}: {reason}");
        }
    }

    #[test]
    fn a_shown_url_has_no_password() {
        assert_eq!(scheme("redis://user:secret@host"), "redis");
    }
}
