//! The events of the cluster, for one reader.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use tokio::sync::broadcast::{self, error::RecvError};

use crate::model::Event;

/// The events of the cluster, for one reader: [`next`](Self::next) waits for one, and it is a [`Stream`], too.
/// [`Cluster::events`](crate::Cluster::events) makes one.
#[must_use = "events are lost unless they are read"]
pub struct Events {
    /// Says that the node was degraded when the reader was made.
    first: Option<Event>,
    /// `first` was told, and the same event may come from the queue.
    told: bool,
    next: Pin<Box<dyn Future<Output = Received> + Send + Sync>>,
}

/// What was received, and the receiver to go on with.
type Received = (Result<Event, RecvError>, broadcast::Receiver<Event>);

async fn receive(mut events: broadcast::Receiver<Event>) -> Received {
    (events.recv().await, events)
}

impl Events {
    pub(super) fn new(first: Option<Event>, events: broadcast::Receiver<Event>) -> Self {
        Self { first, told: false, next: Box::pin(receive(events)) }
    }

    /// Waits for the next event; returns `None` once the node has been closed, or is gone. A reader that was too slow gets [`Event::Missed`] first.
    ///
    /// # Cancel safety
    /// Safe: no event is lost.
    pub async fn next(&mut self) -> Option<Event> {
        std::future::poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }
}

impl Stream for Events {
    type Item = Event;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        if let Some(first) = self.first.take() {
            self.told = true;
            return Poll::Ready(Some(first));
        }
        loop {
            let (received, events) = ready!(self.next.as_mut().poll(cx));
            self.next = Box::pin(receive(events));
            let told = std::mem::take(&mut self.told);
            return Poll::Ready(match received {
                Ok(Event::Degraded(_)) if told => continue,
                Ok(event) => Some(event),
                Err(RecvError::Lagged(missed)) => Some(Event::Missed(missed)),
                Err(RecvError::Closed) => None,
            });
        }
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Events")
    }
}
