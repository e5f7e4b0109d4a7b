//! Where the messages of one node begin for another.

use super::*;
use crate::wire::{Heartbeat, Mark, Number};

/// Its greeting was missed by one node, and it was cut off before it heard that one.
#[test]
fn g09_what_a_node_sends_that_has_missed_the_newcomer_s_greeting_arrives() {
    let mut cluster = Cluster::of(2);
    for _ in 0..3 {
        cluster.emit(0);
        cluster.run(ms(4000)); // nobody is new, and something was sent that is not meant for the newcomer
    }
    cluster.member(0).link = false;
    let newcomer = cluster.start();
    cluster.run(ms(1500));
    assert!(cluster.member(newcomer).ready.is_some());
    cluster.member(newcomer).link = false;
    cluster.member(0).link = true;
    cluster.run(ms(500));
    for _ in 0..5 {
        cluster.emit(0);
        cluster.run(ms(100));
    }
    cluster.member(newcomer).link = true;
    cluster.run(ms(5000));
    assert_eq!(cluster.member(newcomer).performed, 5);
}

/// A node that another one has forgotten, and that has not forgotten it, is told where the numbers stand now.
#[test]
fn g09_a_node_that_was_forgotten_misses_nothing_that_it_had() {
    let mut cluster = Cluster::new(1 << 20);
    cluster.tune = |settings| settings.keep = Duration::from_secs(2);
    cluster.start();
    cluster.start();
    cluster.run(ms(1000));
    (0..50).for_each(|_| cluster.emit(0));
    (0..50).for_each(|_| cluster.emit(1));
    cluster.run(ms(1000));
    // Node 1 sleeps until node 0 has forgotten it.
    let sleeper = cluster.members[1].take();
    cluster.run(ms(6000));
    assert!(cluster.member(0).engine.members.get(id(1)).is_none(), "it is forgotten");
    cluster.members[1] = sleeper;
    cluster.reset();
    cluster.run(ms(2000));
    cluster.emit(0);
    cluster.emit(1);
    cluster.run(ms(2000));
    for n in 0..2 {
        let events = cluster.events(n);
        assert!(!events.iter().any(|event| matches!(event, Event::Gap { count: Some(_), .. })), "{events:?}");
        assert_eq!((cluster.live(n), cluster.member(n).performed), (1, 51), "node {n}");
    }
}

#[test]
fn g09_an_old_node_of_a_large_cluster_gets_what_a_new_one_has_sent_before_it_was_heard() {
    let mut cluster = Cluster::of(66);
    cluster.run(ms(5000));
    cluster.reset();
    cluster.member(0).link = false;
    let newcomer = cluster.start();
    cluster.run(ms(1200));
    assert!(cluster.member(newcomer).ready.is_some());
    (0..3).for_each(|_| cluster.emit(newcomer));
    cluster.run(ms(50));
    cluster.member(0).link = true;
    cluster.emit(newcomer);
    cluster.run(ms(2000));
    assert_eq!(cluster.member(0).performed, 4);
    assert!(!cluster.events(0).iter().any(|event| matches!(event, Event::Gap { .. })));
}

#[test]
fn g09_where_nobody_can_say_where_messages_begin_a_gap_of_unknown_count_is_told() {
    let mut cluster = Cluster::of(3);
    cluster.member(0).link = false;
    let newcomer = cluster.start();
    cluster.run(ms(500));
    cluster.reset();
    cluster.emit(newcomer);
    cluster.run(ms(20));
    cluster.kill(newcomer);
    cluster.member(0).link = true;
    let numbered = |message: &Bytes| Frames::new(message.clone()).flatten().any(|frame| frame.head.number.is_some());
    let spoken = cluster.sent.iter().find(|(_, message)| numbered(message)).cloned().expect("it has emitted");
    cluster.deliver(spoken.0, spoken.1);
    cluster.run(ms(2500));
    assert_eq!(cluster.member(0).performed, 0, "it waits for a reply");
    cluster.run(ms(1000));
    assert_eq!(cluster.member(0).performed, 1);
    let gap = |event: &Event| matches!(event, Event::Gap { node, count: None, .. } if *node == id(newcomer));
    assert!(cluster.events(0).iter().any(gap));
}

