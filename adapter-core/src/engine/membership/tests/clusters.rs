//! What a cluster costs, and how soon it knows.

use std::collections::BTreeSet;

use super::*;
use crate::model::Departure;

/// Who is said to have died at a node, and when the last of them was.
fn deaths(cluster: &mut Cluster, n: usize) -> (BTreeSet<usize>, Duration) {
    cluster.events(n);
    let died = |(at, event): &(Duration, Event)| match event {
        Event::NodeDown(node, Departure::Died) => Some((place(node.id), *at)),
        _ => None,
    };
    let deaths: Vec<_> = cluster.member(n).events.iter().filter_map(died).collect();
    (deaths.iter().map(|(node, _)| *node).collect(), deaths.iter().map(|(_, at)| *at).max().unwrap_or_default())
}

#[test]
fn g22_a_ring_at_rest_costs_each_node_less_than_twenty_messages_a_second() {
    for (nodes, most) in [(16, 18), (40, 20), (80, 20)] {
        let mut cluster = Cluster::of(nodes);
        cluster.run(ms(10_000));
        for n in 0..nodes {
            let each = cluster.member(n).messages / 10;
            assert!(each <= most, "{nodes} nodes: node {n} receives {each} a second");
            assert_eq!(cluster.events(n), [], "of node {n}");
        }
    }
}

#[test]
fn g05_a_crash_in_a_ring_is_known_to_all_within_three_seconds() {
    let mut cluster = Cluster::of(30);
    for victim in [3, 17, 29] {
        cluster.run(ms(700));
        cluster.reset();
        let at = cluster.now;
        cluster.kill(victim);
        cluster.run(ms(4000));
        let survivors: Vec<_> = (0..30).filter(|n| cluster.members[*n].is_some()).collect();
        for n in survivors {
            let (dead, by) = deaths(&mut cluster, n);
            assert_eq!(dead, BTreeSet::from([victim]), "at node {n}");
            assert!(by <= at + ms(3000), "at node {n} after {:?}", by - at);
        }
    }
}

#[test]
fn g05_nodes_that_die_together_are_found_one_after_the_other() {
    let mut cluster = Cluster::of(30);
    // Neighbours in the ring: nobody is left who watches the first ones.
    let mut ring: Vec<_> = (0..30).collect();
    ring.sort_by_key(|n| id(*n));
    let dead: BTreeSet<_> = ring[10..16].iter().copied().collect();
    dead.iter().for_each(|n| cluster.kill(*n));
    cluster.run(ms(10_000));
    for n in (0..30).filter(|n| !dead.contains(n)) {
        assert_eq!(deaths(&mut cluster, n).0, dead, "at node {n}");
    }
}

#[test]
fn g05_a_node_of_a_ring_that_stalls_for_a_second_is_not_evicted_and_one_that_was_evicted_returns() {
    let mut cluster = Cluster::of(20);
    for (stall, evicted) in [(1000, false), (6000, true)] {
        cluster.reset();
        for _ in 0..stall / 10 {
            cluster.now += STEP;
            // It sleeps, and what is sent to it waits in its socket.
            let mut sleeper = cluster.members[7].take();
            let before = cluster.sent.len();
            cluster.step();
            let waiting: Vec<_> = cluster.sent[before..].to_vec();
            if let Some(member) = &mut sleeper {
                let now = cluster.base + cluster.now;
                for (to, message) in waiting {
                    let inbox = to == Destination::Inbox(id(7));
                    if to == Destination::Cluster || inbox {
                        member.engine.hear(inbox, message, now);
                    }
                }
            }
            cluster.members[7] = sleeper;
        }
        cluster.run(ms(1000));
        for n in (0..20).filter(|n| *n != 7) {
            assert_eq!(deaths(&mut cluster, n).0.contains(&7), evicted, "at node {n} after {stall} ms");
            assert_eq!(cluster.live(n), 19, "at node {n} after {stall} ms");
        }
        assert_eq!(deaths(&mut cluster, 7).0, BTreeSet::new(), "at the node that slept for {stall} ms");
    }
}

