//! The command line.

/// What `--help` prints.
pub(crate) const HELP: &str = "\
Servers under load, and a broker that is killed every five seconds.

Usage: kill_the_broker [--adapter WHAT] [--seconds N] [--nodes N] [--rate N]

  --adapter WHAT  redis, nats, amqp or postgres: starts such a broker of its own, and kills it (default redis, or
                  relay where no Redis is installed);
                  relay: a small broker that is part of this program;
                  a URL: that broker, to which all links are cut instead
  --seconds N     for how long messages are sent (default 30)
  --nodes N       how many servers, 2 to 16 (default 3)
  --rate N        messages a second of all servers together (default 2000)
  --help          this text";

/// What was asked for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Command {
    Run(Args),
    Help,
}

/// How to run.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Args {
    /// None: whichever is there.
    pub(crate) adapter: Option<String>,
    pub(crate) seconds: u64,
    pub(crate) nodes: u64,
    pub(crate) rate: u64,
}

/// Reads the command line, without the program's name. The error is a sentence for people.
pub(crate) fn parse(words: impl IntoIterator<Item = String>) -> Result<Command, String> {
    let mut args = Args { adapter: None, seconds: 30, nodes: 3, rate: 2000 };
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        let (flag, inline) = match word.split_once('=') {
            Some((flag, value)) => (flag.to_owned(), Some(value.to_owned())),
            None => (word, None),
        };
        let mut value = || inline.clone().or_else(|| words.next()).ok_or(format!("{flag} needs a value"));
        match flag.as_str() {
            "--help" | "-h" => return Ok(Command::Help),
            "--adapter" => args.adapter = Some(value()?),
            "--seconds" => args.seconds = number(&flag, &value()?, 1, 86_400)?,
            "--nodes" => args.nodes = number(&flag, &value()?, 2, 16)?,
            "--rate" => args.rate = number(&flag, &value()?, 1, 1_000_000)?,
            other => return Err(format!("there is no option {other:?}")),
        }
    }
    Ok(Command::Run(args))
}

fn number(flag: &str, text: &str, least: u64, most: u64) -> Result<u64, String> {
    match text.parse() {
        Ok(number) if (least..=most).contains(&number) => Ok(number),
        _ => Err(format!("{flag} takes a number from {least} to {most}, not {text:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &[&str]) -> Result<Command, String> {
        parse(words.iter().map(|word| (*word).to_owned()))
    }

    #[test]
    fn options_are_read_and_what_is_wrong_is_named() {
        let args = Args { adapter: Some("nats".to_owned()), seconds: 5, nodes: 4, rate: 100 };
        let words = ["--adapter", "nats", "--seconds=5", "--nodes", "4", "--rate=100"];
        assert_eq!(read(&words), Ok(Command::Run(args)));
        assert_eq!(read(&["--adapter", "x", "--help"]), Ok(Command::Help));
        for (words, part) in [
            (&["--nodes", "1"][..], "from 2 to 16"),
            (&["--seconds"], "needs a value"),
            (&["--rate", "fast"], "\"fast\""),
            (&["--kill"], "\"--kill\""),
        ] {
            assert!(read(words).is_err_and(|text| text.contains(part)), "{words:?}");
        }
    }
}
