//! Bursts of other nodes, and sockets that are slow.

use std::sync::Arc;
use std::time::Duration;

use crate::support::bus::{Bus, FakeNode};
use crate::support::client::Client;
use crate::support::crowd::Crowd;
use crate::support::{self, eventually, server};
use roomcast_core::adapter::Adapter as _;
use roomcast_core::adapter::{Address, SocketChange, Target, WaitFor};
use roomcast_core::{Cluster, Memory, Namespace, Packet, Room};
use roomcast_socketioxide::State;
use serde_json::json;
use socketioxide_core::Sid;

const WAIT: Duration = Duration::from_secs(5);

fn to(target: Target) -> Address {
    Address::new(Namespace::new("/").expect("valid"), target)
}

fn only(sockets: &[Sid]) -> Target {
    Target::rooms(sockets.iter().map(|socket| Room::new(socket.as_str()).expect("valid")))
}

async fn emit(node: &FakeNode, target: Target, name: &str, argument: impl serde::Serialize) {
    node.broadcast(to(target), Packet::event(name, argument).expect("json"), WAIT).await.expect("sent");
}

async fn numbers(client: &mut Client, count: usize) {
    for number in 0..count {
        assert_eq!(client.next().await, format!("2[\"tick\",{number}]"));
    }
}

/// The fake cluster calls the other node's sockets within `emit`: no task runs between the first packet and the last.
#[tokio::test]
async fn g11_a_client_that_reads_gets_all_of_a_burst_of_another_node() {
    let bus = Bus::new();
    let (a, b) = (server(bus.node()).await, server(bus.node()).await);
    let mut clients = [Client::connect(&b).await, Client::connect(&b).await];
    for count in [1000, 457, 10_000] {
        for number in 0..count {
            a.emit("tick", &number).await.expect("sent");
        }
        for client in &mut clients {
            numbers(client, count).await;
        }
    }
}

