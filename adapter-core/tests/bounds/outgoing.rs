//! The outgoing queue: what was emitted, and waits for the broker.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use futures_util::FutureExt as _;
use tokio::task::{unconstrained, yield_now};

use super::{Full, LARGE, SMALL, Table, full, packet, part_of};
use crate::api::Cluster;
use crate::memory::Memory;
use crate::model::{Limits, Packet, Result};
use crate::seams::{Backend, Capabilities, Channel, Connect, Inbox, Outgoing, PublishError};

pub(super) fn rows(table: &mut Table) {
    table.row("outgoing queue", "packets of 64 B", |part| fill(part, |_| SMALL));
    table.row("outgoing queue", "packets of 1 KiB", |part| fill(part, |_| 1 << 10));
    table.row("outgoing queue", "packets of 4 KiB", |part| fill(part, |_| 4 << 10));
    table.row("outgoing queue", "packets of 64 KiB", |part| fill(part, |_| LARGE));
    table.row("outgoing queue", "packets of 4 MiB", |part| fill(part, |_| 4 << 20));
    table.row("outgoing queue", "empty packets", |part| fill(part, |_| 0));
    table.row("outgoing queue", "packets of 0 B and of 5 KiB by turns", |part| fill(part, |n| n % 2 * (5 << 10)));
}

fn fill(part: f64, len: impl Fn(usize) -> usize) -> Full {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = runtime.expect("a runtime");
    let (broker, bound) = (Stops::default(), part_of(16 << 20, part));
    let connecting = Cluster::builder().queue_bytes(bound).connect(broker.clone());
    let cluster = runtime.block_on(connecting).expect("connects");
    let chat = cluster.of("/chat").expect("valid");
    broker.0.store(true, Ordering::Relaxed);
    let fill = async {
        for n in 0.. {
            // The first poll queues it if there is room; the writer gets no turn.
            match unconstrained(chat.emit(Packet::opaque(packet(len(n))))).now_or_never() {
                Some(sent) => sent.expect("queued"),
                None => break,
            }
        }
        // Now the writer does: one batch is on its way.
        for _ in 0..20 {
            yield_now().await;
        }
    };
    full(|| {
        runtime.block_on(fill);
        ((), bound)
    })
}

/// The embedded broker, until it takes nothing more.
#[derive(Clone, Default)]
struct Stops(Arc<AtomicBool>);

#[async_trait]
impl Connect for Stops {
    async fn connect(&self, inbox: Inbox) -> Result<Arc<dyn Backend>> {
        let link = Memory::new().connect(inbox).await?;
        Ok(Arc::new(Link { link, stopped: Arc::clone(&self.0) }))
    }
}

struct Link {
    link: Arc<dyn Backend>,
    stopped: Arc<AtomicBool>,
}

#[async_trait]
impl Backend for Link {
    fn capabilities(&self) -> Capabilities {
        self.link.capabilities()
    }
    fn limits(&self) -> Limits {
        self.link.limits()
    }
    async fn subscribe(&self, channels: &[Channel]) -> Result<()> {
        self.link.subscribe(channels).await
    }
    async fn unsubscribe(&self, channels: &[Channel]) -> Result<()> {
        self.link.unsubscribe(channels).await
    }
    async fn publish(&self, frames: &[Outgoing]) -> std::result::Result<(), PublishError> {
        if self.stopped.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
        self.link.publish(frames).await
    }
    async fn close(&self) -> Result<()> {
        self.link.close().await
    }
}
