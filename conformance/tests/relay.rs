//! The smallest broker that can be killed, paused and cut off: so that the outage cases run on any machine. This program is the
//! broker too: `relay serve <port>`. That these cases fail for a backend that is broken shows `relay_mutants.rs`.

mod relay {
    pub(crate) mod backend;
    pub(crate) mod recipe;
    pub(crate) mod server;
    pub(crate) mod subject;
    pub(crate) mod wire;
}

fn main() -> std::process::ExitCode {
    relay::server::asked_for().unwrap_or_else(|| roomcast_conformance::main([relay::subject::subject()]))
}
