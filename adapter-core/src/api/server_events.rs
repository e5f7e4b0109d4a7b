//! Events between servers, as an application uses them.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::mpsc::{self, Receiver};
use tracing::Instrument as _;

use crate::api::NamespaceHandle;
use crate::api::namespace::{Handler, TIMEOUT};
use crate::driver::{now, panics};
use crate::model::{Error, Gathered, MissingNode, MissingReason, NodeId, Result};
use crate::seams::ServerEvent;

/// Between two lines in the log about one handler that fails.
const PAUSE: Duration = Duration::from_secs(1);
/// How many server-side events wait for their handler.
const EVENTS: usize = 1024;

impl NamespaceHandle {
    /// Sends an event to the other servers, but not to this one. Returns once the event is in the outgoing queue.
    /// Servers handle it with [`on`](Self::on), or [`on_server_event`](Self::on_server_event).
    ///
    /// # Errors
    /// Those of [`BroadcastOperator::emit`](crate::BroadcastOperator::emit), and `Config` for a bad event name.
    pub async fn server_side_emit(&self, event: &str, data: impl Into<Bytes>) -> Result<()> {
        self.0.adapter.server_side_emit(&self.0.name, event, data.into(), TIMEOUT).await
    }

    /// Sends an event to the other servers, as [`server_side_emit`](Self::server_side_emit) does, and waits up to `timeout` for one reply from each.
    /// `missing` names the servers that did not reply.
    ///
    /// # Errors
    /// Those of [`BroadcastOperator::fetch_sockets`](crate::BroadcastOperator::fetch_sockets), and `Config` for a bad event name.
    pub async fn server_side_emit_with_ack(
        &self,
        event: &str,
        data: impl Into<Bytes>,
        timeout: Duration,
    ) -> Result<Gathered<(NodeId, Bytes)>> {
        self.0.adapter.server_side_emit_with_ack(&self.0.name, event, data.into(), timeout).await
    }

    /// Like [`server_side_emit`](Self::server_side_emit), with a value that travels as JSON.
    ///
    /// # Errors
    /// Those of [`server_side_emit`](Self::server_side_emit), and `Config` when the value has no JSON form.
    pub async fn server_side_emit_json(&self, event: &str, data: &impl Serialize) -> Result<()> {
        self.server_side_emit(event, to_json(data)?).await
    }

