//! What every backend has to show, on one server; on request through PgBouncer, and by TLS.

use roomcast_conformance::{Subject, recipes};

fn main() -> std::process::ExitCode {
    let postgres = || Subject::new("postgres", roomcast_postgres::Postgres::from_url).at_once(7);
    roomcast_conformance::main([
        postgres().broker(recipes::postgres()),
        postgres().variant("pgbouncer").broker(recipes::pgbouncer()).on_request(),
        postgres().variant("pgbouncer transaction").broker(recipes::pgbouncer_transaction()).on_request(),
        postgres().variant("tls").broker(recipes::postgres_tls()).on_request().only_if(cfg!(feature = "tls")),
    ])
}
