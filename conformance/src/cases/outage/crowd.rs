//! Many nodes lose their links at the same moment.

use adapter_core::backend::Channel;
use adapter_core::probe::Tapped;
use tokio::time::{Instant, timeout_at};

use super::BACK;
use crate::failure::{Failure, Verdict};
use crate::link::channel;
use crate::scene::Scene;

cases! {"outage":
    Faults g07_fifty_links_that_are_cut_at_once_come_back_without_a_storm,
}

/// As when a load balancer restarts. Each is back in time, and none dials more often than it has to.
async fn g07_fifty_links_that_are_cut_at_once_come_back_without_a_storm(scene: &Scene) -> Verdict {
    const LINKS: usize = 50;
    /// A broker that is busy with all of them may not be in time for some.
    const TRIES: u64 = 3;
    let (proxy, publisher) = (scene.proxy().await?, scene.link().await?);
    let all: [Channel; 1] = [channel(&scene.cluster, "all")?];
    let mut links = Vec::with_capacity(LINKS);
    for _ in 0..LINKS {
        let mut link = scene.link_through(&proxy).await?;
        link.subscribe_to(&publisher, &all).await?;
        links.push(link);
    }
    let made = proxy.counts().accepted;
    let began = Instant::now();
    proxy.cut();
    for (at, link) in links.iter_mut().enumerate() {
        let up = async { while !matches!(link.tap.next().await, Tapped::Up(_)) {} };
        let late = |_| Failure::new(format!("{at} of {LINKS} links were up after {BACK:?}"));
        timeout_at(began + BACK, up).await.map_err(late)?;
    }
    scene.measure_time("all_up_ms", began.elapsed());
    let tried = proxy.counts().accepted - made;
    scene.measure("connections_for_each", tried / LINKS as u64);
    check!(tried <= TRIES * made, "{LINKS} links had made {made} connections, and tried {tried} more");
    for link in &mut links {
        link.subscribe_to(&publisher, &all).await?; // confirmed again; where subscriptions spread late, also heard
    }
    publisher.publish(&all[0], "all").await?;
    for link in &mut links {
        link.expect(&all[0], b"all").await?;
    }
    Ok(())
}
