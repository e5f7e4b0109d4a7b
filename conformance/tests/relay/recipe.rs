//! How the relay is started: by the program that it is a part of.

use conformance::Recipe;
use conformance::broker::{Launch, Probe, Setup};

pub(crate) fn recipe() -> Recipe {
    let program = std::env::current_exe().unwrap_or_default().display().to_string();
    let program: &'static str = Box::leak(program.into_boxed_str()); // a recipe is plain data
    Recipe {
        name: "relay",
        setting: "RELAY",
        family: "RELAY",
        scheme: "relay",
        servers: 1,
        local: Launch {
            what: program,
            arguments: &[&["serve", "{port}"]],
            environment: &[],
            prepare: &[],
            user: None,
            stop: "TERM",
        },
        container: Launch { what: "", arguments: &[], environment: &[], prepare: &[], user: None, stop: "TERM" },
        probe: Probe::Redis, // the relay answers that one question
        setup: Setup::None,
    }
}
