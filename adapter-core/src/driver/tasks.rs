//! The tasks of a node: its one reader, its one writer, and the one that has dead links replaced.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::core::{Core, now};
use crate::engine::{Destination, Outcome, Output};
use crate::model::ErrorKind;
use crate::seams::inbox::{LinkChange, Taken};
use crate::seams::{Channel, Outgoing, PublishError};

/// After so long, and the time that its bytes take on the slowest link, a publish counts as one of unknown outcome.
const PUBLISH_TIMEOUT: Duration = Duration::from_secs(2);
/// Between two tries of a batch whose outcome is unknown, when the link does not say that it is down.
const RETRY: Duration = Duration::from_millis(100);
/// Bytes for each second that the slowest link which is not given up on takes.
const SLOWEST_LINK: f64 = 1048576.0;
/// For so long messages are handled before the control lane and the time are looked at again, and other tasks get
/// their turn.
const TURN: Duration = Duration::from_millis(5);
/// How long a backend may take to drop a dead link.
const RESET_TIMEOUT: Duration = Duration::from_secs(2);

/// Takes what the backend delivers, one message after the other, and lets time pass.
pub(crate) async fn read(core: Arc<Core>) {
    let mut outputs = VecDeque::new();
    loop {
        let wake = core.engine().next_timeout();
        tokio::select! {
            () = core.inbox.arrived() => {}
            () = core.sooner.notified() => {}
            () = tokio::time::sleep_until(wake.into()) => {}
        }
        let mut taken = core.inbox.take();
        let messages = std::mem::take(&mut taken.messages);
        urgent(&core, taken, &mut outputs);
        let mut turn = now() + TURN;
        for arrival in messages {
            let inbox = arrival.channel == core.channels.inbox;
            core.engine().receive(inbox, arrival.payload, now());
            core.drain(&mut outputs);
            // However much there is: heartbeats go out, deadlines end, and others get their turn.
            if now() >= turn {
                urgent(&core, core.inbox.take_urgent(), &mut outputs);
                tokio::task::yield_now().await;
                turn = now() + TURN;
            }
        }
        urgent(&core, Taken::default(), &mut outputs);
    }
}

/// What does not wait for the messages: the link, signs of life, and the time.
fn urgent(core: &Arc<Core>, taken: Taken, outputs: &mut VecDeque<Output>) {
    for change in taken.link {
        match change {
            LinkChange::Down(reason) => core.engine().link_down(reason.to_string()),
            LinkChange::Up(limits) => core.engine().link_up(limits, now()),
        }
    }
    for arrival in taken.control {
        let inbox = arrival.channel == core.channels.inbox;
        core.engine().hear(inbox, arrival.payload, arrival.at);
    }
    if core.inbox.was_alive() {
        core.engine().arriving();
    }
    let now = now();
    if core.engine().next_timeout() <= now {
        core.engine().handle_timeout(now);
    }
    core.drain(outputs);
    if core.engine().has_work() {
        core.work.notify_one();
    }
}

/// Hands the broker what waits, one batch at a time while the next gathers.
pub(crate) async fn write(core: Arc<Core>) {
    let mut link = core.link.subscribe();
    let mut refusing = false;
    loop {
        // Ends only with the core, which this task holds.
        let _ = link.wait_for(|up| *up).await;
        let batch = core.engine().pack(now());
        if batch.is_empty() {
            core.work.notified().await;
            continue;
        }
        let outgoing = |(to, payload)| Outgoing { channel: channel(&core, to), payload };
        let batch: Vec<_> = batch.into_iter().map(outgoing).collect();
        let bytes: usize = batch.iter().map(|message| message.payload.len()).sum();
        let patience = PUBLISH_TIMEOUT + Duration::from_secs(1).mul_f64(bytes as f64 / SLOWEST_LINK);
        let outcome = match tokio::time::timeout(patience, core.backend.publish(&batch)).await {
            Ok(Ok(())) => {
                refusing = false;
                Outcome::Sent
            }
            // The link has smaller limits than the one that the batch was cut for.
            Ok(Err(PublishError::Refused { kind: ErrorKind::TooLarge, .. }))
                if core.engine().refresh(core.backend.limits()) =>
            {
                Outcome::Unknown
            }
            Ok(Err(PublishError::Refused { index, kind })) => {
                if !std::mem::replace(&mut refusing, true) {
                    let (cluster, node) = (&core.channels.name, &core.node.id);
                    tracing::error!(%cluster, %node, ?kind, "the broker refuses messages for good; they are dropped");
                }
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
pub(crate) async fn mend(core: Arc<Core>) {
    let mut reset = core.reset.subscribe();
    // Ends only with the core, which this task holds.
    while reset.changed().await.is_ok() {
        let reason = reset.borrow_and_update().clone();
        if let Some(reason) = reason {
            tracing::warn!(cluster = %core.channels.name, node = %core.node.id, %reason, "the link is dead; a new one is made");
            // One that takes longer is told again when the link is still dead.
            let _ = tokio::time::timeout(RESET_TIMEOUT, core.backend.reset(reason.into())).await;
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
