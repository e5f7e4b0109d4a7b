//! The task that keeps the link up: it notices that it broke, connects again, subscribes again, and reports.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use adapter_core::{Channel, Inbox, Reason, Result};

use crate::backend::{LIMITS, Live, Shared};
use crate::config::Redis;
use crate::link::{Link, for_each};

/// The first pause before connecting again, doubled after each failure.
const FIRST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(1);
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
    let mut pause = FIRST;
    loop {
        let since = Instant::now();
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
        // A link that breaks as soon as it is made must not be made in a loop.
        if since.elapsed() > LONGEST {
            pause = FIRST;
        }
        link = tokio::select! {
            link = again(&redis, &shared, &inbox, &mut pause) => link,
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
async fn again(redis: &Redis, shared: &Shared, inbox: &Inbox, pause: &mut Duration) -> Link {
    let mut told = HashSet::new();
    loop {
        tokio::time::sleep(jitter(*pause)).await;
        *pause = (*pause * 2).min(LONGEST);
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

/// Between half of it and all of it, so that the nodes of a cluster do not come all at once.
fn jitter(pause: Duration) -> Duration {
    // Without randomness from the system: all of it.
    let random = f64::from(getrandom::u32().unwrap_or(u32::MAX)) / f64::from(u32::MAX);
    pause.mul_f64(0.5 + random / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_never_longer_than_asked_nor_shorter_than_half_of_it() {
        for _ in 0..1000 {
            let pause = jitter(LONGEST);
            assert!((LONGEST / 2..=LONGEST).contains(&pause), "{pause:?}");
        }
    }
}
