//! A node whose process can be stopped for a while.

use std::sync::mpsc::{Receiver, channel};

use roomcast_core::ClusterBuilder;
use roomcast_core::backend::Connect;
use tokio::sync::{mpsc, oneshot};

use crate::failure::{Failure, Verdict};
use crate::node::{Node, soon};

/// A node on a thread of its own, which can be stopped for a while as a process is by a debugger or a busy host.
pub(crate) struct Stallable {
    pub(crate) node: Node,
    stalls: mpsc::UnboundedSender<Stall>,
}

/// Lasts until the other end of this is gone; and whom to tell when it is over.
type Stall = (Receiver<()>, oneshot::Sender<()>);

impl Stallable {
    pub(crate) async fn connect(builder: ClusterBuilder, backend: Box<dyn Connect>) -> Verdict<Self> {
        let (stalls, mut asked) = mpsc::unbounded_channel::<Stall>();
        let (ready, is_ready) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        std::thread::Builder::new().name("stallable".to_owned()).spawn(move || {
            runtime.block_on(async {
                let node = Node::connect(builder, backend).await;
                if ready.send(node).is_err() {
                    return; // the case has ended
                }
                while let Some((lasts, over)) = asked.recv().await {
                    let _ = lasts.recv(); // the point: nothing of this node runs meanwhile
                    let _ = over.send(());
                }
            });
        })?;
        let node = soon("a node on a thread of its own", is_ready).await?.map_err(Failure::new)??;
        Ok(Self { node, stalls })
    }

    /// Stops everything that the node does, until this has happened.
    pub(crate) async fn stall_until<T>(&self, happens: impl Future<Output = T>) -> Verdict<T> {
        let (lasts, end) = channel::<()>();
        let (over, is_over) = oneshot::channel();
        self.stalls.send((end, over)).map_err(|_| Failure::new("the node's thread has ended"))?;
        let happened = happens.await;
        drop(lasts);
        soon("the end of the stall", is_over).await??;
        Ok(happened)
    }
}
