//! The suite that every backend passes, on one broker and on a cluster of two.

use conformance::{Subject, recipes};

fn main() -> std::process::ExitCode {
    let amqp = || Subject::new("amqp", |url| Ok(Box::new(adapter_amqp::Amqp::from_url(url)?)));
    conformance::main([amqp().broker(recipes::RABBITMQ)])
}
