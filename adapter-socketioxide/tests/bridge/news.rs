//! What clients are told of the cluster.

use std::sync::{Arc, Mutex};

use adapter_core::backend::{Backend, Connect, Inbox, Limits, async_trait};
use adapter_core::{Cluster, Memory, Result};

use crate::support::client::Client;
use crate::support::server;

/// The embedded broker, behind a link that can be said to be down.
#[derive(Clone, Debug)]
struct Switched(Memory, Arc<Mutex<Option<Inbox>>>);

#[async_trait]
impl Connect for Switched {
    async fn connect(&self, inbox: Inbox) -> Result<Arc<dyn Backend>> {
        *self.1.lock().expect("no panic") = Some(inbox.clone());
        self.0.connect(inbox).await
    }
}

impl Switched {
    fn inbox(&self) -> Inbox {
        self.1.lock().expect("no panic").clone().expect("connected")
    }
}

#[tokio::test]
async fn clients_are_told_that_their_server_is_cut_off_and_back_and_learn_no_reason() {
    let link = Switched(Memory::new(), Arc::default());
    let cluster = Cluster::connect(link.clone()).await.expect("connected");
    let other = Cluster::connect(link.0.clone()).await.expect("connected");
    let (here, there) = (server(cluster.clone().into()).await, server(other.clone().into()).await);
    let (mut near, mut far) = (Client::connect(&here).await, Client::connect(&there).await);
    let telling = tokio::spawn(adapter_socketioxide::tell_clients(cluster.events(), here.io.clone(), "/", "cluster"));

    link.inbox().down("a secret of the operator");
    assert_eq!(near.next().await, r#"2["cluster",{"state":"degraded"}]"#);
    link.inbox().up(Limits::max_frame(1 << 20));
    assert_eq!(near.next().await, r#"2["cluster",{"state":"recovered"}]"#);

    there.io.emit("fence", &()).await.expect("emitted");
    assert_eq!(far.until_fence().await, [""; 0], "those of other servers are not told");
    cluster.close().await.expect("closed");
    drop((here, cluster, link));
    telling.await.expect("it ends with the node");
}