    /// Like [`server_side_emit_with_ack`](Self::server_side_emit_with_ack), with a request and replies that travel as JSON. A
    /// node whose reply cannot be read as `R` is in `missing`, as `Unsupported`.
    ///
    /// # Examples
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> roomcast_core::Result<()> {
    /// # use std::time::Duration;
    /// # use roomcast_core::{Cluster, Memory};
    /// # let memory = Memory::new();
    /// # let (one, two) = (Cluster::connect(memory.clone()).await?, Cluster::connect(memory).await?);
    /// two.of("/")?.on("add", async |event| {
    ///     let (a, b): (i32, i32) = event.json()?;
    ///     event.reply.map_or(Ok(()), |reply| reply.send_json(&(a + b)))
    /// })?;
    /// let sums = one.of("/")?.server_side_emit_json_with_ack::<i32>("add", &(2, 3), Duration::from_secs(5)).await?;
    /// assert_eq!(sums.items, [(two.node().id, 5)]);
    /// # one.close().await?; two.close().await }
    /// ```
    ///
    /// # Errors
    /// Those of [`server_side_emit_with_ack`](Self::server_side_emit_with_ack), and `Config` when the question has no JSON form.
    pub async fn server_side_emit_json_with_ack<R: DeserializeOwned>(
        &self,
        event: &str,
        data: &impl Serialize,
        timeout: Duration,
    ) -> Result<Gathered<(NodeId, R)>> {
        let Gathered { items: answers, mut missing } =
            self.server_side_emit_with_ack(event, to_json(data)?, timeout).await?;
        let mut items = Vec::with_capacity(answers.len());
        for (node, answer) in answers {
            match serde_json::from_slice(&answer) {
                Ok(answer) => items.push((node, answer)),
                Err(_) => missing.push(MissingNode { node, reason: MissingReason::Unsupported }),
            }
        }
        missing.sort_unstable_by_key(|missing| missing.node);
        Ok(Gathered { items, missing })
    }

    /// Handles the server-side events of one name that other nodes send in this namespace, one after the other. Several handlers
    /// of one name each get every event of that name; if the sender waits for a reply, the first one counts.
    ///
    /// The handler stays until the cluster is closed, or until [`off`](Self::off), also when this handle is dropped. An error that it
    /// returns is logged, at most once a second, and a sender that waits for a reply learns that there is none. Queue and panics are as with
    /// [`on_server_event`](Self::on_server_event). A handler that captures a `Cluster` or a `NamespaceHandle` keeps the node alive
    /// until `close`.
    ///
    /// # Examples
    /// ```
    /// # async fn example(cluster: roomcast_core::Cluster) -> roomcast_core::Result<()> {
    /// #[derive(serde::Serialize, serde::Deserialize)]
    /// struct Banned { user: u64 }
    ///
    /// let chat = cluster.of("/chat")?;
    /// chat.on("banned", async |event| {
    ///     let Banned { user } = event.json()?;
    ///     println!("{} has banned {user}", event.from);
    ///     Ok(())
    /// })?;
    /// chat.server_side_emit_json("banned", &Banned { user: 7 }).await // to the other servers
    /// # }
    /// ```
    ///
    /// # Errors
    /// `Config` for a name that is empty or too long, `Closed`.
    pub fn on<F, Fut>(&self, event: &str, mut handler: F) -> Result<()>
    where
        F: FnMut(ServerEvent) -> Fut + Send + 'static,
        Fut: Future<Output = Result<()>> + Send + 'static,
    {
        let (sender, events) = mpsc::channel(EVENTS);
        self.0.adapter.on_server_event(&self.0.name, Some(event), sender)?;
        let failures = Arc::new(Failures::of(event));
        // Ends once its events have nowhere to come from: by `off`, or with the node.
        tokio::spawn(self.handling(events, move |incoming| {
            let (failures, handled) = (Arc::clone(&failures), handler(incoming));
            async move {
                if let Err(error) = handled.await {
                    failures.tell(&error);
                }
            }
        }));
        Ok(())
    }

    /// Removes every handler that [`on`](Self::on) has set for this name on this node. What waits for one is still handled.
    pub fn off(&self, event: &str) {
        self.0.adapter.forget_server_events_named(&self.0.name, event);
    }

    /// Handles the server-side events for whose name no handler was set by [`on`](Self::on), one after the other. The handler
    /// before this one gets no more; this one ends with the last clone of the handle.
    ///
    /// Up to 1,024 events wait for the handler. Further ones are dropped and counted, and a sender that waits for a
    /// reply learns that there is none. A handler that takes long should hand the event to a task of its own.
    ///
    /// After a panic the handler goes on with the next event. The panic is counted ([`Stats::panics`](crate::Stats::panics)),
    /// logged and told as [`Event::Panicked`](crate::Event::Panicked). A sender that waits for a reply to that event
    /// learns that there is none.
    ///
    /// A handler that captures the handle keeps the handle, and the node with it, alive until `close`. Capture a weak handle:
    /// ```
    /// # async fn example(chat: roomcast_core::NamespaceHandle) -> roomcast_core::Result<()> {
    /// let weak = chat.downgrade();
    /// chat.on_server_event(move |event| {
    ///     let chat = weak.upgrade(); // and not `chat.clone()` from outside
    ///     async move {
    ///         if let Some(chat) = chat {
    ///             chat.local().emit(event.data).await.ok();
    ///         }
    ///     }
    /// })
    /// # }
    /// ```
    ///
    /// # Errors
    /// `Closed`.
    pub fn on_server_event<F, Fut>(&self, handler: F) -> Result<()>
    where
        F: FnMut(ServerEvent) -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let (sender, events) = mpsc::channel(EVENTS);
        self.0.adapter.on_server_event(&self.0.name, None, sender.clone())?;
        let task = tokio::spawn(self.handling(events, handler));
        let new = Handler { task, events: sender.downgrade() };
        let before = self.0.handler.lock().unwrap_or_else(PoisonError::into_inner).replace(new);
        if let Some(before) = before {
            before.task.abort();
        }
        Ok(())
    }

    /// Runs a handler for each event that comes.
    fn handling<F, Fut>(
        &self,
        mut events: Receiver<ServerEvent>,
        mut handler: F,
    ) -> impl Future<Output = ()> + Send + use<F, Fut>
    where
        F: FnMut(ServerEvent) -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let (adapter, name) = (Arc::downgrade(&self.0.adapter), self.0.name.clone());
        async move {
            while let Some(event) = events.recv().await {
                let span = event.span.clone();
                if let Err(said) = caught(|| handler(event)).instrument(span).await
                    && let Some(adapter) = adapter.upgrade()
                {
                    adapter.handler_panicked(&name, &said);
                }
            }
        }
    }
}

/// What a handler has failed at: other servers may send any number of what it cannot read.
struct Failures {
    event: String,
    /// When it was logged last, and how many were not since.
    told: Mutex<(Option<Instant>, u64)>,
}

impl Failures {
    fn of(event: &str) -> Self {
        Self { event: event.to_owned(), told: Mutex::default() }
    }

    /// Logs one failure a second at most.
    fn tell(&self, error: &Error) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.0.is_some_and(|told| now().saturating_duration_since(told) < PAUSE) {
            told.1 += 1;
            return;
        }
        let (_, others) = std::mem::replace(&mut *told, (Some(now()), 0));
        drop(told);
        tracing::warn!(event = self.event, others, "the handler of a server event has failed: {error}");
    }
}

fn to_json(data: &impl Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(data).map_err(|cause| Error::config("the data has no JSON form").with_source(cause))
}

/// Runs a call and its future to their end; an error is what a panic of one of them said.
async fn caught<F: Future<Output = ()>>(call: impl FnOnce() -> F) -> Result<(), String> {
    let said = |panic: Box<dyn std::any::Any + Send>| panics::message(&*panic);
    let mut future = pin!(catch_unwind(AssertUnwindSafe(call)).map_err(said)?);
    std::future::poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
        Ok(Poll::Pending) => Poll::Pending,
        Ok(Poll::Ready(())) => Poll::Ready(Ok(())),
        Err(panic) => Poll::Ready(Err(said(panic))),
    })
    .await
}
