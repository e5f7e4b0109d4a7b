//! The one writer of a node: hands the broker what waits.

use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;

use super::core::{Core, now};
use super::supervisor::{Part, caught};
use crate::engine::{Destination, Outcome, Payload};
use crate::model::{ErrorKind, NodeId};
use crate::seams::{Channel, Outgoing, PublishError};

/// After so long, and the time that its bytes take on the slowest link, a publish counts as one of unknown outcome.
const PUBLISH_TIMEOUT: Duration = Duration::from_secs(2);
/// Between two tries of a batch whose outcome is unknown, when the link does not say that it is down.
const RETRY: Duration = Duration::from_millis(100);
/// Bytes for each second that the slowest link which is not given up on takes.
const SLOWEST_LINK: f64 = 1048576.0;
/// A batch of one message of up to so many bytes is little: the next one does not wait for its outcome. What is emitted in a
/// loop makes larger ones soon, which do wait, so that messages are packed.
const LITTLE: usize = 1024;
/// So many names of inboxes are kept in any cluster, however small.
const FEW_INBOXES: usize = 64;

/// The one writer of a node.
pub(super) struct Writer {
    core: Arc<Core>,
    /// Publishes under way, the oldest first.
    flights: VecDeque<Flight>,
    /// Names of inboxes on the broker, which take some time to make.
    inboxes: HashMap<NodeId, Channel>,
    /// How many of them are kept: more than there are nodes.
    most_inboxes: usize,
    refusing: bool,
}

/// A batch that the backend is publishing.
struct Flight {
    little: bool,
    state: State,
    /// Packets in it. When the engine lets go of them, which it does while it is held, it is not the last: that may run the
    /// code of their owner.
    packets: Vec<Bytes>,
}

enum State {
    Under(Pin<Box<dyn Future<Output = Outcome> + Send>>),
    Over(Outcome),
}

impl Writer {
    pub(super) fn new(core: Arc<Core>) -> Self {
        let (flights, inboxes) = (VecDeque::new(), HashMap::new());
        Self { core, flights, inboxes, most_inboxes: FEW_INBOXES, refusing: false }
    }
}

impl Part for Writer {
    const NAME: &'static str = "the writer";

    async fn run(&mut self) {
        // Begun again after a panic, it does not know what became of what was under way.
        if self.core.engine().is_flying() {
            self.flights.clear();
            self.record_outcome(Outcome::Unknown, Vec::new()).await;
        }
        let mut link = self.core.link.subscribe();
        loop {
            // Ends only with the core, which this task holds.
            let _ = link.wait_for(|up| *up).await;
            if self.may_begin() && self.begin() {
                continue;
            }
            self.core.writer_is_idle(self.flights.is_empty());
            tokio::select! {
                biased;
                (outcome, packets) = oldest(&mut self.flights) => self.record_outcome(outcome, packets).await,
                () = self.core.work.notified() => {}
            }
        }
    }
}

impl Writer {
    /// Whether another batch may go: none is under way, or the link takes several and either little is under way or there is a
    /// good deal more to send.
    fn may_begin(&self) -> bool {
        if self.flights.is_empty() {
            return true;
        }
        let (limits, under_way) = (self.core.backend.limits(), self.flights.len());
        under_way < limits.singles_in_flight && self.flights.iter().all(|flight| flight.little)
            || under_way < limits.in_flight && self.core.engine().has_more_than_one_message()
    }

    /// Begins to publish the next batch, if there is anything to send.
    fn begin(&mut self) -> bool {
        self.encode_acks();
        let (batch, counter) = {
            let mut engine = self.core.engine();
            (engine.pack(now()), engine.counter())
        };
        if batch.is_empty() {
            return false;
        }
        self.core.inbox.wrote(counter);
        // Put together here: the engine is not held while large packets are copied.
        let packets = batch.iter().map(|(_, payload)| payload.packet()).filter(|packet| !packet.is_empty());
        let packets = packets.cloned().collect();
        let batch: Vec<_> = batch.into_iter().map(|(to, payload)| self.outgoing(to, payload)).collect();
        self.core.writer_is_idle(false);
        let little = matches!(&batch[..], [only] if only.payload.len() <= LITTLE);
        let publish = Box::pin(publish(Arc::clone(&self.core), batch));
        self.flights.push_back(Flight { little, state: State::Under(publish), packets });
        true
    }

