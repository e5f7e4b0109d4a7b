//! What every backend has to show, on one server; on request through PgBouncer, and by TLS.

use adapter_postgres::Postgres;
use roomcast_conformance::{Subject, recipes};

fn main() -> std::process::ExitCode {
    let postgres = || Subject::new("postgres", Postgres::from_url);
    let mut subjects = vec![
        postgres().broker(recipes::postgres()),
        postgres().variant("pgbouncer").broker(recipes::pgbouncer()).on_request(),
        postgres().variant("pgbouncer transaction").broker(recipes::pgbouncer_transaction()).on_request(),
    ];
    if cfg!(feature = "tls") {
        subjects.push(postgres().variant("tls").broker(recipes::postgres_tls()).on_request());
    }
    roomcast_conformance::main(subjects)
}
