//! The slots of a Redis Cluster: dealt out at the start, found, and moved while it runs.

use std::time::Duration;

use tokio::time::timeout;

use super::probe::Target;
use super::resp;

const SLOTS: usize = 16_384;
/// For one command, to a server that may be paused.
const LIMIT: Duration = Duration::from_secs(5);

/// Makes one cluster of these servers, which share the slots evenly.
pub(super) async fn create(targets: &[Target<'_>], peers: &[u16]) -> Result<(), String> {
    let count = targets.len();
    for (index, target) in targets.iter().enumerate() {
        let (first, last) = (SLOTS * index / count, SLOTS * (index + 1) / count - 1);
        call(target, &["CLUSTER", "ADDSLOTSRANGE", &first.to_string(), &last.to_string()]).await?;
        // Different ones from the start, so that no two have to agree who gives way.
        call(target, &["CLUSTER", "SET-CONFIG-EPOCH", &(index + 1).to_string()]).await?;
    }
    for (target, peer) in targets.iter().zip(peers).skip(1) {
        let (host, port) = (target.address.ip().to_string(), target.address.port().to_string());
        call(&targets[0], &["CLUSTER", "MEET", &host, &port, &peer.to_string()]).await?;
    }
    Ok(())
}

/// Which slot a key or a channel is in.
pub(super) async fn of(target: Target<'_>, name: &str) -> Result<u16, String> {
    let slot = call(&target, &["CLUSTER", "KEYSLOT", name]).await?;
    slot.parse().map_err(|_| format!("no slot: {slot}"))
}

/// Which of these servers says that a slot is its own.
pub(super) async fn owner(targets: &[Target<'_>], slot: u16) -> Result<usize, String> {
    for (index, target) in targets.iter().enumerate() {
        // A server that is down owns nothing that could be used.
        if let Ok(nodes) = call(target, &["CLUSTER", "NODES"]).await
            && owns(&nodes, slot)
        {
            return Ok(index);
        }
    }
    Err(format!("nobody serves slot {slot}"))
}

/// Moves an empty slot, in the order that the Redis Cluster specification gives.
pub(super) async fn migrate(targets: &[Target<'_>], slot: u16, from: usize, to: usize) -> Result<(), String> {
    let (Some(source), Some(destination)) = (targets.get(from), targets.get(to)) else {
        return Err(format!("there are {} servers", targets.len()));
    };
    let slot_text = slot.to_string();
    let source_id = call(source, &["CLUSTER", "MYID"]).await?;
    let destination_id = call(destination, &["CLUSTER", "MYID"]).await?;
    if !owns(&call(source, &["CLUSTER", "NODES"]).await?, slot) {
        return Err(format!("server {from} does not have slot {slot}"));
    }
    if call(source, &["CLUSTER", "COUNTKEYSINSLOT", &slot_text]).await? != "0" {
        return Err(format!("slot {slot} holds keys"));
    }
    call(destination, &["CLUSTER", "SETSLOT", &slot_text, "IMPORTING", &source_id]).await?;
    call(source, &["CLUSTER", "SETSLOT", &slot_text, "MIGRATING", &destination_id]).await?;
    let assign = ["CLUSTER", "SETSLOT", &slot_text, "NODE", &destination_id];
    // The destination first: if we end between the two, the slot still has an owner.
    call(destination, &assign).await?;
    call(source, &assign).await?;
    for (index, target) in targets.iter().enumerate() {
        if index != from && index != to {
            call(target, &assign).await?;
        }
    }
    Ok(())
}

/// Whether the server that gave this `CLUSTER NODES` has the slot.
fn owns(nodes: &str, slot: u16) -> bool {
    let Some(own) = nodes.lines().find(|line| line.contains("myself")) else { return false };
    // After eight fields come its slots, and in brackets those that are on the move.
    own.split_whitespace().skip(8).filter(|range| !range.starts_with('[')).any(|range| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        first.parse().is_ok_and(|first: u16| first <= slot) && last.parse().is_ok_and(|last: u16| slot <= last)
    })
}

async fn call(target: &Target<'_>, words: &[&str]) -> Result<String, String> {
    let done = timeout(LIMIT, resp::call(target, words)).await.unwrap_or_else(|_| Err("no answer".to_owned()));
    done.map_err(|error| format!("{} {}: {error}", target.address, words.join(" ")))
}

#[cfg(test)]
mod tests {
    use super::owns;

    #[test]
    fn slots_are_read_from_the_servers_own_line() {
        let nodes = "a 127.0.0.1:1@2 master - 0 0 1 connected 0-9\n\
                     b 127.0.0.1:3@4 myself,master - 0 0 2 connected 10-19 25 [30->-c]\n";
        for (slot, owned) in [(9, false), (10, true), (19, true), (20, false), (25, true), (30, false)] {
            assert_eq!(owns(nodes, slot), owned, "{slot}");
        }
    }
}
