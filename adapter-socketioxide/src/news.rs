//! What happens to the cluster, told to clients.

use roomcast_core::{Event, Events};
use serde::Serialize;
use socketioxide::SocketIo;
use socketioxide::adapter::Adapter;

/// What clients are told of the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "lowercase")]
enum News {
    /// This server is cut off from the others.
    Degraded,
    /// It is back.
    Recovered,
    /// Messages of another server were lost; how many, if that is known.
    Lost { count: Option<u64> },
}

impl News {
    fn of(event: &Event) -> Option<Self> {
        match event {
            Event::Degraded(_) => Some(Self::Degraded),
            Event::Recovered => Some(Self::Recovered),
            Event::Gap { count, .. } => Some(Self::Lost { count: *count }),
            // Some of what there was to tell is gone: a page that loads anew is right in any case.
            Event::Missed(_) => Some(Self::Lost { count: None }),
            _ => None,
        }
    }
}

/// Emits what happens to the cluster to this server's own clients of a namespace, so that a page can say that it is cut off, or load
/// again what it has missed. It runs until the node is closed: give it a task.
///
/// The argument of `event` is `{"state":"degraded"}` when this server is cut off from the others, `{"state":"recovered"}` when it is back, and
/// `{"state":"lost","count":3}` when messages for this server were lost; `count` is `null` if nobody knows how many. Clients learn neither the
/// reasons nor the names of nodes. Clients that connect during an outage are not told that it has begun.
///
/// # Examples
/// ```
/// # async fn example(cluster: roomcast_core::Cluster, io: roomcast_socketioxide::SocketIo) {
/// tokio::spawn(roomcast_socketioxide::tell_clients(cluster.events(), io, "/", "cluster"));
/// # }
/// ```
pub async fn tell_clients<A: Adapter>(mut events: Events, io: SocketIo<A>, namespace: &str, event: &str) {
    while let Some(happened) = events.next().await {
        let Some(news) = News::of(&happened) else { continue };
        if let Some(clients) = io.of(namespace) {
            // What fails is a client whose buffer is full: the bridge counts it.
            let _ = clients.local().emit(event, &news).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use roomcast_core::{GapChannel, NodeId};

    use super::*;

    #[test]
    fn what_is_lost_is_told_without_names() {
        let gap = |count| Event::gap(NodeId::from_bytes([7; 16]), GapChannel::Cluster, count);
        let told = |count| serde_json::to_string(&News::of(&gap(count))).expect("JSON");
        assert_eq!(told(Some(3)), r#"{"state":"lost","count":3}"#);
        assert_eq!(told(None), r#"{"state":"lost","count":null}"#);
        assert_eq!(News::of(&Event::Impersonated), None);
    }
}