#[test]
fn g18_a_newcomer_to_a_ring_knows_everybody_when_it_is_ready() {
    for max_frame in [512, 7800] {
        let mut cluster = Cluster::new(max_frame);
        (0..50).for_each(|_| _ = cluster.start());
        cluster.run(ms(6000));
        cluster.reset();
        let newcomer = cluster.start();
        cluster.run(ms(1000));
        assert_eq!(cluster.live(newcomer), 50);
        assert!(cluster.member(newcomer).ready.is_some_and(|ready| ready < ms(6200)), "it has waited for nobody");
        let cost = cluster.member(newcomer).bytes;
        assert!(cost < 50 * 70 + 3 * 50 * 16 + 20_000, "{cost} bytes");
        assert_eq!(cluster.count(Kind::WELCOME), 50);
        assert!(cluster.sent.iter().all(|(_, message)| message.len() <= max_frame));
        for n in 0..50 {
            assert_eq!(cluster.live(n), 50, "at node {n}");
        }
    }
}

#[test]
fn g22_after_a_brokers_restart_all_are_heard_within_a_second_and_at_little_cost() {
    let nodes = 60;
    let mut cluster = Cluster::of(nodes);
    for n in 0..nodes {
        let member = cluster.member(n);
        member.link = false;
        member.engine.link_down("the broker restarts".to_owned());
    }
    cluster.run(ms(3000));
    cluster.reset();
    let mut back = vec![Duration::ZERO; nodes];
    let mut settled = vec![None; nodes];
    for (n, back) in back.iter_mut().enumerate() {
        cluster.emit(n); // waits until everybody is back
        *back = cluster.now + ms(n as u64 * 7919 % 500);
    }
    let mut last = Duration::ZERO;
    for _ in 0..250 {
        cluster.now += STEP;
        for n in 0..nodes {
            let (now, instant) = (cluster.now, cluster.instant());
            let member = cluster.member(n);
            if !member.link && back[n] <= now {
                member.link = true;
                member.engine.link_up(Limits::max_frame(1 << 20), instant);
                last = now;
            }
            if member.link && settled[n].is_none() && member.engine.stats().queued == 0 {
                settled[n] = Some(now);
            }
        }
        cluster.step();
    }
    let bytes: usize = (0..nodes).map(|n| cluster.member(n).bytes).sum();
    assert!(bytes < nodes * nodes * 70 * 8, "{bytes} bytes");
    for n in 0..nodes {
        let settled = settled[n].expect("what it kept went out");
        assert!(settled <= last + ms(1000), "node {n} kept it until {:?} after the last was back", settled - last);
        assert_eq!(deaths(&mut cluster, n).0, BTreeSet::new());
    }
    assert_eq!((cluster.count(Kind::HELLO), cluster.count(Kind::WELCOME)), (0, 0));
}

#[test]
fn g22_one_node_whose_link_was_replaced_costs_a_ring_one_message_from_each() {
    let mut cluster = Cluster::of(40);
    let now = cluster.instant();
    cluster.member(5).engine.link_down("cut".to_owned());
    cluster.member(5).engine.link_up(Limits::max_frame(1 << 20), now);
    cluster.run(ms(400));
    let rest = 40 * 20 * 4 / 10;
    let messages: usize = (0..40).map(|n| cluster.member(n).messages).sum();
    assert!(messages < rest + 100, "{messages} messages");
    assert!(cluster.member(5).messages >= 39, "all have replied");
}

#[test]
fn g08_a_node_has_not_recovered_while_the_broker_takes_only_a_part() {
    let mut cluster = Cluster::of(2);
    let now = cluster.instant();
    cluster.member(0).engine.link_down("cut".to_owned());
    cluster.member(0).engine.link_up(Limits::max_frame(1 << 20), now);
    for _ in 0..200 {
        cluster.member(0).engine.broker_takes_nothing("its disk is full".to_owned());
        cluster.run(STEP); // what it sends comes back
    }
    assert_eq!(cluster.events(0), [Event::Degraded("cut".to_owned())]);
    cluster.run(ms(2000));
    assert_eq!(cluster.events(0), [Event::Degraded("cut".to_owned()), Event::Recovered]);
}

