use std::time::Duration;

use roomcast_core::{Event, MissingReason, NamespaceHandle};
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
        if let Event::Panicked { what, count, .. } = event(&mut events).await {
            assert!(what.contains("server events of /chat") && what.contains("boom"), "{what}");
            told += count;
        }
    }
}

#[tokio::test]
async fn handlers_by_name_do_not_unseat_each_other_and_others_get_the_rest() {
    let nodes = three().await;
    let (heard, mut hears) = mpsc::unbounded_channel();
    let tell = |who: &'static str| {
        let heard = heard.clone();
        move |event: roomcast_core::ServerEvent| {
            let _ = heard.send((who, event.event));
            std::future::ready(Ok(()))
        }
    };
    nodes[1].cluster.of("/chat").unwrap().on("news", tell("a library")).unwrap(); // its handle is dropped, it stays
    nodes[1].chat.on("news", tell("the application")).unwrap();
    let rest = tell("the rest");
    nodes[1]
        .chat
        .on_server_event(move |event| {
            drop(rest(event)); // it is ready
            std::future::ready(())
        })
        .unwrap();
    nodes[0].chat.server_side_emit("news", "1").await.unwrap();
    nodes[0].chat.server_side_emit("weather", "2").await.unwrap();
    let mut all = [hears.recv().await.unwrap(), hears.recv().await.unwrap(), hears.recv().await.unwrap()];
    all.sort_unstable();
    let named = |who, event: &str| (who, event.to_owned());
    assert_eq!(all, [named("a library", "news"), named("the application", "news"), named("the rest", "weather")]);

    nodes[1].chat.off("news");
    nodes[0].chat.server_side_emit("news", "3").await.unwrap();
    assert_eq!(hears.recv().await.unwrap(), named("the rest", "news"));
    assert!(nodes[1].chat.on("", tell("nobody")).is_err());
}

#[tokio::test]
async fn g04_of_several_handlers_of_one_name_the_first_reply_is_the_answer() {
    let nodes = three().await;
    nodes[1].chat.on("add", async |_| Ok(())).unwrap(); // drops its handle, and the other one still replies
    nodes[1]
        .chat
        .on("add", async |event| {
            let (a, b): (i32, i32) = event.json()?;
            event.reply.map_or(Ok(()), |reply| reply.send_json(&(a + b)))
        })
        .unwrap();
    for _ in 0..2 {
        nodes[2].chat.on("add", async |_| Ok(())).unwrap();
    }
    let patience = Duration::from_secs(10);
    let sums = nodes[0].chat.server_side_emit_json_with_ack::<i32>("add", &(2, 3), patience).await.unwrap();
    assert_eq!(sums.items, [(nodes[1].cluster.node().id, 5)]);
    let missing: Vec<_> = sums.missing.iter().map(|missing| (missing.node, missing.reason)).collect();
    assert_eq!(missing, [(nodes[2].cluster.node().id, MissingReason::NoHandler)]);

    let words = nodes[0].chat.server_side_emit_json_with_ack::<String>("add", &(2, 3), patience).await.unwrap();
    assert!(words.items.is_empty());
    assert!(words.missing.iter().any(|missing| missing.reason == MissingReason::Unsupported), "5 is no string");
}

#[tokio::test]
async fn a_handler_of_a_name_ends_with_its_node() {
    let nodes = three().await;
    let (alive, ended) = tokio::sync::oneshot::channel::<()>();
    nodes[1]
        .chat
        .on("job", move |_| {
            let _ = &alive;
            std::future::ready(Ok(()))
        })
        .unwrap();
    nodes[1].cluster.close().await.unwrap();
    assert!(ended.await.is_err(), "what the handler holds was dropped");
}

#[tokio::test]
async fn g04_a_handler_that_fails_has_not_answered() {
    let nodes = three().await;
    nodes[1].chat.on("add", async |event| event.json::<u8>().map(|_| ())).unwrap();
    let handle = &nodes[0].chat;
    let sums = handle.server_side_emit_json_with_ack::<i32>("add", &"text", Duration::from_secs(10)).await.unwrap();
    assert_eq!((sums.items.len(), sums.missing.len()), (0, 2));
}
