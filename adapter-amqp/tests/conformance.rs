//! The suite that every backend passes, on one broker and on a cluster of two; on request by TLS.

use roomcast_conformance::{Subject, recipes};

fn main() -> std::process::ExitCode {
    // A server takes several seconds to start, most of them of a processor, and some cases start it again and again.
    let deadline = std::time::Duration::from_secs(600);
    let amqp = || Subject::new("amqp", roomcast_amqp::Amqp::from_url).deadline(deadline).at_once(4);
    roomcast_conformance::main([
        amqp().broker(recipes::rabbitmq()),
        amqp().topology("cluster").broker(recipes::rabbitmq_cluster()),
        amqp().variant("tls").broker(recipes::rabbitmq_tls()).on_request().only_if(cfg!(feature = "tls")),
    ])
}
