//! What every backend has to show, on one server.

use adapter_postgres::Postgres;
use conformance::{Subject, recipes};

fn main() -> std::process::ExitCode {
    conformance::main(
        [Subject::new("postgres", |url| Ok(Box::new(Postgres::from_url(url)?))).broker(recipes::POSTGRES)],
    )
}