#[test]
fn g09_messages_that_begin_with_a_mark_go_on_with_the_next_number() {
    let mut cluster = Cluster::of(3);
    let unknown = id(40);
    let heartbeat = Heartbeat { name: "x".into(), cluster: Mark { epoch: 1, n: 5 }, period: 1000, asks: false };
    cluster.deliver(Destination::Cluster, forged(Kind::HEARTBEAT, unknown, 7, &heartbeat));
    cluster.run(ms(3500)); // nobody says where its messages begin
    let operation = Operation::Broadcast {
        namespace: Namespace::new("/").expect("valid"),
        target: Target::everyone(),
        packet: "x".into(),
    };
    let content = operation.encode();
    let head = Head { number: Some(Number { epoch: 1, n: 6 }), ..Head::new(content.kind, unknown, 8) };
    cluster.reset();
    cluster.deliver(Destination::Cluster, Message::of(&head, &content.body, &content.packet));
    cluster.take_outputs(0);
    assert_eq!(cluster.member(0).performed, 1);
}

/// A greeting says that its sender has just come: a node that came while it waited would take its own messages so far for older.
#[test]
fn g09_a_greeting_that_has_waited_for_the_link_is_not_sent_by_a_node_that_is_ready() {
    let mut cluster = Cluster::new(1 << 20);
    let old = cluster.start();
    cluster.run(ms(100));
    assert_eq!(cluster.count(Kind::HELLO), 1);
    cluster.member(old).link = false; // the next greeting waits
    cluster.run(ms(500));
    assert!(cluster.member(old).ready.is_some());
    cluster.reset();
    let newcomer = cluster.start();
    cluster.run(ms(500));
    assert!(cluster.member(newcomer).ready.is_some());
    cluster.emit(newcomer);
    cluster.run(ms(50));
    cluster.member(old).link = true;
    cluster.run(ms(2000));
    assert_eq!(cluster.member(old).performed, 1, "what the newcomer sent first");
    assert_eq!(cluster.events(old).iter().filter(|event| matches!(event, Event::Gap { .. })).count(), 0);
}

/// A node that has left before the newcomer heard it, in a cluster without order: its goodbye arrives first, then its
/// introduction. Returns the cluster, both nodes, and the two messages that it sent in between.
fn cluster_with_an_early_goodbye() -> (Cluster, usize, usize, [(Destination, Bytes); 2]) {
    let mut cluster = Cluster::new(1 << 20);
    cluster.tune = |settings| settings.ordered = false;
    let leaver = cluster.start();
    cluster.run(ms(1000));
    let newcomer = cluster.start();
    cluster.run(STEP);
    cluster.member(newcomer).link = false;
    cluster.reset();
    for _ in 0..2 {
        cluster.emit(leaver);
        cluster.run(STEP);
    }
    let now = cluster.instant();
    cluster.member(leaver).engine.say_bye(now);
    cluster.run(STEP);
    let sent = |is: &dyn Fn(&Head) -> bool| {
        let mut all = cluster
            .sent
            .iter()
            .filter(|(_, message)| Frames::new(message.clone()).flatten().any(|frame| is(&frame.head)));
        all.next().cloned().expect("it was sent")
    };
    let numbered = |n| sent(&move |head: &Head| head.number.is_some_and(|number| number.n == n));
    let (messages, goodbye) = ([numbered(1), numbered(2)], sent(&|head| head.kind == Kind::BYE));
    let welcome = sent(&|head| head.kind == Kind::WELCOME);
    cluster.member(newcomer).link = true;
    cluster.deliver(goodbye.0, goodbye.1);
    cluster.deliver(welcome.0, welcome.1);
    (cluster, leaver, newcomer, messages)
}

/// How many messages a node has carried out, and how many losses it was told of.
fn had(cluster: &mut Cluster, n: usize) -> (usize, usize) {
    let gaps = cluster.events(n).iter().filter(|event| matches!(event, Event::Gap { .. })).count();
    (cluster.member(n).performed, gaps)
}

#[test]
fn g09_what_is_under_way_of_a_node_that_has_left_is_waited_for_also_when_its_goodbye_came_first() {
    let (mut cluster, leaver, newcomer, [first, second]) = cluster_with_an_early_goodbye();
    cluster.kill(leaver);
    cluster.deliver(second.0, second.1);
    cluster.run(ms(200));
    cluster.deliver(first.0, first.1);
    cluster.run(ms(20));
    assert_eq!(had(&mut cluster, newcomer), (2, 0));
}

#[test]
fn g19_a_node_that_leaves_is_asked_for_what_is_missing_and_need_not_wait_also_when_its_goodbye_came_first() {
    for arrives in [0, 1] {
        let (mut cluster, leaver, newcomer, messages) = cluster_with_an_early_goodbye();
        let (to, message) = messages[arrives].clone();
        cluster.deliver(to, message);
        assert!(!cluster.member(leaver).engine.has_left(), "somebody misses something");
        cluster.run(ms(700));
        assert_eq!(had(&mut cluster, newcomer), (2, 0), "of which message {arrives} arrived by itself");
        assert!(cluster.member(leaver).engine.has_left(), "nobody misses anything");
    }
}
