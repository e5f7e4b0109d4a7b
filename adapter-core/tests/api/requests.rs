use std::time::Duration;

use roomcast_core::{MissingReason, Projection};

use crate::support::{eventually, three};

#[tokio::test]
async fn g04_fetch_count_and_rooms_ask_every_node() {
    let nodes = three().await;
    let sockets: Vec<_> = nodes.iter().map(|node| node.socket(["room", "a"])).collect();
    sockets[1].set_data("about me").unwrap();
    let chat = &nodes[0].chat;

    let found = chat.within("room").fetch_sockets().await.unwrap();
    assert!(found.is_complete());
    assert_eq!(found.items.len(), 3);
    let second = found.items.iter().find(|info| info.id == *sockets[1].id()).unwrap();
    assert_eq!((second.node, &second.data[..]), (nodes[1].cluster.node().id, &b"about me"[..]));
    assert_eq!(second.rooms.len(), 2);

    let ids = chat.within(sockets[2].id()).fetch(Projection::Ids).await.unwrap();
    assert_eq!(ids.items.len(), 1);
    assert!(ids.items[0].rooms.is_empty());

    let counts = chat.except(sockets[2].id()).count_sockets().await.unwrap();
    assert_eq!((counts.items.len(), counts.total()), (3, 2));

    let mut rooms = chat.within("room").rooms().await.unwrap().items;
    rooms.sort();
    assert_eq!(rooms.iter().map(|room| room.as_str()).collect::<Vec<_>>(), ["a", "room"]);
    assert_eq!(nodes[0].cluster.stats().open_requests, 0);
}

#[tokio::test]
async fn g04_local_questions_ask_nobody_else() {
    let nodes = three().await;
    let _sockets: Vec<_> = nodes.iter().map(|node| node.socket(["room"])).collect();
    assert_eq!(nodes[0].chat.within("room").local().fetch_sockets().await.unwrap().items.len(), 1);
    let there = nodes[2].cluster.node().id;
    let counts = nodes[0].chat.within("room").on_node(there).count_sockets().await.unwrap();
    assert_eq!(counts.items, [(there, 1)]);
}

#[tokio::test]
async fn g04_a_node_that_leaves_is_not_waited_for_and_one_that_is_dropped_is_named() {
    let [one, two, three] = three().await;
    two.cluster.close().await.unwrap();
    eventually(|| one.cluster.nodes().len() == 2).await;
    let gone = three.cluster.node().id;
    drop((three.chat, three.cluster)); // no goodbye
    let asked = one.chat.timeout(Duration::from_secs(60)).count_sockets().await.unwrap();
    assert_eq!(asked.missing.iter().map(|m| (m.node, m.reason)).collect::<Vec<_>>(), [(gone, MissingReason::Died)]);
    assert_eq!(one.cluster.nodes().len(), 1);
}

#[tokio::test]
async fn g04_the_deadline_bounds_a_question_and_names_who_is_silent() {
    let [one, two, three] = three().await;
    let silent = three.cluster.node().id;
    drop((three.chat, three.cluster));
    // Over before the silence of the dropped node is its death.
    let asked = one.chat.timeout(Duration::from_secs(1)).count_sockets().await.unwrap();
    assert_eq!(
        asked.missing.iter().map(|m| (m.node, m.reason)).collect::<Vec<_>>(),
        [(silent, MissingReason::Timeout)]
    );
    assert_eq!(asked.items.len(), 2);
    drop(two);
}

#[tokio::test]
async fn g04_a_question_that_is_dropped_leaves_nothing() {
    let [one, _two, three] = three().await;
    drop((three.chat, three.cluster));
    let asked = tokio::time::timeout(Duration::from_millis(50), one.chat.count_sockets()).await;
    assert!(asked.is_err(), "the dead node is still waited for");
    assert_eq!(one.cluster.stats().open_requests, 0);
}

#[tokio::test]
async fn g04_a_change_on_another_node_names_no_node_that_did_nothing() {
    let nodes = three().await;
    let there = nodes[2].cluster.node().id;
    let on = || nodes[0].chat.to("room").on_node(there);
    assert_eq!(on().join_sockets("more").await.unwrap().items, [there]);
    assert!(on().no_wait().join_sockets("more").await.unwrap().items.is_empty());
}
