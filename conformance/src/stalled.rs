//! A node whose process can be stopped for a while.

use std::time::Duration;

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

/// For how long, and whom to tell when it is over.
type Stall = (Duration, oneshot::Sender<()>);

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
                while let Some((time, over)) = asked.recv().await {
                    std::thread::sleep(time); // the point: nothing of this node runs meanwhile
                    let _ = over.send(());
                }
            });
        })?;
        let node = soon("a node on a thread of its own", is_ready).await?.map_err(Failure::new)??;
        Ok(Self { node, stalls })
    }

    /// Stops everything that the node does, for so long.
    pub(crate) async fn stall(&self, time: Duration) -> Verdict {
        let (over, is_over) = oneshot::channel();
        self.stalls.send((time, over)).map_err(|_| Failure::new("the node's thread has ended"))?;
        Ok(soon("the end of the stall", is_over).await??)
    }
}
