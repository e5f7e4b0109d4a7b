//! Servers of our own, through the suite's brokers, and nodes without a cluster behind them.
#![allow(
    clippy::unwrap_used,
    dead_code,
    unused_imports,
    reason = "how a test fails; each test file uses its part of it"
)]

use std::ops::Deref;
use std::path::Path;

use roomcast_conformance::bare::with_arguments;
pub(crate) use roomcast_conformance::bare::{Node, certificates, channel};
use roomcast_conformance::{Broker, recipes};
use roomcast_nats::Nats;
use tempfile::TempDir;

/// A server as it comes.
pub(crate) async fn nats() -> Broker {
    Broker::start(&recipes::nats()).await.unwrap()
}

/// A server with a configuration file.
pub(crate) struct Server {
    broker: Broker,
    folder: TempDir,
}

impl Server {
    /// Starts one with this configuration.
    pub(crate) async fn start(configuration: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = configure(folder.path(), configuration);
        let recipe = with_arguments(recipes::nats(), &["--pid", "{folder}/pid", "--config", &file]);
        let broker = Broker::start_here(&recipe).await.unwrap();
        Self { broker, folder }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Kills it, and starts it on its port with another configuration.
    pub(crate) async fn again(&self, configuration: &str) {
        self.kill().await.unwrap();
        configure(self.folder(), configuration);
        self.start_again().await.unwrap();
    }

    /// Has it read another configuration while it runs.
    pub(crate) async fn reload(&self, configuration: &str) {
        configure(self.folder(), configuration);
        self.run(0, &["nats-server", "--signal", "reload=pid"]).await.unwrap();
    }
}

impl Deref for Server {
    type Target = Broker;

    fn deref(&self) -> &Broker {
        &self.broker
    }
}

fn configure(folder: &Path, configuration: &str) -> String {
    let file = folder.join("nats.conf");
    std::fs::write(&file, configuration).unwrap();
    file.display().to_string()
}

pub(crate) async fn connect(url: &str) -> Node {
    Node::connect(Nats::from_url(url)).await
}

/// Subscribed to this channel alone.
pub(crate) async fn on(url: &str, name: &str) -> Node {
    Node::on(Nats::from_url(url), name).await
}
