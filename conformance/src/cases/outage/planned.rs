//! What an operator plans: links are ended, servers are replaced.

use super::{BACK, Load, PACE, all_degraded, all_healthy, check_none_reported, tally};
use crate::failure::Verdict;
use crate::node::sockets;
use crate::scene::Scene;

cases! {"outage":
    Faults g09_planned_maintenance_loses_nothing,
}

/// The operator ends every link, as a switch of the primary does, and then restarts the servers one after the other, while every
/// node sends. It is an outage, told as one and short, and nothing is lost by it.
async fn g09_planned_maintenance_loses_nothing(scene: &Scene) -> Verdict {
    let (nodes, broker) = (scene.nodes::<3>().await?, scene.broker()?);
    let mut there = sockets(&nodes, [])?;
    let mut events: Vec<_> = nodes.iter().map(|node| node.cluster.events()).collect();
    let mut outages: Vec<_> = nodes.iter().map(|node| node.cluster.events()).collect();
    let load = Load::new(&nodes, PACE * 9 / 2);
    let maintenance = async {
        load.reaches(10).await;
        let ended = broker.end_links().await?;
        if ended {
            all_degraded(&mut outages).await?;
        }
        scene.measure("links ended by the operator", u64::from(ended));
        load.reaches(50).await;
        broker.restart_gently().await?;
        Ok(())
    };
    tokio::try_join!(load.run(), maintenance)?;
    all_healthy(&nodes).await?;
    for (name, node) in nodes.iter().enumerate() {
        node.cluster.flush(BACK).await?;
        node.chat.emit(format!("end {name}")).await?;
    }
    for (at, (socket, events)) in there.iter_mut().zip(&mut events).enumerate() {
        check_eq!(tally(socket, nodes.len()).await?, [load.packets; 3], "what the socket of node {at} got");
        check_none_reported(events)?;
    }
    scene.measure("repaired", nodes.iter().map(|node| node.cluster.stats().repaired).sum());
    Ok(())
}
