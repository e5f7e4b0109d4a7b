//! Nodes under load whose broker, links and processes are struck, and what came of every message (G7 to G10).
//!
//! Every node is a process of its own: this program, started once more. Each writes down what it does and sees, in a file. The
//! end compares all files: which messages were owed to whom, and what became of them.
//!
//! A node is owed what nodes that live to the end have sent since it was ready, if it lives to the end, too. A node that is
//! stopped for some seconds is owed everything. Of a node that is killed, what it sent last may go with it; that has to be
//! reported as a gap.
//!
//! A gap counts every numbered message of its sender, and does not say which: joins and questions are among them. So what is
//! missing counts as reported as far as the gaps' counts go.

mod check;
#[cfg(test)]
mod check_tests;
mod cluster_node;
pub(crate) mod command;
mod contestant;
mod director;
mod history;
mod listener;
mod message;
mod node;
mod options;
mod plan;
mod recovery;
mod report;
mod worker;

use std::fmt;
use std::time::Duration;

use self::check::Findings;
pub use self::command::main;
pub use self::contestant::Contestant;
use self::director::Director;
pub use self::listener::Listener;
pub use self::node::{Answered, Join, Node, NodeResult, Place, Repairs};
pub use self::options::Options;
use self::plan::Plan;
pub use self::report::Report;
use crate::broker::{Broker, MissingBroker};
use crate::failure::{Failure, Verdict};

/// Why a run gave no report.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NemesisError {
    /// There is no broker, or none that can be killed.
    Broker(MissingBroker),
    /// The run could not be done; what failed.
    Run(String),
}

/// Starts the contestant's broker and the nodes, strikes them, and says what came of it.
///
/// # Contract
/// The nodes are this program, started with arguments that [`main`] and [`roomcast_conformance::main`](crate::main) know: so the program's
/// own `main` has to call one of them first, with this contestant among those that it names.
///
/// # Errors
/// When there is no broker that can be killed, or the run could not be done. A promise that was broken is no error:
/// [`Report::is_clean`] says so.
///
/// # Panics
/// Outside of a tokio runtime.
pub async fn run(contestant: &Contestant, options: &Options) -> Result<Report, NemesisError> {
    let none = || MissingBroker::new("nemesis", "the subject has no broker that could fail".to_owned());
    let recipe = contestant.recipe.as_ref().ok_or_else(none).map_err(NemesisError::Broker)?;
    let broker = Broker::start(recipe).await.map_err(NemesisError::Broker)?;
    broker.can().map_err(NemesisError::Broker)?;
    strike(contestant, &broker, options).await.map_err(|failure| match failure {
        Failure::Broken(text) | Failure::Unsuited(text) => NemesisError::Run(text),
    })
}

/// The same on a broker that runs, and that nobody else uses.
pub(crate) async fn strike(contestant: &Contestant, broker: &Broker, options: &Options) -> Verdict<Report> {
    let mut folder = tempfile::Builder::new().prefix("roomcast-nemesis-").tempdir()?;
    let length = Duration::from_secs(options.seconds);
    let plan = Plan::new(options.seed, length, options.nodes);
    let director = Director::new(contestant, broker, options, folder.path()).await?;
    let evidence = match director.run(&plan, length).await {
        Ok(evidence) => evidence,
        Err(failure) => {
            folder.disable_cleanup(true); // they may say why
            eprintln!("the histories so far are in {}", folder.path().display());
            return Err(failure);
        }
    };
    drop(director); // and with it the nodes
    let length = evidence.length;
    let found =
        tokio::task::spawn_blocking(move || Findings::of(&evidence.histories, &evidence.blows, &evidence.killed));
    let mut report = Report {
        subject: contestant.label.clone(),
        broker: format!("{} {}", broker.name(), broker.version()),
        seed: options.seed,
        length,
        nodes: options.nodes,
        history_bytes: options.history_bytes,
        histories: None,
        found: found.await?,
    };
    if options.keep || !report.is_clean() {
        folder.disable_cleanup(true);
        report.histories = Some(folder.path().to_owned());
    }
    Ok(report)
}

impl fmt::Display for NemesisError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Broker(missing) => missing.fmt(f),
            Self::Run(text) => write!(f, "the run could not be done: {text}"),
        }
    }
}

impl std::error::Error for NemesisError {}
