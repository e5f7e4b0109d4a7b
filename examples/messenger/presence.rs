//! Who is online, on any server.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use roomcast::Cluster;
use roomcast::socketioxide::SocketIo;
use tokio::sync::Notify;

/// How long a change waits: for more changes, and for a tab that is only loaded anew or moves to another server.
const SETTLING: Duration = Duration::from_secs(2);

/// Nothing of it is kept: it is asked of the cluster, so a server that crashes leaves nobody behind.
#[derive(Clone)]
pub(crate) struct Presence {
    cluster: Cluster,
    /// A tab was opened or closed, on this server or on another.
    changed: Arc<Notify>,
}

/// The room of all tabs of a user, on whichever server they are.
pub(crate) fn room(user: &str) -> String {
    format!("user:{user}")
}

impl Presence {
    pub(crate) fn new(cluster: Cluster) -> roomcast::Result<Self> {
        let changed = Arc::new(Notify::new());
        let told = Arc::clone(&changed);
        cluster.of("/")?.on("presence", move |_| {
            told.notify_one();
            async { Ok(()) }
        })?;
        Ok(Self { cluster, changed })
    }

    /// The users with a tab on any server; `None` if a server does not reply.
    pub(crate) async fn online(&self) -> Option<BTreeSet<String>> {
        let rooms = self.cluster.of("/").ok()?.rooms().await.ok().filter(|rooms| rooms.is_complete())?;
        Some(rooms.items.iter().filter_map(|room| room.as_str().strip_prefix("user:")).map(str::to_owned).collect())
    }

    /// Tells every server that a tab was opened or closed.
    pub(crate) async fn changed(&self) {
        self.changed.notify_one();
        if let Ok(servers) = self.cluster.of("/") {
            servers.server_side_emit("presence", "").await.ok(); // if it is lost, the cluster's events say so
        }
    }

    /// Tells this server's clients once when the first tab of a user was opened and when the last one was closed, on whichever server.
    /// Ends with the cluster.
    pub(crate) async fn tell(self, io: SocketIo) {
        let mut events = self.cluster.events();
        let mut shown = BTreeSet::new();
        self.changed.notify_one(); // others may be there already
        loop {
            tokio::select! {
                () = self.changed.notified() => {}
                // A server has died, or messages were lost, for example.
                event = events.next() => if event.is_none() { return },
            }
            tokio::time::sleep(SETTLING).await;
            let Some(online) = self.online().await else {
                self.changed.notify_one();
                continue;
            };
            let Some(clients) = io.of("/") else { return };
            for (event, names) in [("online", online.difference(&shown)), ("offline", shown.difference(&online))] {
                for name in names {
                    clients.clone().local().emit(event, name).await.ok();
                }
            }
            shown = online;
        }
    }
}
