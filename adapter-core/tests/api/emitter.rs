use adapter_core::{Emitter, ErrorKind, Memory, Packet};
use tokio::sync::mpsc;

use crate::support::{narrow, next, three_on, until};

#[tokio::test]
async fn g20_an_emitter_does_what_a_node_does_and_is_none() {
    let memory = Memory::new();
    let nodes = three_on(&memory).await;
    let mut sockets: Vec<_> = nodes.iter().map(|node| node.socket(["start"])).collect();
    let emitter = Emitter::connect(memory).await.unwrap();
    let chat = || emitter.of("/chat").unwrap();
    chat().within("start").join_sockets(["room", "left"]).await.unwrap();
    chat().within("start").leave_sockets("left").await.unwrap();
    chat().to("left").emit("nobody").await.unwrap();
    chat().to("room").except(sockets[0].id()).emit(Packet::event("news", 7).unwrap()).await.unwrap();
    chat().emit("end").await.unwrap();
    assert_eq!(until("end", &mut sockets[0]).await, [""; 0]);
    assert_eq!(until("end", &mut sockets[1]).await, ["[\"news\",7]"]);
    chat().to(sockets[2].id()).disconnect_sockets().await.unwrap();
    assert_eq!(until("end", &mut sockets[2]).await, ["[\"news\",7]"]);
    assert!(sockets[2].next().await.is_none());
    for node in &nodes {
        assert_eq!(node.cluster.nodes().len(), 3, "an emitter is no node");
    }
}

#[tokio::test]
async fn g20_emits_to_servers() {
    let memory = Memory::new();
    let nodes = three_on(&memory).await;
    let (heard, mut hears) = mpsc::unbounded_channel();
    for node in &nodes {
        let heard = heard.clone();
        node.chat
            .on_server_event(move |event| {
                let _ = heard.send((event.event, event.data));
                std::future::ready(())
            })
            .unwrap();
    }
    let emitter = Emitter::connect(memory).await.unwrap();
    emitter.of("/chat").unwrap().server_side_emit("go", "now").await.unwrap();
    for _ in 0..3 {
        assert_eq!(hears.recv().await.unwrap(), ("go".to_owned(), "now".into()));
    }
}

#[tokio::test]
async fn g20_g13_a_large_packet_arrives_whole_and_one_too_large_is_refused() {
    let memory = narrow(600);
    let nodes = three_on(&memory).await;
    let mut there = nodes[1].socket([]);
    let emitter = Emitter::builder().max_message(100_000).connect(memory).await.unwrap();
    let chat = || emitter.of("/chat").unwrap();
    let refused = chat().emit(vec![b'x'; 100_001]).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::TooLarge);
    chat().emit(vec![b'x'; 100_000]).await.unwrap();
    assert_eq!(next(&mut there).await.len(), 100_000);
}

#[tokio::test]
async fn an_emitter_that_is_closed_says_so() {
    let emitter = Emitter::connect(Memory::new()).await.unwrap();
    emitter.close().await.unwrap();
    assert_eq!(emitter.of("/").unwrap().emit("x").await.unwrap_err().kind(), ErrorKind::Closed);
}