#[tokio::test]
async fn g11_a_burst_over_a_cluster_is_whole_on_one_thread() {
    burst_over_a_cluster().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g11_a_burst_over_a_cluster_is_whole_on_two_threads() {
    burst_over_a_cluster().await;
}

async fn burst_over_a_cluster() {
    let nodes = support::cluster(2).await;
    let (a, b) = (server(nodes[0].clone()).await, server(nodes[1].clone()).await);
    let mut client = Client::connect(&b).await;
    for number in 0..3000 {
        a.emit("tick", &number).await.expect("sent");
    }
    numbers(&mut client, 3000).await;
}

#[tokio::test]
async fn g11_large_packets_of_a_burst_come_too() {
    let bus = Bus::new();
    let (a, b) = (server(bus.node()).await, server(bus.node()).await);
    let mut clients = [Client::connect(&b).await, Client::connect(&b).await];
    let text = "x".repeat(10_000);
    for number in 0..1000 {
        a.emit("tick", &json!({ "number": number, "text": text })).await.expect("sent");
    }
    for client in &mut clients {
        for number in 0..1000 {
            assert!(client.next().await.contains(&format!("\"number\":{number},")));
        }
    }
}

#[tokio::test]
async fn g02_a_burst_is_before_what_follows_it() {
    let bus = Bus::new();
    let (a, b) = (server(bus.node()).await, server(bus.node()).await);
    let mut client = Client::connect(&b).await;
    a.to(client.id).join("room").await.expect("joined");
    for number in 0..500 {
        a.to("room").emit("tick", &number).await.expect("sent");
    }
    a.to("room").leave("room").await.expect("left");
    a.to("room").emit("too late", &()).await.expect("sent");
    let question = a.to(client.id).emit_with_ack::<_, String>("question", &1).await.expect("sent");
    numbers(&mut client, 500).await;
    client.answer(r#"["fine"]"#).await;
    assert_eq!(question.await.expect("answered"), "fine");

    for number in 0..500 {
        a.emit("tick", &number).await.expect("sent");
    }
    a.to(client.id).disconnect().await.expect("disconnected");
    numbers(&mut client, 500).await;
    assert_eq!(client.next().await, "1", "the disconnect packet");
}

#[tokio::test]
async fn g11_a_socket_that_does_not_read_slows_nobody_and_its_loss_is_counted() {
    let bus = Bus::new();
    let (sender, node) = (bus.node(), bus.node());
    let crowd = Crowd::new(&State::new(node), 2, 4);
    let [stalled, reading] = crowd.ids[..] else { panic!("two") };
    let from = Crowd::new(&State::new(sender.clone()), 0, 0);
    let text = "x".repeat(1 << 20);
    let mut came = Vec::new();
    for number in 0..40 {
        from.emit("tick", &(number, &text)).await;
        came.append(&mut crowd.read_until(reading, 1).await);
    }
    let number = |packet: &serde_json::Value| packet[1].as_u64().expect("a number");
    assert_eq!(came.iter().map(number).collect::<Vec<_>>(), (0..40).collect::<Vec<_>>());

    let dropped = bus.dropped();
    assert!(dropped.full > 0 && dropped.gone == 0 && dropped.unreadable == 0, "{dropped:?}");
    let late = crowd.read_until(stalled, 40 - usize::try_from(dropped.full).expect("few")).await;
    let late: Vec<_> = late.iter().map(number).collect();
    assert_eq!(late, (0..late.len() as u64).collect::<Vec<_>>(), "the oldest are kept, in order");
    emit(&sender, only(&[stalled]), "tick", 99).await;
    assert_eq!(number(&crowd.read_until(stalled, 1).await[0]), 99, "nothing came twice, and it goes on");
}

#[tokio::test]
async fn g11_many_sockets_get_all_of_a_burst_of_packets_that_they_share() {
    let bus = Bus::new();
    let (sender, node) = (bus.node(), bus.node());
    let crowd = Crowd::new(&State::new(node), 600, 16);
    let text = "x".repeat(2000);
    for number in 0..60 {
        emit(&sender, Target::everyone(), "tick", (number, &text)).await;
    }
    let mut came = vec![0; crowd.ids.len()];
    eventually("all of it", async || {
        for (socket, came) in crowd.ids.iter().zip(&mut came) {
            for packet in crowd.read(*socket) {
                assert_eq!(packet[1][0], *came);
                *came += 1;
            }
        }
        came.iter().all(|came| *came == 60)
    })
    .await;
    assert_eq!(bus.dropped(), Default::default());
}

#[tokio::test]
async fn g11_a_stalled_socket_among_many_that_share_loses_one_packet_and_the_rest_waits() {
    let bus = Bus::new();
    let (sender, node) = (bus.node(), bus.node());
    let crowd = Crowd::new(&State::new(node), 20, 4);
    let from = Crowd::new(&State::new(sender), 0, 0);
    let text = "x".repeat(100_000);
    let (stalled, reading) = crowd.ids.split_first().expect("twenty");
    for number in 0..7 {
        from.emit("tick", &(number, &text)).await;
        for socket in reading {
            assert_eq!(crowd.read_until(*socket, 1).await[0][1], number);
        }
    }
    let came: Vec<_> = crowd.read_until(*stalled, 6).await.iter().map(|packet| packet[1].clone()).collect();
    assert_eq!((came, bus.dropped().full), (vec![json!(0), json!(1), json!(2), json!(3), json!(5), json!(6)], 1));
}

#[tokio::test]
async fn a_disconnect_waits_until_there_is_room_for_it() {
    let bus = Bus::new();
    let (sender, node) = (bus.node(), bus.node());
    let crowd = Crowd::new(&State::new(node), 1, 1);
    let socket = crowd.ids[0];
    emit(&sender, Target::everyone(), "tick", 0).await;
    let _unknown =
        sender.change(to(only(&[socket])), SocketChange::Disconnect, WaitFor::Sent(WAIT)).await.expect("sent");
    let count = async || sender.count_sockets(to(Target::everyone()), WAIT).await.expect("counted").total();
    assert_eq!(count().await, 1, "upstream refuses to disconnect a socket whose buffer is full");
    crowd.read(socket);
    eventually("the disconnect", async || count().await == 0).await;
}

#[tokio::test]
async fn g02_a_disconnect_is_after_what_waits_although_there_is_room_again() {
    let bus = Bus::new();
    let (sender, node) = (bus.node(), bus.node());
    let crowd = Crowd::new(&State::new(node), 1, 1);
    let socket = crowd.ids[0];
    for number in 0..3 {
        emit(&sender, Target::everyone(), "tick", number).await;
    }
    let mut came = crowd.read(socket);
    let _unknown =
        sender.change(to(only(&[socket])), SocketChange::Disconnect, WaitFor::Sent(WAIT)).await.expect("sent");
    came.append(&mut crowd.read_until(socket, 2).await);
    assert_eq!(came, [json!(["tick", 0]), json!(["tick", 1]), json!(["tick", 2])]);
    let count = async || sender.count_sockets(to(Target::everyone()), WAIT).await.expect("counted").total();
    eventually("the disconnect", async || count().await == 0).await;
}

#[tokio::test]
async fn g23_a_panic_costs_the_packet_that_it_was_about() {
    let bus = Bus::new();
    let (sender, node) = (bus.node(), bus.node());
    let crowd = Crowd::new(&State::new(node), 1, 1);
    let socket = crowd.ids[0];
    for number in 0..4 {
        emit(&sender, Target::everyone(), "tick", number).await;
    }
    crowd.panic_once();
    let mut came = crowd.read(socket);
    came.append(&mut crowd.read_until(socket, 2).await);
    assert_eq!(came, [json!(["tick", 0]), json!(["tick", 2]), json!(["tick", 3])]);
    assert_eq!(bus.dropped().unreadable, 1);
}

#[tokio::test]
async fn the_cluster_tells_what_local_sockets_dropped_also_after_they_are_gone() {
    let memory = Memory::new();
    let (a, b) = (Cluster::connect(memory.clone()).await.expect("up"), Cluster::connect(memory).await.expect("up"));
    let crowd = Crowd::new(&State::from(b.clone()), 1, 2);
    crowd.cut(crowd.ids[0]);
    let emitting = a.of("/").expect("valid");
    emitting.emit(Packet::event("tick", 1).expect("json")).await.expect("sent");
    eventually("the loss", async || b.stats().local_dropped.gone == 1).await;
    let counted = b.stats().local_dropped;
    drop(crowd);
    assert_eq!(b.stats().local_dropped, counted);
    assert_eq!(Arc::new(a).stats().local_dropped, Default::default());
}
