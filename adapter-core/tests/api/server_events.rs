use std::time::Duration;

use adapter_core::{Event, MissingReason, NamespaceHandle};
use tokio::sync::mpsc;

use crate::support::{event, three};

#[tokio::test]
async fn a_server_side_event_reaches_the_other_servers_in_order_and_not_the_sender() {
    let nodes = three().await;
    let (heard, mut hears) = mpsc::unbounded_channel();
    for (at, node) in nodes.iter().enumerate() {
        let heard = heard.clone();
        node.chat
            .on_server_event(move |event| {
                let _ = heard.send((at, event.from, event.event, event.data));
                std::future::ready(())
            })
            .unwrap();
    }
    let from = nodes[0].cluster.node().id;
    for n in 0..10 {
        nodes[0].chat.server_side_emit("recompute", format!("{n}")).await.unwrap();
    }
    let mut next = [0, 0, 0];
    for _ in 0..20 {
        let (at, sender, event, data) = hears.recv().await.unwrap();
        assert_eq!((sender, event.as_str()), (from, "recompute"));
        assert_eq!(data, next[at].to_string());
        next[at] += 1;
    }
    assert_eq!(next, [0, 10, 10]);
}

#[tokio::test]
async fn g04_one_answer_for_each_node_and_who_has_no_handler_is_named() {
    let nodes = three().await;
    nodes[1]
        .chat
        .on_server_event(|event| {
            if let Some(reply) = event.reply {
                reply.send([&event.data[..], b" done"].concat());
            }
            std::future::ready(())
        })
        .unwrap();
    let answers = nodes[0].chat.server_side_emit_with_ack("do", "it", Duration::from_secs(10)).await.unwrap();
    assert_eq!(answers.items, [(nodes[1].cluster.node().id, "it done".into())]);
    assert_eq!(answers.missing.len(), 1);
    assert_eq!(
        (answers.missing[0].node, answers.missing[0].reason),
        (nodes[2].cluster.node().id, MissingReason::NoHandler)
    );
}

#[tokio::test]
async fn a_handler_ends_with_its_handle() {
    let nodes = three().await;
    let handle = nodes[1].cluster.of("/jobs").unwrap();
    let (heard, mut hears) = mpsc::unbounded_channel();
    handle
        .on_server_event(move |event| {
            let _ = heard.send(event.event);
            std::future::ready(())
        })
        .unwrap();
    let jobs = nodes[0].cluster.of("/jobs").unwrap();
    jobs.server_side_emit("one", "").await.unwrap();
    assert_eq!(hears.recv().await.unwrap(), "one");
    drop(handle);
    assert_eq!(hears.recv().await, None, "the handler was dropped");
    let answers = jobs.server_side_emit_with_ack("two", "", Duration::from_secs(10)).await.unwrap();
    assert!(answers.missing.iter().all(|missing| missing.reason == MissingReason::NoHandler));
}

/// Replies to every event, and panics at two of them: in the call, and in its future.
fn reply_or_panic(chat: &NamespaceHandle) {
    chat.on_server_event(|event| {
        assert_ne!(event.event, "boom in the call");
        async move {
            assert_ne!(event.event, "boom in the future");
            if let Some(reply) = event.reply {
                reply.send("ok");
            }
        }
    })
    .unwrap();
}

#[tokio::test]
async fn g04_a_handler_that_panics_goes_on_with_the_next_event() {
    let nodes = three().await;
    nodes[1..].iter().for_each(|node| reply_or_panic(&node.chat));
    let there = nodes[1].cluster.node().id;
    let mut events = nodes[1].cluster.events();
    for boom in ["boom in the call", "boom in the future"] {
        let asked = nodes[0].chat.server_side_emit_with_ack(boom, "", Duration::from_secs(10)).await.unwrap();
        assert!(asked.items.is_empty());
        assert!(
            asked.missing.iter().any(|missing| (missing.node, missing.reason) == (there, MissingReason::NoHandler)),
            "{asked:?}"
        );
    }
    let asked = nodes[0].chat.server_side_emit_with_ack("ping", "", Duration::from_secs(10)).await.unwrap();
    assert_eq!((asked.items.len(), asked.missing.len()), (2, 0), "{asked:?}");
    assert_eq!(nodes[1].cluster.stats().panics, 2);
    assert_eq!(nodes[1].cluster.stats().events_dropped, 0);
    let mut told = 0;
    while told < 2 {
        if let Event::Panicked { what, count } = event(&mut events).await {
            assert!(what.contains("server events of /chat") && what.contains("boom"), "{what}");
            told += count;
        }
    }
}
