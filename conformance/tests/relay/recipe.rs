//! How the relay is started: by the program that it is a part of.

use roomcast_conformance::broker::{Filling, Launch, Recipe, recipes};

pub(crate) fn recipe() -> Recipe {
    let program = std::env::current_exe().unwrap_or_default().display().to_string();
    // It answers the one question that Redis is asked, and knows no other command.
    let relay = recipes::redis().named("relay").scheme("relay").ends_links([""; 0]);
    let launch = Launch::new(program).args(["serve", "{port}"]);
    let relay = relay.filled_by(Filling::new(["touch", "{folder}/full"], ["rm", "{folder}/full"], "the relay is full"));
    relay.program(launch.takes_less_by(["sh", "-c", "echo 20000 > limit"])).without_image()
}
