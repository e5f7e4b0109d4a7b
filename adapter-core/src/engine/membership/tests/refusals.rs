//! What a node gives up because the broker does not take it, as far as it can know.

use super::*;
use crate::model::GapChannel;

/// One of two nodes sends a packet again and again and gives it up, since nobody says that the broker has it. Returns what the other has carried out,
/// and what it was told.
fn refused(arrives: bool) -> (usize, Vec<Event>) {
    let mut cluster = Cluster::of(2);
    cluster.emit(0);
    let now = cluster.instant();
    while cluster.member(0).engine.stats().refused == 0 {
        let batch = cluster.member(0).engine.pack(now);
        assert!(!batch.is_empty(), "it is sent again");
        if arrives {
            batch.into_iter().for_each(|(to, message)| cluster.deliver(to, message.into_bytes()));
        }
        cluster.member(0).engine.record_outcome(Outcome::Unknown, now);
    }
    cluster.run(ms(40_000));
    let told = cluster.events(1);
    (cluster.member(1).performed, told)
}

/// Two nodes whose messages are small, and a packet that takes several of them, on its way.
fn large() -> (Cluster, Vec<(Destination, Bytes)>) {
    let mut cluster = Cluster::new(700);
    cluster.tune = |settings| settings.max_batch = 2000;
    cluster.start();
    cluster.start();
    cluster.run(ms(3000));
    cluster.reset();
    let (namespace, target) = (Namespace::new("/").expect("valid"), Target::everyone());
    let operation = Operation::Broadcast { namespace, target, packet: vec![7; 3000].into() };
    let now = cluster.instant();
    cluster.member(0).engine.send(operation.encode(), Delivery::Numbered, 0, now);
    let batch = published(&mut cluster);
    assert!(batch.len() > 2, "it is sent in pieces");
    (cluster, batch)
}

fn published(cluster: &mut Cluster) -> Vec<(Destination, Bytes)> {
    let now = cluster.instant();
    let batch = cluster.member(0).engine.pack(now);
    batch.into_iter().map(|(to, message)| (to, message.into_bytes())).collect()
}

#[test]
fn g09_a_large_message_of_which_a_part_was_refused_is_known_to_be_lost_at_once() {
    for arrived in [0, 1] {
        let (mut cluster, batch) = large();
        let now = cluster.instant();
        cluster.member(0).engine.record_outcome(Outcome::Refused(1), now);
        for (to, message) in batch.into_iter().take(arrived) {
            cluster.deliver(to, message);
        }
        cluster.run(ms(1500));
        let gap = Event::Gap { node: id(0), channel: GapChannel::Cluster, count: Some(1) };
        assert_eq!(cluster.events(1), [gap], "{arrived} of its pieces have arrived");
        assert_eq!(cluster.member(0).engine.stats().resent, 0, "of what is of no use");
    }
}

/// What was under way behind a message that is refused has arrived; what was between them is sent again.
#[test]
fn g09_what_is_going_to_be_sent_again_is_not_said_to_be_gone() {
    let mut cluster = Cluster::of(2);
    let now = cluster.instant();
    // Two messages in one batch, since the second does not fit into the first.
    let (namespace, target) = (Namespace::new("/").expect("valid"), Target::everyone());
    for _ in 0..2 {
        let packet = vec![7; 60_000].into();
        let operation = Operation::Broadcast { namespace: namespace.clone(), target: target.clone(), packet };
        cluster.member(0).engine.send(operation.encode(), Delivery::Numbered, 0, now);
    }
    let first = published(&mut cluster);
    assert_eq!(first.len(), 2, "the first is refused, and the second waits for that");
    cluster.emit(0);
    let behind = published(&mut cluster);
    let engine = &mut cluster.member(0).engine;
    engine.record_outcome(Outcome::Refused(0), now);
    engine.record_outcome(Outcome::Sent, now);
    for (to, message) in behind {
        cluster.deliver(to, message);
    }
    // The receiver asks while the sender's connection takes its time.
    for _ in 0..30 {
        cluster.now += STEP;
        let at = cluster.instant();
        let asker = &mut cluster.member(1).engine;
        asker.handle_timeout(at);
        let questions: Vec<_> = asker.pack(at).into_iter().map(|(to, message)| (to, message.into_bytes())).collect();
        asker.record_outcome(Outcome::Sent, at);
        questions.into_iter().for_each(|(to, message)| cluster.deliver(to, message));
    }
    cluster.run(ms(3000));
    let gap = Event::Gap { node: id(0), channel: GapChannel::Cluster, count: Some(1) };
    assert_eq!((cluster.events(1), cluster.member(1).performed), (vec![gap], 2));
}

#[test]
fn g09_what_was_given_up_and_has_arrived_is_no_forgery() {
    assert_eq!(refused(true), (1, vec![]));
}

#[test]
fn g09_what_was_given_up_is_missed_by_its_number_although_nothing_follows() {
    let gap = Event::Gap { node: id(0), channel: GapChannel::Cluster, count: Some(1) };
    assert_eq!(refused(false), (0, vec![gap]));
}
