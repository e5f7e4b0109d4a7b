//! What every backend has to show, on one server.

use adapter_postgres::Postgres;
use roomcast_conformance::{Subject, recipes};

fn main() -> std::process::ExitCode {
    roomcast_conformance::main([Subject::new("postgres", Postgres::from_url).broker(recipes::postgres())])
}
