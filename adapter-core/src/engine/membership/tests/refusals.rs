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

#[test]
fn g09_a_large_message_of_which_a_part_was_refused_is_known_to_be_lost_at_once() {
    let mut cluster = Cluster::new(700);
    cluster.start();
    cluster.start();
    cluster.run(ms(3000));
    cluster.reset();
    let (namespace, target) = (Namespace::new("/").expect("valid"), Target::everyone());
    let packet = vec![7; 3000].into();
    let operation = Operation::Broadcast { namespace, target, packet };
    let now = cluster.instant();
    let sender = &mut cluster.member(0).engine;
    sender.send(operation.encode(), Delivery::Numbered, 0, now);
    let mut batch = sender.pack(now).into_iter();
    let first = batch.next().map(|(to, message)| (to, message.into_bytes()));
    assert!(batch.len() > 2, "it is sent in pieces");
    sender.record_outcome(Outcome::Refused(1), now);
    let (to, message) = first.expect("a piece");
    cluster.deliver(to, message);
    cluster.run(ms(1500));
    assert_eq!(cluster.events(1), [Event::Gap { node: id(0), channel: GapChannel::Cluster, count: Some(1) }]);
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
