//! The suite that every backend passes, on one server and on a cluster of three; on request by TLS.

use roomcast_conformance::{Subject, recipes};

fn main() -> std::process::ExitCode {
    let nats = || Subject::new("nats", roomcast_nats::Nats::from_url);
    // Without what servers tell of each other: a node whose link is cut would find the others, past the suite's proxy.
    let cluster = nats()
        .topology("cluster")
        .broker(recipes::nats_cluster())
        .url_options("discover=false")
        .spreads_late("servers of a NATS cluster learn of a subscription a moment after it is confirmed");
    let tls = nats().variant("tls").broker(recipes::nats_tls()).on_request();
    roomcast_conformance::main([nats().broker(recipes::nats()), cluster, tls])
}
