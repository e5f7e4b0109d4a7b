//! What strangers who can write to the broker may say, and what it does.

use super::*;
use crate::wire::{Bye, Heartbeat, Hello, Mark, Nodes, Suspect};

const NONE: Mark = Mark { epoch: 1, n: 0 };

fn heartbeat(sender: NodeId, counter: u64) -> Bytes {
    let body = Heartbeat { name: "forged".into(), cluster: NONE, period: 1000, asks: false };
    forged(Kind::HEARTBEAT, sender, counter, &body)
}

fn stranger(n: usize) -> NodeId {
    id(1_000_000 + n)
}

#[test]
fn g14_a_forged_suspicion_costs_one_heartbeat() {
    let mut cluster = Cluster::of(20);
    let quiet = cluster.count(Kind::HEARTBEAT);
    for counter in 0..20 {
        let suspect = forged(Kind::SUSPECT, stranger(0), counter, &Suspect { node: id(9) });
        cluster.deliver(Destination::Cluster, suspect);
    }
    cluster.run(ms(150));
    let of_victim = |cluster: &Cluster| {
        let frames = cluster.sent.iter().filter(|(to, _)| *to == Destination::Cluster);
        let frames = frames.flat_map(|(_, message)| Frames::new(message.clone()).flatten());
        frames.filter(|frame| frame.head.sender == id(9) && frame.head.kind == Kind::HEARTBEAT).count()
    };
    assert_eq!((quiet, of_victim(&cluster)), (0, 1));
    cluster.run(ms(3000));
    for n in 0..20 {
        assert_eq!((cluster.live(n), cluster.events(n)), (19, vec![]), "node {n}");
    }
    // To one inbox, where the suspect does not hear it, it is nothing.
    cluster.deliver(Destination::Inbox(id(1)), forged(Kind::SUSPECT, stranger(0), 99, &Suspect { node: id(9) }));
    cluster.run(ms(1000));
    assert_eq!(cluster.events(1), []);
}

#[test]
fn g14_a_forged_goodbye_is_told_and_contradicted() {
    for (nodes, counter) in [(3, 1_000), (3, u64::MAX - 1), (20, 1_000)] {
        let mut cluster = Cluster::of(nodes);
        cluster
            .deliver(Destination::Cluster, forged(Kind::BYE, id(1), counter, &Bye { cluster: NONE, inboxes: vec![] }));
        cluster.run(ms(if counter == u64::MAX - 1 { 5_000 } else { 300 }));
        assert_eq!(cluster.events(1), [Event::Impersonated]);
        assert!(cluster.member(1).engine.stats().impersonated > 0);
        for n in (0..nodes).filter(|n| *n != 1) {
            assert_eq!(cluster.live(n), nodes - 1, "node {n}, with counter {counter}");
        }
        cluster.emit(1);
        cluster.run(ms(100));
        assert_eq!(cluster.member(0).performed, 1);
    }
}

#[test]
fn a_node_that_has_left_stays_away_whatever_of_it_comes_late() {
    let mut cluster = Cluster::of(3);
    let now = cluster.instant();
    cluster.member(1).engine.say_bye(now);
    cluster.run(ms(100));
    cluster.kill(1);
    let early = heartbeat(id(1), 1);
    cluster.deliver(Destination::Cluster, early.clone());
    cluster.run(ms(3000));
    cluster.deliver(Destination::Cluster, early);
    cluster.run(ms(1000));
    assert_eq!(cluster.live(0), 1);
    let up = |event: &Event| matches!(event, Event::NodeUp(_));
    assert!(!cluster.events(0).iter().any(up));
}

