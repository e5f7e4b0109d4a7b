//! What the server pushes: on its way into the inbox, or waiting here while the inbox is full.

use std::collections::{HashSet, VecDeque};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redis::{PushInfo, PushKind, Value};
use roomcast_core::Bytes;
use roomcast_core::backend::{Breaker, Channel, Inbox, InboxFull, Pulse};
use tokio::sync::Notify;

/// How long the core gets to make room before it is offered more.
const STEP: Duration = Duration::from_millis(1);

/// Takes what the client's driver has read on one connection, in the driver's own task: it never waits.
///
/// When the inbox is full, what was read already waits here and the socket is not read any further, so the rest waits
/// at the server. The server gives that 32 MB by default, then cuts the connection, which is seen as that.
pub(crate) struct Intake {
    inbox: Inbox,
    /// What stands before the core's name of a channel on the broker.
    prefix: String,
    /// Of the connection.
    pub(crate) pulse: Arc<Pulse>,
    state: Mutex<State>,
    filled: Notify,
    breaker: Breaker,
}

#[derive(Default)]
struct State {
    /// At most what one buffer of the client held when the inbox became full.
    waiting: VecDeque<(Vec<u8>, Bytes)>,
    /// Sharded subscriptions that we have ended, until the server says so.
    leaving: HashSet<String>,
}

impl Intake {
    /// The breaker is for when the connection is of no use any more.
    pub(crate) fn new(inbox: Inbox, prefix: String, breaker: Breaker) -> Self {
        Self { inbox, prefix, pulse: Arc::default(), state: Mutex::default(), filled: Notify::new(), breaker }
    }

    /// Takes what the server pushed. Never waits.
    pub(crate) fn take(&self, push: PushInfo) {
        match push.kind {
            PushKind::Message | PushKind::SMessage => {
                let mut data = push.data.into_iter();
                if let (Some(Value::BulkString(channel)), Some(Value::BulkString(payload))) = (data.next(), data.next())
                {
                    self.message(channel, payload.into());
                }
            }
            PushKind::SUnsubscribe => self.ended(push.data.first()),
            _ => {}
        }
    }

    /// Says which sharded subscriptions are ended by us, so that the server's word for it is no surprise.
    pub(crate) fn leave(&self, channels: &[Channel]) {
        self.lock().leaving.extend(channels.iter().map(|channel| self.name(channel)));
    }

    /// The name of a channel on the broker.
    pub(crate) fn name(&self, channel: &Channel) -> String {
        format!("{}{channel}", self.prefix)
    }

    /// Hands over what waits as soon as the inbox takes it, then lets the socket be read again; for ever.
    ///
    /// # Cancel safety
    /// Safe: what waits stays here.
    pub(crate) async fn hand_over(&self) -> Infallible {
        loop {
            while self.pulse.is_paused() && !self.empty() {
                self.inbox.ready().await;
                // In larger steps: to stop and start reading for each message that is taken costs more than it gives.
                tokio::time::sleep(STEP).await;
            }
            self.filled.notified().await;
        }
    }

    fn message(&self, channel: Vec<u8>, payload: Bytes) {
        let mut state = self.lock();
        if !state.waiting.is_empty() {
            state.waiting.push_back((channel, payload));
        } else if let Err(InboxFull(payload)) = self.offer(&channel, payload) {
            state.waiting.push_back((channel, payload));
            self.pulse.pause();
            self.filled.notify_one();
        }
    }

    fn offer(&self, channel: &[u8], payload: Bytes) -> Result<(), InboxFull> {
        let name = std::str::from_utf8(channel).ok().and_then(|name| name.strip_prefix(&*self.prefix));
        name.map_or(Ok(()), |name| self.inbox.frame(name, payload))
    }

    /// Offers what waits; returns whether nothing does any more, and then the socket is being read.
    fn empty(&self) -> bool {
        let mut state = self.lock();
        while let Some((channel, payload)) = state.waiting.pop_front() {
            if let Err(InboxFull(payload)) = self.offer(&channel, payload) {
                state.waiting.push_front((channel, payload));
                return false;
            }
        }
        state.waiting = VecDeque::new(); // whatever it has grown to
        self.pulse.resume();
        true
    }

    /// The server ended a sharded subscription. If we did not ask for it, its slot has moved to another server; the
    /// client takes the unasked word for the answer to whatever it asked last, so the connection is of no use.
    fn ended(&self, channel: Option<&Value>) {
        let Some(Value::BulkString(channel)) = channel else { return };
        let asked = std::str::from_utf8(channel).is_ok_and(|name| self.lock().leaving.remove(name));
        if !asked {
            self.breaker.trip("the channels have moved to another server");
        }
    }

    // Guards all fields of `State`; the inbox is called under it, which never waits and never calls back.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
