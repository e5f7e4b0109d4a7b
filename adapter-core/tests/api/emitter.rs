use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use roomcast_core::backend::{
    Backend, Capabilities, Channel, Connect, Inbox, Limits, Outgoing, PublishError, async_trait,
};
use roomcast_core::{Emitter, ErrorKind, Memory, Packet, Result};
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

/// A broker whose bound on messages shrinks to this at the first publish.
struct Shrinking(Memory, usize);

struct ShrinkingLink {
    link: Arc<dyn Backend>,
    to: usize,
    shrunk: AtomicBool,
}

#[async_trait]
impl Connect for Shrinking {
    async fn connect(&self, inbox: Inbox) -> Result<Arc<dyn Backend>> {
        let link = self.0.connect(inbox).await?;
        Ok(Arc::new(ShrinkingLink { link, to: self.1, shrunk: AtomicBool::new(false) }))
    }
}

#[async_trait]
impl Backend for ShrinkingLink {
    fn capabilities(&self) -> Capabilities {
        self.link.capabilities()
    }
    fn limits(&self) -> Limits {
        Limits::max_frame(if self.shrunk.load(Ordering::SeqCst) { self.to } else { 5_000 })
    }
    async fn subscribe(&self, channels: &[Channel]) -> Result<()> {
        self.link.subscribe(channels).await
    }
    async fn unsubscribe(&self, channels: &[Channel]) -> Result<()> {
        self.link.unsubscribe(channels).await
    }
    async fn publish(&self, frames: &[Outgoing]) -> Result<(), PublishError> {
        if self.shrunk.swap(true, Ordering::SeqCst) {
            return self.link.publish(frames).await;
        }
        // The first piece is sent, and the second one refused.
        self.link.publish(&frames[..1]).await?;
        Err(PublishError::Refused { index: 1, kind: ErrorKind::TooLarge })
    }
    async fn close(&self) -> Result<()> {
        self.link.close().await
    }
}

#[tokio::test]
async fn g20_g13_a_message_is_cut_again_when_the_brokers_bound_has_shrunk() {
    // Into many more pieces, and into as many as before.
    for bound in [600, 4_500] {
        let memory = Memory::new();
        let nodes = three_on(&memory).await;
        let mut there = nodes[1].socket([]);
        let emitter = Emitter::connect(Shrinking(memory, bound)).await.unwrap();
        let chat = || emitter.of("/chat").unwrap();
        let sent: Vec<u8> = (0..20_000).map(|n| b'a' + (n / 97 % 26) as u8).collect();
        chat().emit(sent.clone()).await.unwrap();
        chat().emit("next").await.unwrap();
        assert_eq!(next(&mut there).await.as_bytes(), sent, "cut for {bound} bytes");
        assert_eq!(next(&mut there).await, "next");
    }
}

#[tokio::test]
async fn an_emitter_that_is_closed_says_so() {
    let emitter = Emitter::connect(Memory::new()).await.unwrap();
    emitter.close().await.unwrap();
    assert_eq!(emitter.of("/").unwrap().emit("x").await.unwrap_err().kind(), ErrorKind::Closed);
}
