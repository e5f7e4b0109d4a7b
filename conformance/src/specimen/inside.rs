//! The process of a specimen.

use std::process::ExitCode;

use adapter_core::Cluster;
use adapter_core::backend::{Channel, Connect};
use adapter_core::probe::{Tap, Tapped};
use tokio::sync::mpsc;

use super::SPECIMEN;
use super::census::Census;
use super::heartbeat::Heartbeat;
use super::log::Log;
use crate::failure::{Failure, Verdict};
use crate::link::Link;
use crate::node::Node;
use crate::process;
use crate::subject::Subject;

/// What became of it, if the arguments ask for a specimen of one of these.
pub(crate) fn asked_for(subjects: &[Subject], arguments: impl IntoIterator<Item = String>) -> Option<ExitCode> {
    let mut arguments = arguments.into_iter();
    if arguments.next()? != SPECIMEN {
        return None;
    }
    let arguments: Vec<_> = arguments.collect();
    let words: Vec<_> = arguments.iter().map(String::as_str).collect();
    Some(match be(subjects, &words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Broken(text) | Failure::Unsuited(text)) => {
            eprintln!("{text}");
            ExitCode::FAILURE
        }
    })
}

/// One thread runs everything, so that whatever blocks it is seen.
fn be(subjects: &[Subject], words: &[&str]) -> Verdict {
    let [label, url, cluster, role @ ..] = words else { return Err(Failure::new("a specimen is started by a case")) };
    let subject = subjects.iter().find(|subject| subject.label() == *label);
    let subject = subject.ok_or_else(|| Failure::new(format!("no subject is called {label:?}")))?;
    let log = Log::of_all().map_err(Failure::new)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let orders = process::orders();
    let lived = runtime.block_on(async {
        let inside = Inside { heartbeat: Heartbeat::start()?, log, orders };
        let connector = (subject.connect)(url)?;
        match role {
            ["node"] => inside.node(cluster, connector).await,
            ["idler", channel] => inside.idler(cluster, channel, connector).await,
            other => Err(Failure::new(format!("{other:?} is nothing that a specimen could be"))),
        }
    });
    runtime.shutdown_background();
    lived
}

struct Inside {
    heartbeat: Heartbeat,
    log: Log,
    orders: mpsc::Receiver<String>,
}

impl Inside {
    /// Returns what knocks, until there are no more orders.
    async fn node(mut self, cluster: &str, connector: Box<dyn Connect>) -> Verdict {
        let node = Node::connect(Cluster::builder().cluster(cluster), connector).await?;
        let mut socket = node.socket([])?;
        println!("ready");
        loop {
            tokio::select! {
                order = self.orders.recv() => match order.as_deref() {
                    Some("census") => self.census(),
                    Some(other) => return Err(Failure::new(format!("{other:?} is no order for a node"))),
                    None => return Ok(()),
                },
                delivery = socket.next() => {
                    let packet = delivery.ok_or_else(|| Failure::new("the node has ended"))?.packet.data;
                    if let Some(mark) = String::from_utf8_lossy(&packet).strip_prefix("knock ") {
                        // Who knocks does so again.
                        drop(node.chat.timeout(std::time::Duration::ZERO).emit(format!("heard {mark}")).await);
                    }
                }
            }
        }
    }

    /// Takes nothing until it is told to.
    async fn idler(mut self, cluster: &str, channel: &str, connector: Box<dyn Connect>) -> Verdict {
        let tap = Tap::new(8, 1 << 20).in_cluster(cluster)?;
        let mut link = Link::connect(&connector, tap, false).await?;
        link.subscribe(&[Channel::new(channel)?]).await?;
        println!("ready");
        while let Some(order) = self.orders.recv().await {
            match order.as_str() {
                "census" => self.census(),
                "drain" => {
                    while !matches!(link.tap.next().await, Tapped::Frame(_, payload) if payload == "end") {}
                    println!("drained");
                }
                other => return Err(Failure::new(format!("{other:?} is no order for an idler"))),
            }
        }
        Ok(())
    }

    fn census(&self) {
        println!("{}", Census::here(self.heartbeat.longest(), self.log.counts()).line());
    }
}