    /// Answers of sockets are encoded while the engine is not held.
    fn encode_acks(&self) {
        loop {
            let Some((to, answer)) = self.core.engine().take_acks() else { return };
            let content = answer.encode();
            self.core.engine().acks_encoded(to, content, now());
        }
    }

    fn outgoing(&mut self, to: Destination, payload: Payload) -> Outgoing {
        let channels = &self.core.channels;
        let channel = match to {
            Destination::Cluster => channels.cluster.clone(),
            Destination::Inbox(node) if node == self.core.node.id => channels.inbox.clone(),
            Destination::Inbox(node) => {
                if self.inboxes.len() >= self.most_inboxes {
                    self.inboxes.clear(); // nodes that are gone, for the most part
                    self.most_inboxes = FEW_INBOXES.max(2 * self.core.engine().peers().len());
                }
                self.inboxes.entry(node).or_insert_with(|| Channel::inbox(&channels.name, node)).clone()
            }
        };
        Outgoing { channel, payload: payload.into_bytes() }
    }

    /// Takes the outcome of the oldest publish under way, in which were these packets.
    async fn record_outcome(&mut self, outcome: Outcome, packets: Vec<Bytes>) {
        let core = &self.core;
        match outcome {
            Outcome::Sent => self.refusing = false,
            Outcome::Refused(_) if !std::mem::replace(&mut self.refusing, true) => {
                let (cluster, node) = (&core.channels.name, &core.node.id);
                tracing::error!(%cluster, %node, "the broker refuses messages for good; they are dropped");
            }
            // What is unknown of one is unknown of those behind it: they are sent again in their order.
            Outcome::Unknown | Outcome::NotNow => self.flights.clear(),
            Outcome::Refused(_) => {}
        }
        let (freed, released) = {
            let mut engine = core.engine();
            (engine.record_outcome(outcome, now()), engine.take_released())
        };
        drop((packets, released));
        core.release(freed);
        core.sent.notify_waiters();
        if matches!(outcome, Outcome::Unknown | Outcome::NotNow) {
            let mut link = core.link.subscribe();
            // The link will say whether it is down, and may be up again by then; or it is a broker that takes its time.
            let _ = tokio::time::timeout(RETRY, link.changed()).await;
        }
    }
}

/// Waits for the oldest of the publishes, while all of them go on. Never ends when there is none.
fn oldest(flights: &mut VecDeque<Flight>) -> impl Future<Output = (Outcome, Vec<Bytes>)> {
    std::future::poll_fn(move |cx| {
        for flight in flights.iter_mut() {
            if let State::Under(publish) = &mut flight.state
                && let Poll::Ready(outcome) = publish.as_mut().poll(cx)
            {
                flight.state = State::Over(outcome);
            }
        }
        match flights.pop_front() {
            Some(Flight { state: State::Over(outcome), packets, .. }) => Poll::Ready((outcome, packets)),
            under_way => {
                under_way.into_iter().for_each(|flight| flights.push_front(flight));
                Poll::Pending
            }
        }
    })
}

async fn publish(core: Arc<Core>, batch: Vec<Outgoing>) -> Outcome {
    let bytes: usize = batch.iter().map(|message| message.payload.len()).sum();
    let patience = PUBLISH_TIMEOUT + Duration::from_secs(1).mul_f64(bytes as f64 / SLOWEST_LINK);
    match tokio::time::timeout(patience, caught(core.backend.publish(&batch))).await {
        Ok(Ok(Ok(()))) => {
            core.sent_bytes.fetch_add(bytes as u64, std::sync::atomic::Ordering::Relaxed);
            Outcome::Sent
        }
        // The link has smaller limits than the one that the batch was cut for.
        Ok(Ok(Err(PublishError::Refused { kind: ErrorKind::TooLarge, .. }))) if core.refresh_limits() => {
            Outcome::Unknown
        }
        Ok(Ok(Err(PublishError::Refused { index, .. }))) => Outcome::Refused(index),
        Ok(Err(said)) => {
            core.panicked("the backend's publish", &said);
            Outcome::Unknown
        }
        Ok(Ok(Err(PublishError::NotNow(why)))) => {
            core.engine().broker_takes_nothing(why.to_string());
            Outcome::NotNow
        }
        Ok(Ok(Err(PublishError::Unknown(_)))) | Err(_) => Outcome::Unknown,
    }
}