#[test]
fn g09_a_lost_tail_in_a_ring_is_found_by_the_mark_that_follows() {
    let mut cluster = Cluster::of(20);
    cluster.emit(0);
    cluster.run(ms(10));
    assert_eq!(cluster.member(1).performed, 1);
    cluster.run(ms(1000));
    cluster.reset();
    cluster.member(1).link = false; // loses the next message, and says nothing
    cluster.emit(0);
    cluster.run(ms(10));
    cluster.member(1).link = true;
    cluster.run(ms(600));
    assert_eq!(cluster.member(1).performed, 2, "it has asked for what it missed");
    assert_eq!((cluster.events(1), cluster.events(2)), (vec![], vec![]));
}

/// Node 1 has got one message of node 0, and has missed the second.
fn cluster_with_a_hole(nodes: usize) -> Cluster {
    let mut cluster = Cluster::of(nodes);
    cluster.emit(0);
    cluster.run(ms(1000));
    cluster.reset();
    cluster.member(1).link = false; // drops the second
    cluster.emit(0);
    cluster.run(ms(10));
    cluster.member(1).link = true;
    cluster
}

#[test]
fn g09_what_a_slow_node_has_dropped_is_not_asked_for_however_late_that_shows() {
    let mut cluster = cluster_with_a_hole(20);
    let now = cluster.instant();
    cluster.member(1).engine.was_too_slow(now);
    let silent = cluster.members[0].take();
    cluster.run(ms(2100));
    cluster.members[0] = silent;
    cluster.emit(0);
    cluster.run(ms(20));
    assert_eq!(cluster.member(1).performed, 2, "what comes next is not held back");
    cluster.run(ms(2000));
    assert_eq!(cluster.member(1).performed, 2);
    let gap = |event: &Event| matches!(event, Event::Gap { node, count: Some(1), .. } if *node == id(0));
    assert_eq!(cluster.events(1).iter().filter(|event| gap(event)).count(), 1);
    // From then on it is as before.
    cluster.member(1).link = false;
    cluster.emit(0);
    cluster.run(ms(10));
    cluster.member(1).link = true;
    cluster.run(ms(2000));
    assert_eq!(cluster.member(1).performed, 3);
}

/// What node 1 has missed of node 0, which has fallen silent right after it.
fn cluster_with_an_absent_node() -> (Cluster, Option<Member>) {
    let mut cluster = cluster_with_a_hole(3);
    cluster.emit(0);
    cluster.run(ms(10));
    let silent = cluster.members[0].take();
    (cluster, silent)
}

#[test]
fn g09_what_is_missing_of_a_node_that_is_thought_dead_is_had_from_it_when_it_comes_back() {
    let (mut cluster, silent) = cluster_with_an_absent_node();
    cluster.run(ms(9000));
    assert_eq!(deaths(&mut cluster, 1).0, BTreeSet::from([0]));
    assert_eq!(cluster.member(1).performed, 1, "what came behind it waits");
    cluster.members[0] = silent;
    cluster.run(ms(2000));
    assert_eq!((cluster.live(1), cluster.member(1).performed), (2, 3));
    cluster.run(ms(20_000));
    assert!(!cluster.events(1).iter().any(|event| matches!(event, Event::Gap { .. })));
}

#[test]
fn g09_a_node_that_is_thought_dead_and_comes_back_to_close_is_missed_in_nothing() {
    let (mut cluster, silent) = cluster_with_an_absent_node();
    cluster.run(ms(5000));
    assert_eq!(deaths(&mut cluster, 1).0, BTreeSet::from([0]));
    cluster.members[0] = silent;
    let now = cluster.instant();
    cluster.member(0).engine.say_bye(now);
    cluster.run(ms(1000));
    cluster.kill(0);
    cluster.run(ms(20_000));
    assert_eq!(cluster.member(1).performed, 3);
    let events = cluster.events(1);
    assert!(!events.iter().any(|event| matches!(event, Event::Gap { .. })), "{events:?}");
    assert!(matches!(events.last(), Some(Event::NodeDown(_, Departure::Left))), "{events:?}");
}

