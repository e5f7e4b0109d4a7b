//! Sockets that upstream still has although their connection is gone, as during a disconnect handler, or after it panicked.

use std::time::Duration;

use crate::support::bus::{Bus, FakeNode};
use crate::support::crowd::Crowd;
use roomcast_core::adapter::Adapter as _;
use roomcast_core::adapter::{Address, SocketChange, Target, WaitFor};
use roomcast_core::{Namespace, Packet, Projection};
use roomcast_socketioxide::State;
use socketioxide_core::adapter::CoreAdapter;

const WAIT: Duration = Duration::from_secs(5);

fn everyone() -> Address {
    Address::new(Namespace::new("/").expect("valid"), Target::everyone())
}

/// How many sockets, how many of them are described, and the rooms that they are in.
async fn seen(node: &FakeNode) -> (u64, usize, Vec<String>) {
    let found = node.fetch_sockets(everyone(), Projection::All, WAIT).await.expect("found").items;
    let rooms = node.rooms(everyone(), WAIT).await.expect("found").items;
    let count = node.count_sockets(everyone(), WAIT).await.expect("counted").total();
    (count, found.len(), rooms.iter().map(|room| room.as_str().to_owned()).collect())
}

#[tokio::test]
async fn a_socket_is_not_found_once_its_connection_is_known_to_be_gone() {
    let bus = Bus::new();
    let (sender, node) = (bus.node(), bus.node());
    let crowd = Crowd::new(&State::new(node), 2, 8);
    crowd.adapter.get_local().add_all(crowd.ids[0], ["left"]);
    crowd.adapter.get_local().add_all(crowd.ids[1], ["kept"]);
    assert_eq!(seen(&sender).await.0, 2);
    crowd.cut(crowd.ids[0]);
    for _ in 0..3 {
        sender.broadcast(everyone(), Packet::event("news", 1).expect("json"), WAIT).await.expect("sent");
    }
    assert_eq!(seen(&sender).await, (1, 1, vec!["kept".to_owned()]));
    assert_eq!(bus.dropped().gone, 1, "it is not tried again");
}

#[tokio::test]
async fn a_socket_is_not_found_after_another_node_has_disconnected_it() {
    let bus = Bus::new();
    let (sender, node) = (bus.node(), bus.node());
    let _crowd = Crowd::new(&State::new(node), 2, 8);
    let applied = sender.change(everyone(), SocketChange::Disconnect, WaitFor::Applied(WAIT)).await.expect("applied");
    assert!(applied.is_complete());
    assert_eq!(seen(&sender).await, (0, 0, vec![]));
}
