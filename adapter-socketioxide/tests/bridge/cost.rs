//! What is not done for nobody, and not done twice.

use std::time::Duration;

use crate::support::bus::{Bus, FakeNode};
use crate::support::crowd::Crowd;
use roomcast_core::adapter::Adapter as _;
use roomcast_core::adapter::{Address, Target};
use roomcast_core::{Namespace, Packet, Room};
use roomcast_socketioxide::State;
use socketioxide_core::adapter::{BroadcastFlags, BroadcastOptions, CoreAdapter};
use socketioxide_core::packet;
use socketioxide_core::parser::Parse;
use socketioxide_parser_msgpack::MsgPackParser;

async fn emit(node: &FakeNode, target: Target, argument: impl serde::Serialize) {
    let to = Address::new(Namespace::new("/").expect("valid"), target);
    let packet = Packet::event("news", argument).expect("json");
    node.broadcast(to, packet, Duration::from_secs(5)).await.expect("sent");
}

fn room(name: &str) -> Room {
    Room::new(name).expect("valid")
}

#[tokio::test]
async fn a_packet_for_rooms_without_members_here_is_not_even_encoded() {
    let bus = Bus::new();
    let (sender, node) = (bus.node(), bus.node());
    let crowd = Crowd::new(&State::new(node), 3, 8);
    let mut in_room = BroadcastOptions::default();
    in_room.rooms.push("full".into());
    crowd.adapter.get_local().add_all(crowd.ids[0], ["full", "muted"]);
    crowd.work();
    for size in [1, 1000, 100_000] {
        let text = "x".repeat(size);
        emit(&sender, Target::rooms([room("empty"), room("void")]), &text).await;
        emit(&sender, Target::rooms([room("full")]).except([room("muted")]), &text).await;
        emit(&sender, Target::everyone().except(crowd.ids.iter().map(|id| room(id.as_str()))), &text).await;
    }
    assert_eq!(crowd.work(), (0, 0));
    emit(&sender, Target::rooms([room("full")]), 1).await;
    assert_eq!(crowd.work(), (1, 1));
}

#[tokio::test]
async fn sockets_chosen_by_ids_share_one_encoding_of_a_large_packet() {
    let bus = Bus::new();
    let (sender, node) = (bus.node(), bus.node());
    let crowd = Crowd::new(&State::new(node), 40, 8);
    let text = "x".repeat(100_000);
    let left_out = [room(crowd.ids[0].as_str()), room(crowd.ids[1].as_str())];
    crowd.work();
    emit(&sender, Target::everyone().except(left_out), &text).await;
    assert_eq!(crowd.work(), (1, 1), "what another node emits");

    let mut options = BroadcastOptions::default();
    options.add_flag(BroadcastFlags::Broadcast);
    options.add_flag(BroadcastFlags::Local);
    options.except.extend([crowd.ids[0].to_string().into(), crowd.ids[1].to_string().into()]);
    let value = MsgPackParser.encode_value(&text, Some("news")).expect("encodes");
    crowd.adapter.broadcast(packet::Packet::event("/", value), options).await.expect("sent");
    assert_eq!(crowd.work(), (1, 1), "what this node emits");

    for (at, socket) in crowd.ids.iter().enumerate() {
        assert_eq!(crowd.read(*socket).len(), if at < 2 { 0 } else { 2 });
        assert!(crowd.adapter.get_local().socket_rooms(*socket).is_empty(), "sockets meet for one call only");
    }
}
