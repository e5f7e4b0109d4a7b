//! The task that keeps the link up: it notices that it broke, connects again, subscribes again, and reports.

use std::collections::HashSet;
use std::sync::Arc;

use adapter_core::{Backoff, Channel, Inbox, Reason, Result};

use crate::backend::{LIMITS, Live, Shared};
use crate::config::Redis;
use crate::link::{Link, for_each};

/// So many different causes of one outage are logged.
const CAUSES: usize = 8;

/// Keeps the link up until the cluster is closed.
pub(crate) async fn run(redis: Redis, shared: Arc<Shared>, inbox: Inbox, link: Link) {
    let over = async {
        tokio::select! {
            () = inbox.closed() => {}
            () = shared.close.notified() => {}
        }
    };
    tokio::pin!(over);
    let mut link = link;
    let mut backoff = Backoff::default();
    loop {
        backoff.connected();
        let reason = tokio::select! {
            reason = hold(&mut link) => reason,
            () = &mut over => {
                shared.set(None);
                return link.quit().await;
            }
        };
        shared.set(None);
        inbox.down(reason);
        drop(link);
        link = tokio::select! {
            link = again(&redis, &shared, &inbox, &mut backoff) => link,
            () = &mut over => return shared.set(None),
        };
    }
}

/// Returns why the link is of no use any more.
async fn hold(link: &mut Link) -> Reason {
    let silence = (link.publisher.watch().silence(), link.subscriber.watch().silence());
    tokio::select! {
        () = link.publisher.ended() => "the connection that publishes was closed".into(),
        () = link.subscriber.ended() => "the connection that subscribes was closed".into(),
        () = silence.0 => "the server is silent on the connection that publishes".into(),
        () = silence.1 => "the server is silent on the connection that subscribes".into(),
        Some(reason) = link.broken.recv() => reason,
        never = link.intake.hand_over() => match never {},
    }
}

/// Makes the link again, however long it takes, and says that it is up.
async fn again(redis: &Redis, shared: &Shared, inbox: &Inbox, backoff: &mut Backoff) -> Link {
    let mut told = HashSet::new();
    loop {
        backoff.wait().await;
        match restore(redis, shared, inbox).await {
            Ok(link) => return link,
            Err(error) => {
                shared.set(None);
                // Once for each cause; the core tells that the link is down, with its cluster and node.
                let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
                if told.len() < CAUSES && told.insert(cause.clone()) {
                    tracing::warn!(redis = ?redis.topology, %cause, "not connected again yet: {error}");
                }
            }
        }
    }
}

/// Connects, subscribes to everything that is wanted, and says so.
async fn restore(redis: &Redis, shared: &Shared, inbox: &Inbox) -> Result<Link> {
    let link = Link::open(redis, inbox).await?;
    let mut done = HashSet::new();
    subscribe(&link, shared, inbox, &mut done).await?;
    // From here on a new subscription is made by its own call; the second look finds those whose call has failed
    // because the link was not up.
    shared.set(Some(Live::of(&link)));
    subscribe(&link, shared, inbox, &mut done).await?;
    inbox.up(LIMITS);
    Ok(link)
}

async fn subscribe(link: &Link, shared: &Shared, inbox: &Inbox, done: &mut HashSet<Channel>) -> Result<()> {
    let wanted: Vec<_> = inbox.channels().into_iter().filter(|channel| !done.contains(channel)).collect();
    for_each(&link.subscriber.client, shared.subscribe_command(), &link.intake, &wanted).await?;
    done.extend(wanted);
    Ok(())
}
