//! Events between servers.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;
use tracing::Span;

use crate::model::{Error, ErrorKind, Namespace, NodeId, Result};

/// An event that another server sent with `server_side_emit`.
#[derive(Debug)]
#[non_exhaustive]
pub struct ServerEvent {
    /// The node that sent it.
    pub from: NodeId,
    /// The namespace it was sent in.
    pub namespace: Namespace,
    /// Its name.
    pub event: String,
    /// Its data, opaque to the core.
    pub data: Bytes,
    /// Sends the reply, if the sender waits for one.
    pub reply: Option<ReplyHandle>,
    /// The span of its delivery, in which handlers run; disabled unless the node has a [`TracePropagator`](crate::TracePropagator) and the
    /// event has come with a trace context.
    pub span: Span,
}

impl ServerEvent {
    /// For implementations of [`Adapter`](crate::adapter::Adapter): an event of this node, with a handle if it waits for the reply.
    pub fn new(from: NodeId, namespace: Namespace, event: String, data: Bytes, reply: Option<ReplyHandle>) -> Self {
        Self { from, namespace, event, data, reply, span: Span::none() }
    }

    /// Its data, read as JSON.
    ///
    /// # Errors
    /// `Protocol` when the data is no JSON, or not of this type.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        let text = || format!("the data of the server event {:?} cannot be read", self.event);
        let unreadable = |cause| Error::new(ErrorKind::Protocol, text()).with_source(cause);
        serde_json::from_slice(&self.data).map_err(unreadable)
    }
}

/// Sends the one reply to a server-side event. If the handle is dropped unused, the sender learns that nobody handled the event.
pub struct ReplyHandle(Option<Arc<dyn ReplySink>>);

pub(crate) trait ReplySink: Send + Sync + 'static {
    /// `None` says that there will be no reply.
    fn reply(&self, answer: Option<Bytes>);
}

impl ReplyHandle {
    /// A handle that hands the reply to `send`, or `None` if there will be none. For implementations of
    /// [`Adapter`](crate::adapter::Adapter).
    pub fn from_fn(send: impl FnOnce(Option<Bytes>) + Send + 'static) -> Self {
        struct Once<F>(Mutex<Option<F>>);
        impl<F: FnOnce(Option<Bytes>) + Send + 'static> ReplySink for Once<F> {
            fn reply(&self, answer: Option<Bytes>) {
                let send = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
                if let Some(send) = send {
                    send(answer);
                }
            }
        }
        Self::new(Once(Mutex::new(Some(send))))
    }

    pub(crate) fn new(sink: impl ReplySink) -> Self {
        Self(Some(Arc::new(sink)))
    }

    /// Makes any number of handles of this one: the first reply counts, and when all handles are dropped there is none.
    pub(crate) fn shared(self) -> impl Fn() -> Self {
        struct First(Mutex<Option<ReplyHandle>>);
        impl ReplySink for Arc<First> {
            fn reply(&self, answer: Option<Bytes>) {
                let Some(answer) = answer else { return };
                let first = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
                if let Some(first) = first {
                    first.send(answer);
                }
            }
        }
        let first = Arc::new(First(Mutex::new(Some(self))));
        move || Self::new(Arc::clone(&first))
    }

    /// Replies with a value as JSON. Never waits.
    ///
    /// # Errors
    /// `Config` when the value has no JSON form; the sender learns that there is no reply.
    pub fn send_json(self, answer: &impl Serialize) -> Result<()> {
        let answer = serde_json::to_vec(answer);
        self.send(answer.map_err(|cause| Error::config("the reply has no JSON form").with_source(cause))?);
        Ok(())
    }

    /// Sends the reply. Never waits.
    pub fn send(mut self, answer: impl Into<Bytes>) {
        if let Some(sink) = self.0.take() {
            sink.reply(Some(answer.into()));
        }
    }
}

impl Drop for ReplyHandle {
    fn drop(&mut self) {
        if let Some(sink) = self.0.take() {
            sink.reply(None);
        }
    }
}

impl std::fmt::Debug for ReplyHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ReplyHandle")
    }
}

/// The bounded queue that takes a namespace's server-side events. An event that finds it full is dropped, and a sender that
/// waits for a reply is told so.
pub type ServerEvents = mpsc::Sender<ServerEvent>;
