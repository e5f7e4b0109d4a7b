use std::time::Duration;

use futures_util::FutureExt;

use roomcast_core::{Cluster, ClusterBuilder, ErrorKind, Event, Hub, Memory, MissingNode, MissingReason};

use crate::faulty::{Faulty, Mode};
use crate::support::{Node, event, eventually, next, told, until};

/// A node whose link has a switch.
async fn switched(builder: ClusterBuilder, memory: &Memory) -> (Node, Faulty) {
    let faulty = Faulty::on(memory);
    let cluster = builder.connect(faulty.clone()).await.unwrap();
    let hub = Hub::builder().queue(100_000).build();
    let chat = cluster.namespace("/chat", hub.clone()).await.unwrap();
    (Node { cluster, chat, hub }, faulty)
}

/// Two nodes, of which the link of the first has a switch.
pub(crate) async fn pair(builder: ClusterBuilder) -> (Node, Faulty, Node) {
    let memory = Memory::new();
    let (one, faulty) = switched(builder.clone(), &memory).await;
    let two = Node::with(builder, &memory).await;
    for node in [&one, &two] {
        eventually(|| node.cluster.nodes().len() == 2).await;
    }
    (one, faulty, two)
}

#[tokio::test]
async fn g06_g08_local_sockets_are_served_and_the_rest_goes_out_in_order_afterwards() {
    let (one, link, two) = pair(Cluster::builder()).await;
    let (mut here, mut there) = (one.socket(["room"]), two.socket(["room"]));
    let mut events = one.cluster.events();
    link.set(Mode::Down).await;
    assert!(matches!(event(&mut events).await, Event::Degraded(_)));
    for n in 0..100 {
        one.chat.to("room").emit(format!("{n}")).await.unwrap();
        assert_eq!(next(&mut here).await, n.to_string(), "at once");
    }
    let _ = one.chat.within("room").no_wait().join_sockets("later").await.unwrap();
    one.chat.to("later").emit("joined").await.unwrap();
    link.set(Mode::Up).await;
    for n in 0..100 {
        assert_eq!(next(&mut there).await, n.to_string());
    }
    assert_eq!(next(&mut there).await, "joined");
    assert_eq!(event(&mut events).await, Event::Recovered, "and nobody was condemned");
    assert_eq!(two.cluster.stats().lost, 0);
}

#[tokio::test]
async fn g08_a_small_bound_is_unavailable_at_once_and_says_who_was_served() {
    let (one, link, two) = pair(Cluster::builder().queue_bytes(4096)).await;
    let (mut here, mut there) = (one.socket([]), two.socket([]));
    link.set(Mode::Down).await;
    let mut accepted = 0;
    let refused = loop {
        match one.chat.timeout(Duration::from_secs(3600)).emit("x".repeat(500)).await {
            Ok(()) => accepted += 1,
            Err(refused) => break refused,
        }
    };
    assert_eq!((refused.kind(), refused.served_locally()), (ErrorKind::Unavailable, true));
    assert!(accepted > 0);
    for _ in 0..=accepted {
        assert_eq!(next(&mut here).await.len(), 500, "the refused one, too");
    }
    link.set(Mode::Up).await;
    one.chat.emit("end").await.unwrap();
    assert_eq!(until("end", &mut there).await.len(), accepted, "what was accepted, and nothing else");
}

