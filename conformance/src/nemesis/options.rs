//! How a run is done.

/// How a run is done.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Options {
    /// For how many seconds there is load; 60 by default. In less than 20 not every fault has its turn.
    pub seconds: u64,
    /// How many nodes there are, from 2 to 16; 4 by default.
    pub nodes: u32,
    /// How many messages a second all of them emit together; 2,000 by default.
    pub rate: u32,
    /// From which it follows what is struck when; random by default.
    pub seed: u64,
    /// How many bytes of what it has sent a node keeps for those that miss it; the cluster's own default if there is none. With 0
    /// nothing is repaired, and all that is lost has to be reported.
    pub history_bytes: Option<usize>,
    /// Whether the histories are kept when all is well; they are not by default. They take some 100 bytes for each delivery.
    pub keep: bool,
    /// Which subject: its name, with its variant if it has one. The first one by default.
    pub subject: Option<String>,
}

impl Default for Options {
    fn default() -> Self {
        let seed = getrandom::u64().unwrap_or_default();
        Self { seconds: 60, nodes: 4, rate: 2_000, seed, history_bytes: None, keep: false, subject: None }
    }
}

impl Options {
    /// What [`parse`](Self::parse) takes.
    pub const USAGE: &str =
        "[--seconds N] [--nodes N] [--rate N] [--seed N] [--subject NAME] [--history BYTES] [--keep]";

    /// Reads arguments. The error is a sentence for people.
    ///
    /// # Errors
    /// When there is an argument that it does not know, or a number out of its range.
    pub fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Self, String> {
        let mut options = Self::default();
        let mut arguments = arguments.into_iter();
        while let Some(flag) = arguments.next() {
            if flag == "--keep" {
                options.keep = true;
                continue;
            }
            if !["--seconds", "--nodes", "--rate", "--seed", "--subject", "--history"].contains(&flag.as_str()) {
                return Err(format!("there is no option {flag:?}; there are {}", Self::USAGE));
            }
            let value = arguments.next().ok_or_else(|| format!("{flag} needs a value"))?;
            match flag.as_str() {
                "--seconds" => options.seconds = number(&flag, &value, 5, 86_400)?,
                "--nodes" => options.nodes = number(&flag, &value, 2, 16)?,
                "--rate" => options.rate = number(&flag, &value, 1, 1_000_000)?,
                "--seed" => options.seed = number(&flag, &value, 0, u64::MAX)?,
                "--history" => options.history_bytes = Some(number(&flag, &value, 0, 4 << 30)?),
                _ => options.subject = Some(value),
            }
        }
        Ok(options)
    }
}

fn number<T: std::str::FromStr + PartialOrd + std::fmt::Display>(
    flag: &str,
    text: &str,
    least: T,
    most: T,
) -> Result<T, String> {
    match text.parse() {
        Ok(number) if (&least..=&most).contains(&&number) => Ok(number),
        _ => Err(format!("{flag} takes a number from {least} to {most}, not {text:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::Options;

    fn read(words: &[&str]) -> Result<Options, String> {
        Options::parse(words.iter().map(|word| (*word).to_owned()))
    }

    #[test]
    fn arguments_are_read_and_what_is_wrong_is_named() {
        let words = [
            "--seconds",
            "20",
            "--nodes",
            "3",
            "--rate",
            "100",
            "--seed",
            "7",
            "--history",
            "0",
            "--keep",
            "--subject",
            "a b",
        ];
        let expected = Options {
            seconds: 20,
            nodes: 3,
            rate: 100,
            seed: 7,
            history_bytes: Some(0),
            keep: true,
            subject: Some("a b".to_owned()),
        };
        assert_eq!(read(&words), Ok(expected));
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
