//! What every backend has to show, on one server.

use adapter_postgres::Postgres;
use conformance::{Subject, recipes};

fn main() -> std::process::ExitCode {
    conformance::main([Subject::new("postgres", Postgres::from_url).broker(recipes::postgres())])
}
