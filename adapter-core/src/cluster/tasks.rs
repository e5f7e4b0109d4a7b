//! The tasks of a node: its one reader, its one writer, and the one that has dead links replaced.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::core::Core;
use crate::engine::{Destination, Outcome};
use crate::inbox::{Arrival, LinkChange};
use crate::{Channel, Outgoing, PublishError};

/// After so long a publish counts as one of unknown outcome.
const PUBLISH_TIMEOUT: Duration = Duration::from_secs(2);
/// Between two tries of a batch whose outcome is unknown, when the link does not say that it is down.
const RETRY: Duration = Duration::from_millis(100);
/// So many messages are handled before the control lane is looked at again and other tasks get their turn.
const TURN: usize = 64;

/// Takes what the backend delivers, one message after the other, and lets time pass.
pub(super) async fn read(core: Arc<Core>) {
    loop {
        let wake = core.engine().next_timeout();
        tokio::select! {
            () = core.inbox.arrived() => {}
            () = core.sooner.notified() => {}
            () = tokio::time::sleep_until(wake.into()) => {}
        }
        let taken = core.inbox.take();
        for change in taken.link {
            match change {
                LinkChange::Down(reason) => core.engine().link_down(reason.to_string()),
                LinkChange::Up(limits) => core.engine().link_up(limits),
            }
        }
        hear(&core, taken.control);
        core.drain();
        for (count, arrival) in taken.messages.into_iter().enumerate() {
            let inbox = arrival.channel == core.channels.inbox;
            core.engine().receive(inbox, arrival.payload, Instant::now());
            core.drain();
            if count % TURN == TURN - 1 {
                hear(&core, core.inbox.take_control());
                wake_writer(&core);
                tokio::task::yield_now().await;
            }
        }
        let now = Instant::now();
        if core.engine().next_timeout() <= now {
            core.engine().handle_timeout(now);
        }
        core.drain();
        wake_writer(&core);
    }
}

fn hear(core: &Core, control: impl IntoIterator<Item = Arrival>) {
    for arrival in control {
        core.engine().hear(arrival.payload, arrival.at);
    }
}

fn wake_writer(core: &Core) {
    if core.engine().has_work() {
        core.work.notify_one();
    }
}

/// Hands the broker what waits, one batch at a time while the next gathers.
pub(super) async fn write(core: Arc<Core>) {
    let mut link = core.link.subscribe();
    loop {
        // Ends only with the core, which this task holds.
        let _ = link.wait_for(|up| *up).await;
        let batch = core.engine().pack(Instant::now());
        if batch.is_empty() {
            core.work.notified().await;
            continue;
        }
        let batch: Vec<_> =
            batch.into_iter().map(|(to, payload)| Outgoing { channel: channel(&core, to), payload }).collect();
        let outcome = match tokio::time::timeout(PUBLISH_TIMEOUT, core.backend.publish(&batch)).await {
            Ok(Ok(())) => Outcome::Sent,
            Ok(Err(PublishError::Refused { index, kind })) => {
                tracing::error!(cluster = %core.channels.name, node = %core.node.id, ?kind, "the broker refused a message for good");
                Outcome::Refused(index)
            }
            Ok(Err(PublishError::Unknown(_))) | Err(_) => Outcome::Unknown,
        };
        let room = core.engine().settle(outcome);
        core.give_room(room);
        core.sent.notify_waiters();
        if outcome == Outcome::Unknown {
            // The link will say whether it is down; until then it may be a broker that takes its time.
            let _ = tokio::time::timeout(RETRY, link.wait_for(|up| !*up)).await;
        }
    }
}

/// Makes the backend drop a link that the engine has found dead.
pub(super) async fn mend(core: Arc<Core>) {
    let mut reset = core.reset.subscribe();
    // Ends only with the core, which this task holds.
    while reset.changed().await.is_ok() {
        let reason = reset.borrow_and_update().clone();
        if let Some(reason) = reason {
            tracing::warn!(cluster = %core.channels.name, node = %core.node.id, %reason, "the link is dead; a new one is made");
            core.backend.reset(reason.into()).await;
        }
    }
}

fn channel(core: &Core, to: Destination) -> Channel {
    match to {
        Destination::Cluster => core.channels.cluster.clone(),
        Destination::Inbox(node) if node == core.node.id => core.channels.inbox.clone(),
        Destination::Inbox(node) => Channel::inbox(&core.channels.name, node),
    }
}
