//! Everything at once: the nemesis, for a short while.

use crate::failure::Verdict;
use crate::nemesis::{Contestant, Options, strike};
use crate::scene::Scene;

cases! {"outage":
    Faults g09_nothing_is_lost_while_broker_links_and_processes_are_struck,
}

/// Processes under load, of which some are stopped and killed, while links are cut, go dead and slow, and the broker is killed
/// again and again. The longest recovery is measured.
async fn g09_nothing_is_lost_while_broker_links_and_processes_are_struck(scene: &Scene) -> Verdict {
    let mut options = Options::default();
    (options.seconds, options.seed) = (20, scene.seed);
    let report = strike(&Contestant::from(&scene.subject), scene.broker()?, &options).await?;
    report.measures().into_iter().for_each(|(what, value)| scene.measure(what, value));
    let folder = report.histories.as_ref().map(|folder| folder.display().to_string()).unwrap_or_default();
    check!(report.is_clean(), "{}; histories in {folder}\n{report}", report.complaints());
    Ok(())
}
