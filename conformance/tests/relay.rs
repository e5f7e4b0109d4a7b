//! The smallest broker that can be killed, paused and cut off: so that the outage cases run, and are seen to fail, on any
//! machine. This program is the broker too: `relay serve <port>`.

mod relay {
    pub(crate) mod backend;
    pub(crate) mod server;
    pub(crate) mod wire;
}

use conformance::broker::{Launch, Probe, Setup};
use conformance::{Recipe, Subject};

use relay::backend::Relay;

fn main() -> std::process::ExitCode {
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() == Some("serve") {
        return relay::server::run(arguments.next().and_then(|port| port.parse().ok()));
    }
    let connect = |url: &str| Ok(Box::new(Relay::from_url(url)?) as Box<dyn adapter_core::Connect>);
    conformance::main([Subject::new("relay", connect).broker(recipe())])
}

fn recipe() -> Recipe {
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