#[tokio::test]
async fn g08_a_message_that_has_waited_too_long_keeps_its_place_but_no_more_is_queued() {
    let (one, link, two) = pair(Cluster::builder().queue_age(Duration::from_millis(50))).await;
    let mut there = two.socket([]);
    link.set(Mode::Down).await;
    one.chat.emit("first").await.unwrap();
    let mut more = 0;
    let refused = loop {
        match one.chat.emit("more").await {
            Ok(()) => more += 1,
            Err(refused) => break refused,
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(refused.kind(), ErrorKind::Unavailable);
    link.set(Mode::Up).await;
    one.chat.timeout(Duration::from_secs(5)).emit("end").await.ok();
    assert_eq!(next(&mut there).await, "first");
    for _ in 0..more {
        assert_eq!(next(&mut there).await, "more");
    }
}

#[tokio::test(start_paused = true)]
async fn g04_g08_a_question_in_an_outage_ends_at_once_and_names_everyone() {
    let (one, link, two) = pair(Cluster::builder()).await;
    let (_here, there) = (one.socket(["room"]), two.socket(["room"]));
    let (me, other) = (one.cluster.node().id, two.cluster.node().id);
    let mut events = one.cluster.events();
    link.set(Mode::Down).await;
    assert!(matches!(event(&mut events).await, Event::Degraded(_)));
    let asked_at = tokio::time::Instant::now();
    let hour = || one.chat.timeout(Duration::from_secs(3600));
    let unreachable = [MissingNode::new(other, MissingReason::Unreachable)];

    let counted = hour().count_sockets().await.unwrap();
    assert_eq!((counted.items, &counted.missing[..]), (vec![(me, 1)], &unreachable[..]));
    let fetched = hour().fetch_sockets().await.unwrap();
    assert_eq!((fetched.items.len(), &fetched.missing[..]), (1, &unreachable[..]));
    let rooms = hour().rooms().await.unwrap();
    assert_eq!((rooms.items.len(), &rooms.missing[..]), (1, &unreachable[..]));
    let only_there = hour().on_node(other).count_sockets().await.unwrap();
    assert_eq!((only_there.items.len(), &only_there.missing[..]), (0, &unreachable[..]));
    let joined = hour().to("room").join_sockets("later").await.unwrap();
    assert_eq!((joined.items, &joined.missing[..]), (vec![me], &unreachable[..]));
    let acked = hour().to("nobody").emit_with_ack("?").await.unwrap().gather().await;
    assert_eq!((acked.acks.len(), &acked.missing[..]), (0, &unreachable[..]));
    let told = one.chat.server_side_emit_with_ack("do", "", Duration::from_secs(3600)).await.unwrap();
    assert_eq!((told.items.len(), &told.missing[..]), (0, &unreachable[..]));

    assert!(asked_at.elapsed() < Duration::from_secs(1), "by the paused clock: {:?}", asked_at.elapsed());
    assert_eq!(one.cluster.stats().open_requests, 0);
    assert_eq!(one.cluster.stats().queued, 3, "what changes something waits; what only asks does not");
    link.set(Mode::Up).await;
    eventually(|| there.rooms().iter().any(|room| room.as_str() == "later")).await;
    assert!(hour().count_sockets().await.unwrap().is_complete());
}

#[tokio::test]
async fn g08_a_question_is_answered_by_this_node_however_long_the_outage() {
    let (one, link, _two) = pair(Cluster::builder().queue_age(Duration::ZERO)).await;
    let _here = one.socket([]);
    let mut events = one.cluster.events();
    link.set(Mode::Down).await;
    assert!(matches!(event(&mut events).await, Event::Degraded(_)));
    one.chat.emit("waits").await.unwrap();
    let refused = loop {
        if let Err(refused) = one.chat.emit("more").await {
            break refused;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(refused.kind(), ErrorKind::Unavailable);
    assert_eq!(one.chat.fetch_sockets().await.unwrap().items.len(), 1);
}

#[tokio::test]
async fn only_a_node_with_sockets_says_that_its_own_were_served() {
    let (one, link, _two) = pair(Cluster::builder().queue_bytes(1024)).await;
    let elsewhere = one.cluster.of("/elsewhere").unwrap();
    link.set(Mode::Down).await;
    let refused = loop {
        if let Err(refused) = elsewhere.emit("x".repeat(300)).await {
            break refused;
        }
    };
    assert_eq!((refused.kind(), refused.served_locally()), (ErrorKind::Unavailable, false));
    let refused = one.chat.emit("x".repeat(300)).await.expect_err("the queue is full");
    assert_eq!((refused.kind(), refused.served_locally()), (ErrorKind::Unavailable, true));
    let refused = one.chat.server_side_emit("do", "x".repeat(300)).await.expect_err("the queue is full");
    assert_eq!((refused.kind(), refused.served_locally()), (ErrorKind::Unavailable, false));
}

#[tokio::test(start_paused = true)]
async fn a_paused_clock_is_the_drivers_clock() {
    const HOUR: Duration = Duration::from_secs(3600);
    let (node, link) = switched(Cluster::builder(), &Memory::new()).await;
    link.set(Mode::Down).await;
    tokio::time::advance(HOUR).await;
    assert!(node.cluster.health() >= HOUR, "an hour without a proof of life is {:?}", node.cluster.health());
    link.set(Mode::Up).await;
    eventually(|| node.cluster.health() < Duration::from_millis(1500)).await;
}

#[tokio::test]
async fn g05_g08_an_outage_of_ours_condemns_nobody() {
    let (one, link, two) = pair(Cluster::builder()).await;
    let (mut ours, mut theirs) = (one.cluster.events(), two.cluster.events());
    link.set(Mode::Down).await;
    // The other node finds us silent; that is how we know that time enough has passed for us to condemn it.
    let down =
        told(&mut theirs, |event| if let Event::NodeDown(node, _) = event { Some(node.clone()) } else { None }).await;
    assert_eq!(down, one.cluster.node());
    assert_eq!(one.cluster.nodes().len(), 2);
    link.set(Mode::Up).await;
    let up = told(&mut theirs, |event| if let Event::NodeUp(node) = event { Some(node.clone()) } else { None }).await;
    assert_eq!(up, one.cluster.node(), "it comes back as itself");
    assert!(matches!(event(&mut ours).await, Event::Degraded(_)));
    assert_eq!(event(&mut ours).await, Event::Recovered);
}

#[tokio::test]
async fn g07_a_link_that_is_dead_without_a_word_is_found_and_replaced() {
    let (one, link, two) = pair(Cluster::builder()).await;
    let (mut here, mut events) = (one.socket([]), one.cluster.events());
    link.set(Mode::Dead).await;
    assert!(matches!(event(&mut events).await, Event::Degraded(_)));
    told(&mut events, |event| (*event == Event::Recovered).then_some(())).await;
    two.chat.emit("you hear again").await.unwrap();
    assert_eq!(next(&mut here).await, "you hear again");
    eventually(|| one.cluster.health() < Duration::from_millis(1500)).await;
}

#[tokio::test]
async fn g09_what_was_missed_in_an_outage_is_asked_for_and_comes_in_order() {
    let (one, link, two) = pair(Cluster::builder()).await;
    let mut here = one.socket([]);
    two.chat.emit("before").await.unwrap();
    assert_eq!(next(&mut here).await, "before");
    link.set(Mode::Down).await;
    let missed: Vec<_> = (0..500).map(|n| if n == 250 { "x".repeat(3 << 20) } else { n.to_string() }).collect();
    for packet in &missed {
        two.chat.emit(packet.clone()).await.unwrap();
    }
    two.cluster.flush(Duration::from_secs(10)).await.unwrap();
    link.set(Mode::Up).await;
    two.chat.emit("after").await.unwrap();
    assert!(until("after", &mut here).await == missed, "not everything, once, and in its order");
    let (here, there) = (one.cluster.stats(), two.cluster.stats());
    assert_eq!((here.lost, here.repaired), (0, 500));
    assert!(there.resent > 0 && there.history_bytes > 3 << 20, "{there:?}");
}

#[tokio::test]
async fn g09_what_a_new_node_sends_first_arrives_at_one_that_is_cut_off_meanwhile() {
    let memory = Memory::new();
    let (one, link) = switched(Cluster::builder(), &memory).await;
    let mut here = one.socket([]);
    link.set(Mode::Down).await;
    let two = Node::on(&memory).await;
    let missed: Vec<_> = (0..100).map(|n| n.to_string()).collect();
    for packet in &missed {
        two.chat.emit(packet.clone()).await.unwrap();
    }
    two.cluster.flush(Duration::from_secs(10)).await.unwrap();
    link.set(Mode::Up).await;
    two.chat.emit("after").await.unwrap();
    assert_eq!(until("after", &mut here).await, missed);
    assert_eq!(one.cluster.stats().lost, 0);
}

#[tokio::test]
async fn what_was_sent_before_a_node_came_is_none_of_its_messages() {
    let memory = Memory::new();
    let one = Node::on(&memory).await;
    let (two, link) = switched(Cluster::builder(), &memory).await;
    one.chat.emit("before").await.unwrap();
    one.cluster.flush(Duration::from_secs(10)).await.unwrap();
    // The third comes while the second is cut off, and before what the second sends.
    link.set(Mode::Down).await;
    let three = Node::on(&memory).await;
    let mut there = three.socket([]);
    two.chat.emit("since").await.unwrap();
    link.set(Mode::Up).await;
    one.chat.emit("after").await.unwrap();
    let mut seen = until("after", &mut there).await;
    if seen.is_empty() {
        seen.push(next(&mut there).await);
    }
    assert_eq!(seen, ["since"]);
    assert_eq!(three.cluster.stats().lost, 0);
}

#[tokio::test]
async fn g09_what_is_not_kept_any_more_is_reported_exactly() {
    lose_seven(Cluster::builder().history_bytes(0), Mode::Down).await;
}

#[tokio::test]
async fn g09_a_node_that_is_too_slow_asks_for_nothing_and_reports_what_it_dropped() {
    lose_seven(Cluster::builder(), Mode::Dropping).await;
}

/// Seven messages that nobody sends again.
async fn lose_seven(builder: ClusterBuilder, mode: Mode) {
    let (one, link, two) = pair(builder).await;
    let (mut here, mut events) = (one.socket([]), one.cluster.events());
    two.chat.emit("before").await.unwrap();
    assert_eq!(next(&mut here).await, "before");
    link.set(mode).await;
    for _ in 0..7 {
        two.chat.emit("missed").await.unwrap();
    }
    two.cluster.flush(Duration::from_secs(10)).await.unwrap();
    link.set(Mode::Up).await;
    eventually(|| one.cluster.stats().lost == 7).await;
    let gap = told(
        &mut events,
        |event| if let Event::Gap { node, count, .. } = event { Some((*node, *count)) } else { None },
    );
    assert_eq!(gap.await, (two.cluster.node().id, Some(7)));
    two.chat.emit("after").await.unwrap();
    assert_eq!(next(&mut here).await, "after");
    let stats = one.cluster.stats();
    assert_eq!((stats.lost, stats.repaired, two.cluster.stats().resent), (7, 0, 0));
}

#[tokio::test]
async fn g09_a_node_that_closes_tells_of_the_dead_that_it_has_waited_for() {
    let (one, link, two) = pair(Cluster::builder()).await;
    let (dead, mut events) = (one.cluster.node().id, two.cluster.events());
    link.set(Mode::Down).await;
    told(&mut events, |event| matches!(event, Event::NodeDown(..)).then_some(())).await;
    two.cluster.close().await.unwrap();
    let mut told = false;
    while let Some(Some(event)) = events.next().now_or_never() {
        told |= matches!(event, Event::Gap { node, count: None, .. } if node == dead);
    }
    assert!(told, "it is closed, and has not told it");
}

#[tokio::test]
async fn g10_a_publish_of_unknown_outcome_is_repeated_and_the_copies_are_dropped() {
    let (one, link, two) = pair(Cluster::builder()).await;
    let mut there = two.socket([]);
    link.set(Mode::Doubtful).await;
    for n in 0..20 {
        one.chat.emit(format!("{n}")).await.unwrap();
    }
    eventually(|| two.cluster.stats().duplicates > 0).await;
    link.set(Mode::Up).await;
    one.chat.emit("end").await.unwrap();
    assert_eq!(until("end", &mut there).await, (0..20).map(|n| n.to_string()).collect::<Vec<_>>());
    assert_eq!(two.cluster.stats().lost, 0);
}

#[tokio::test]
async fn g08_g09_what_waited_waits_for_the_others_to_be_back() {
    let memory = Memory::new();
    let (one, first) = switched(Cluster::builder(), &memory).await;
    let (two, second) = switched(Cluster::builder(), &memory).await;
    eventually(|| one.cluster.nodes().len() == 2).await;
    let (mut here, mut there) = (one.socket([]), two.socket([]));
    let (mut ours, mut theirs) = (one.cluster.events(), two.cluster.events());
    first.set(Mode::Down).await;
    second.set(Mode::Down).await;
    for events in [&mut ours, &mut theirs] {
        assert!(matches!(event(events).await, Event::Degraded(_)));
    }
    for n in 0..10 {
        one.chat.emit(format!("{n}")).await.unwrap();
        assert_eq!(next(&mut here).await, n.to_string());
    }
    first.set(Mode::Up).await;
    assert_eq!(event(&mut ours).await, Event::Recovered, "the first to be back");
    second.set(Mode::Up).await;
    for n in 0..10 {
        assert_eq!(next(&mut there).await, n.to_string());
    }
    assert_eq!(two.cluster.stats().lost, 0);
}

#[tokio::test(start_paused = true)]
async fn g08_what_waited_goes_out_in_the_moment_that_all_are_back() {
    let (one, link, two) = pair(Cluster::builder()).await;
    let mut there = two.socket([]);
    link.set(Mode::Down).await;
    one.chat.emit("waits").await.unwrap();
    let back = tokio::time::Instant::now();
    link.set(Mode::Up).await;
    assert_eq!(next(&mut there).await, "waits");
    assert!(back.elapsed() < Duration::from_millis(50), "by the paused clock: {:?}", back.elapsed());
}

/// As a slow reader has it, whose backend says ten times a second that it dropped something.
#[tokio::test(start_paused = true)]
async fn a_link_that_flaps_does_not_hold_back_what_its_node_sends() {
    let memory = Memory::new();
    let (one, flapping) = switched(Cluster::builder(), &memory).await;
    let (two, silent) = switched(Cluster::builder(), &memory).await;
    let three = Node::on(&memory).await;
    for node in [&one, &two, &three] {
        eventually(|| node.cluster.nodes().len() == 3).await;
    }
    silent.set(Mode::Down).await; // known, and not to be heard for all of this time
    let mut there = three.socket([]);
    let mut arrived = 0;
    for _ in 0..20 {
        flapping.set(Mode::Down).await;
        flapping.set(Mode::Up).await;
        one.chat.emit("on").await.unwrap();
        arrived += usize::from(tokio::time::timeout(Duration::from_millis(100), there.next()).await.is_ok());
    }
    assert!(arrived > 5, "{arrived} of 20");
}