#[test]
fn g14_strangers_push_out_no_member_and_no_newcomer() {
    let mut cluster = Cluster::of(3);
    cluster.kill(2);
    cluster.run(ms(4000));
    for n in 0..5_000 {
        cluster.deliver(Destination::Cluster, heartbeat(stranger(n), 1));
    }
    assert_eq!(cluster.live(0), 1 + 256, "that many strangers are believed");
    assert!(cluster.member(0).engine.members.get(id(2)).is_some(), "the dead node is remembered");
    let newcomer = cluster.start();
    cluster.run(ms(1100));
    assert!(cluster.member(newcomer).ready.is_some());
    assert!(cluster.member(0).engine.peers().iter().any(|peer| peer.id == id(newcomer)));
    cluster.run(ms(4000));
    assert_eq!(cluster.live(0), 2, "strangers that say no more are gone");
}

#[test]
fn g14_a_flood_of_greetings_is_answered_within_bounds() {
    let mut cluster = Cluster::of(20);
    let mut flood = bytes::BytesMut::new();
    for n in 0..3_000 {
        flood.extend_from_slice(&forged(Kind::HELLO, stranger(n), 1, &Hello { name: "x".repeat(255), cluster: NONE }));
    }
    let flood = flood.freeze();
    cluster.deliver(Destination::Cluster, flood.clone());
    let now = cluster.instant();
    let member = cluster.member(0);
    let mut replied = 0;
    while member.engine.has_work() {
        let batch = member.engine.pack(now);
        let bytes: usize = batch.into_iter().map(|(_, message)| message.into_bytes().len()).sum();
        assert!(bytes <= (64 << 10) + 4096, "{bytes} bytes in one batch");
        replied += bytes;
        member.engine.record_outcome(Outcome::Sent, now);
    }
    assert!(replied < flood.len(), "{replied} bytes in reply to {}", flood.len());
    assert!(member.engine.stats().greetings_dropped > 2_000);
}

#[test]
fn g14_names_that_do_not_exist_hold_up_a_newcomer_for_a_second() {
    let mut cluster = Cluster::of(3);
    let newcomer = cluster.start();
    cluster.run(ms(5));
    let began = cluster.now;
    for index in 0..30 {
        let nodes = (0..200).map(|n| stranger(index as usize * 200 + n)).collect();
        cluster.deliver(Destination::Inbox(id(newcomer)), forged(Kind::NODES, stranger(0), 1, &Nodes { index, nodes }));
    }
    cluster.run(ms(1200));
    assert!(cluster.member(newcomer).ready.is_some_and(|ready| ready <= began + ms(1100)));
    cluster.run(ms(4000));
    assert_eq!(cluster.live(newcomer), 3);
}

#[test]
fn g05_a_newcomer_that_is_ready_believes_names_that_come_late_and_an_old_node_does_not() {
    let mut cluster = Cluster::of(3);
    let newcomer = cluster.start();
    cluster.run(ms(500));
    assert!(cluster.member(newcomer).ready.is_some());
    for (node, live) in [(newcomer, 4), (0, 3)] {
        let names = Nodes { index: 0, nodes: vec![stranger(7)] };
        cluster.run(ms(if node == 0 { 6000 } else { 0 })); // by then the stranger is dead, and node 0 is old
        cluster.deliver(Destination::Inbox(id(node)), forged(Kind::NODES, id(1), 1, &names));
        assert_eq!(cluster.live(node), live, "node {node}");
    }
    assert_eq!(cluster.live(newcomer), 3, "who is named and never heard is dead");
}

#[test]
fn g14_a_sign_of_life_that_is_too_old_revives_nobody() {
    let mut cluster = Cluster::of(3);
    cluster.kill(2);
    let arrived = cluster.instant();
    cluster.run(ms(4000));
    assert_eq!(cluster.live(0), 1);
    let late = heartbeat(id(2), 1_000);
    cluster.member(0).engine.hear(false, late.clone(), arrived);
    assert_eq!(cluster.live(0), 1);
    let now = cluster.instant();
    cluster.member(0).engine.hear(false, late, now);
    assert_eq!(cluster.live(0), 2);
}