/// While this node's own link is in doubt nobody is waited for by its clock; what is forgotten meanwhile is told.
#[test]
fn g09_what_waits_behind_a_dead_node_is_carried_out_before_it_is_forgotten() {
    let (mut cluster, _) = cluster_with_an_absent_node();
    cluster.run(ms(5000));
    cluster.member(1).link = false;
    cluster.run(ms(70_000));
    assert!(cluster.member(1).engine.members.get(id(0)).is_none(), "it is forgotten");
    assert_eq!(cluster.member(1).performed, 2);
    let gap = |event: &Event| if let Event::Gap { count, .. } = event { Some(*count) } else { None };
    assert_eq!(cluster.events(1).iter().filter_map(gap).collect::<Vec<_>>(), [Some(1), None]);
}

/// What a slow node takes long after its sender has died raises nobody, and a hole before it is told at once.
#[test]
fn g09_nothing_is_waited_for_of_a_node_that_is_given_up() {
    let (mut cluster, silent) = cluster_with_an_absent_node();
    cluster.run(ms(100));
    cluster.members[0] = silent;
    cluster.member(1).link = false;
    for _ in 0..3 {
        cluster.emit(0);
        cluster.run(ms(10)); // a message each
    }
    let numbered = |message: &Bytes| Frames::new(message.clone()).flatten().any(|frame| frame.head.number.is_some());
    let last = cluster.sent.iter().rfind(|(_, message)| numbered(message)).cloned().expect("it has emitted").1;
    let heard = cluster.instant();
    cluster.kill(0);
    cluster.member(1).link = true;
    cluster.run(ms(14_000));
    let before = cluster.member(1).performed;
    let now = cluster.instant();
    cluster.member(1).engine.receive(&mut Incoming::new(false, last, heard), 100, now);
    cluster.run(ms(500));
    assert_eq!((cluster.live(1), cluster.member(1).performed), (1, before + 1));
    let gap = |event: &Event| if let Event::Gap { count, .. } = event { Some(*count) } else { None };
    assert_eq!(cluster.events(1).iter().filter_map(gap).collect::<Vec<_>>(), [Some(1), None, Some(2)]);
}

/// A broker that keeps what it was given hands it to a node that was away: it is carried out, and its sender stays dead.
#[test]
fn g05_what_is_replayed_is_carried_out_and_raises_nobody() {
    for replayed in [true, false] {
        let mut cluster = Cluster::of(3);
        cluster.emit(0);
        cluster.run(ms(100));
        let emitted = |message: &Bytes| Frames::new(message.clone()).flatten().any(|frame| frame.head.number.is_some());
        let (_, said) = cluster.sent.iter().rfind(|(_, message)| emitted(message)).cloned().expect("it has emitted");
        cluster.kill(0);
        cluster.run(ms(4000));
        let (before, now) = (cluster.live(1), cluster.instant());
        let mut incoming = Incoming::new(false, said, now).replayed(replayed);
        cluster.member(1).engine.receive(&mut incoming, 100, now);
        assert_eq!((before, cluster.live(1)), (1, if replayed { 1 } else { 2 }), "replayed: {replayed}");
    }
}

#[test]
fn g09_what_a_dead_node_sent_last_is_told_to_be_lost_once_it_has_not_come_back() {
    let gaps = |cluster: &mut Cluster, n| {
        let gap = |event: Event| if let Event::Gap { node, count, .. } = event { Some((node, count)) } else { None };
        cluster.events(n).into_iter().filter_map(gap).collect::<Vec<_>>()
    };
    let (mut cluster, _) = cluster_with_an_absent_node();
    cluster.run(ms(12_000));
    assert_eq!(gaps(&mut cluster, 1), [], "it may come back");
    cluster.run(ms(2000));
    assert_eq!(gaps(&mut cluster, 1), [(id(0), Some(1)), (id(0), None)]);
    assert_eq!(gaps(&mut cluster, 2), [(id(0), None)]);
    assert_eq!(cluster.member(1).performed, 2, "what came behind it");
    // A node that closes does not wait for that, whether it knows of the death before its goodbye or after.
    for before in [5000, 2000] {
        let (mut cluster, _) = cluster_with_an_absent_node();
        cluster.run(ms(before));
        let now = cluster.instant();
        cluster.member(1).engine.say_bye(now);
        cluster.run(ms(3000));
        assert_eq!(gaps(&mut cluster, 1), [(id(0), Some(1)), (id(0), None)], "closed after {before} ms");
    }
}
