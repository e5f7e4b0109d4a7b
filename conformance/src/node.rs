//! One node with sockets, and what a case waits for.

use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use roomcast_core::backend::Connect;
use roomcast_core::{Cluster, ClusterBuilder, ErrorKind, Event, Events, Hub, NamespaceHandle, Socket};

use crate::bare::is_late;
use crate::failure::{Failure, Verdict};

/// How long a case waits for what has to come. Generous: what is in time is measured, not tested by the clock.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// One node with one namespace. Clones are the same node.
#[derive(Clone)]
pub(crate) struct Node {
    pub(crate) cluster: Cluster,
    pub(crate) chat: NamespaceHandle,
    pub(crate) hub: Hub,
}

impl Node {
    pub(crate) async fn connect(builder: ClusterBuilder, backend: impl Connect) -> Verdict<Self> {
        let cluster = builder.connect(backend).await?;
        let hub = Hub::builder().queue(200_000).build();
        let chat = cluster.namespace("/chat", hub.clone()).await?;
        Ok(Self { cluster, chat, hub })
    }

    pub(crate) fn id(&self) -> roomcast_core::NodeId {
        self.cluster.node().id
    }

    pub(crate) fn socket<const N: usize>(&self, rooms: [&str; N]) -> Verdict<Socket> {
        let socket = self.hub.connect()?;
        socket.join(rooms)?;
        Ok(socket)
    }

    /// Stops it without a goodbye, as a crash does.
    pub(crate) fn crash(self) {
        drop(self);
    }
}

/// One socket on each node.
pub(crate) fn sockets<const N: usize>(nodes: &[Node], rooms: [&str; N]) -> Verdict<Vec<Socket>> {
    nodes.iter().map(|node| node.socket(rooms)).collect()
}

/// Waits until something is so.
#[track_caller]
pub(crate) fn eventually<'a>(
    what: &'a str,
    so: impl FnMut() -> bool + Send + 'a,
) -> impl Future<Output = Verdict> + 'a {
    eventually_within(PATIENCE, what, so)
}

/// The same, with a patience of its own.
#[track_caller]
pub(crate) fn eventually_within<'a>(
    patience: Duration,
    what: &'a str,
    mut so: impl FnMut() -> bool + Send + 'a,
) -> impl Future<Output = Verdict> + 'a {
    let late = Failure::new(format!("it never came true that {what}"));
    async move {
        let wait = async {
            let mut look = tokio::time::interval(Duration::from_millis(2));
            while !so() {
                look.tick().await; // a condition can only be looked at
            }
        };
        tokio::time::timeout(patience, wait).await.map_err(|_| late)
    }
}

/// Waits for what has to come.
#[track_caller]
pub(crate) fn soon<'a, T>(
    what: &'a str,
    future: impl Future<Output = T> + 'a,
) -> impl Future<Output = Verdict<T>> + 'a {
    let late = Failure::new(format!("{what} did not come within {PATIENCE:?}"));
    async move { tokio::time::timeout(PATIENCE, future).await.map_err(|_| late) }
}

/// Connects, and again if that took too long: a machine may stand still for a moment.
pub(crate) async fn connected<T, F>(what: &str, connect: impl Fn() -> F) -> Verdict<T>
where
    F: Future<Output = roomcast_core::Result<T>>,
{
    let connecting = async {
        let mut again = tokio::time::interval(Duration::from_millis(10));
        loop {
            again.tick().await;
            match connect().await {
                Err(error) if matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Timeout) => {}
                made => return made,
            }
        }
    };
    Ok(soon(what, connecting).await??)
}

/// What the socket gets next.
pub(crate) async fn next_bytes(socket: &mut Socket) -> Verdict<Bytes> {
    let what = format!("a packet for socket {}", socket.id());
    let delivery = soon(&what, socket.next()).await?;
    delivery.map(|delivery| delivery.packet.data).ok_or_else(|| Failure::new("the socket was disconnected"))
}

/// What the socket gets next, as text.
pub(crate) async fn next(socket: &mut Socket) -> Verdict<String> {
    Ok(String::from_utf8_lossy(&next_bytes(socket).await?).into_owned())
}

/// The socket's packets have ended.
pub(crate) async fn is_disconnected(socket: &mut Socket) -> Verdict {
    let end = soon("the socket's end", socket.next()).await?;
    check!(end.is_none(), "a packet came instead of the socket's end: {end:?}");
    Ok(())
}

/// What the socket gets before the marker, which was emitted after everything else.
pub(crate) async fn until(marker: &str, socket: &mut Socket) -> Verdict<Vec<String>> {
    let mut got = Vec::new();
    loop {
        match next(socket).await? {
            text if text == marker => return Ok(got),
            text => got.push(text),
        }
    }
}

/// Sends a marker to everyone, and answers what each socket got before it.
pub(crate) async fn fence(from: &Node, sockets: &mut [Socket]) -> Verdict<Vec<Vec<String>>> {
    from.chat.emit("fence").await?;
    let mut all = Vec::new();
    for socket in sockets {
        all.push(until("fence", socket).await?);
    }
    Ok(all)
}

/// Reads events up to one that is wanted; answers it and those before it.
pub(crate) async fn event(
    what: &str,
    events: &mut Events,
    mut wanted: impl FnMut(&Event) -> bool,
) -> Verdict<(Event, Vec<Event>)> {
    let mut before = Vec::new();
    let read = async {
        loop {
            match events.next().await {
                Some(event) if wanted(&event) => return Ok(event),
                Some(event) => before.push(event),
                None => return Err(Failure::new("the node has ended")),
            }
        }
    };
    let event = soon(what, read).await??;
    Ok((event, before))
}

/// The events that are there now.
pub(crate) fn events_so_far(events: &mut Events) -> Vec<Event> {
    use futures_util::FutureExt;
    std::iter::from_fn(|| events.next().now_or_never().flatten()).collect()
}

/// Whether the node says that its link was lost. Late heartbeats on a busy machine are no such loss.
pub(crate) fn is_of_a_cut(event: &Event) -> bool {
    matches!(event, Event::Degraded(_)) && !is_late(event)
}
