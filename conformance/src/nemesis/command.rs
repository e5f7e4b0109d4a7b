//! What the program of a suite does beside its cases: it is the nemesis, or one of its nodes.

use std::process::ExitCode;

use tokio::runtime::Runtime;

use super::contestant::Contestant;
use super::worker::{self, Post};
use super::{Options, run};
use crate::failure::Failure;
use crate::process;

/// The argument by which this program is the nemesis.
const NEMESIS: &str = "--nemesis";
/// The argument by which it is a node.
pub(super) const NODE: &str = "--nemesis-node";

/// Runs the nemesis as a whole program; its arguments are those of [`Options::parse`].
///
/// It strikes one of the contestants, the first one by default, prints a [`Report`](super::Report), and fails if a promise was broken.
pub fn main(contestants: impl IntoIterator<Item = Contestant>) -> ExitCode {
    let contestants: Vec<_> = contestants.into_iter().collect();
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let told = arguments.first().is_some_and(|first| first == NEMESIS || first == NODE);
    let arguments = (!told).then(|| NEMESIS.to_owned()).into_iter().chain(arguments);
    asked_for(&contestants, arguments).unwrap_or(ExitCode::FAILURE)
}

/// What became of it, if the arguments ask for the nemesis or for one of its nodes.
pub(crate) fn asked_for(contestants: &[Contestant], arguments: impl IntoIterator<Item = String>) -> Option<ExitCode> {
    let mut arguments = arguments.into_iter();
    let done = match arguments.next()?.as_str() {
        NEMESIS => nemesis(contestants, arguments),
        NODE => be_a_node(contestants, arguments),
        _ => return None,
    };
    Some(done.unwrap_or_else(|text| {
        eprintln!("{text}");
        ExitCode::FAILURE
    }))
}

fn nemesis(contestants: &[Contestant], arguments: impl Iterator<Item = String>) -> Result<ExitCode, String> {
    let options = Options::parse(arguments)?;
    let contestant = match &options.subject {
        None => contestants.first().ok_or("the program names no subject")?,
        Some(label) => find(contestants, label)?,
    };
    println!("{}: {} s from now on, seed {}", contestant.label, options.seconds, options.seed);
    let runtime = Runtime::new().map_err(|error| error.to_string())?;
    let report = runtime.block_on(run(contestant, &options)).map_err(|error| error.to_string())?;
    println!("\n{report}");
    if let Some(folder) = &report.histories {
        println!("The histories are in {}.", folder.display());
    }
    Ok(if report.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn be_a_node(contestants: &[Contestant], arguments: impl Iterator<Item = String>) -> Result<ExitCode, String> {
    let post = Post::parse(arguments).ok_or("a node is started by the nemesis")?;
    let contestant = find(contestants, &post.label)?;
    let orders = process::orders();
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(2).enable_all().build().map_err(|error| error.to_string())?;
    let name = format!("node {}", post.run);
    let worked = runtime.block_on(worker::work(contestant, post, orders));
    runtime.shutdown_background();
    match worked {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(Failure::Broken(text) | Failure::Unsuited(text)) => Err(format!("{name}: {text}")),
    }
}

fn find<'a>(contestants: &'a [Contestant], label: &str) -> Result<&'a Contestant, String> {
    contestants.iter().find(|contestant| contestant.label == label).ok_or_else(|| {
        let labels: Vec<_> = contestants.iter().map(|contestant| contestant.label.as_str()).collect();
        format!("no subject is called {label:?}; there are {}", labels.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use adapter_core::Memory;

    use super::{Contestant, asked_for, find};
    use crate::subject::Subject;

    #[test]
    fn the_arguments_of_tests_ask_for_nothing() {
        let subject = Subject::new("memory", |url| Ok(Memory::named(url))).variant("small");
        let contestants = [Contestant::from(&subject)];
        for arguments in [&[][..], &["nemesis"], &["g09", "--nemesis"]] {
            assert!(
                asked_for(&contestants, arguments.iter().map(|word| (*word).to_owned())).is_none(),
                "{arguments:?}"
            );
        }
        assert!(find(&contestants, "memory small").is_ok());
        assert!(find(&contestants, "memory").is_err_and(|text| text.contains("memory small")));
    }
}
