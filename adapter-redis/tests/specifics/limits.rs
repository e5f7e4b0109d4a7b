//! What a server or a node takes no more of.

use std::time::Instant;

use super::message;
use crate::support::{ALL, Node, Tested, ask, channel, on, redis, told, with};
use roomcast_core::backend::{Outgoing, PublishError};
use roomcast_core::probe::Tapped;
use roomcast_redis::Redis;

#[tokio::test(flavor = "multi_thread")]
async fn a_full_inbox_pauses_the_socket_and_loses_nothing() -> Tested {
    const COUNT: u32 = 20_000;
    let server = redis().await;
    let redis = Redis::from_url(&server.url())?;
    let mut slow = Node::with(&redis, 100).await?;
    slow.subscribe(ALL).await;
    let fast = Node::connect(Ok(redis)).await;
    let batch: Vec<_> = (0..COUNT).map(|n| message(n.to_be_bytes().repeat(50))).collect();
    for part in batch.chunks(500) {
        fast.backend.publish(part).await?; // 4 MB: more than the inbox, less than the server holds
    }
    // Nothing is read for longer than a silent link lives.
    let proxy = server.proxy().await?;
    Node::connect(Redis::from_url(&server.url_through(&proxy))).await.outlasts_silence(&proxy).await;
    for n in 0..COUNT {
        assert_eq!(slow.frame().await[..4], n.to_be_bytes());
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_lost_because_the_inbox_is_full_is_told() -> Tested {
    let server = with(&["--client-output-buffer-limit", "pubsub 1mb 1mb 1"]).await;
    let redis = Redis::from_url(&server.url())?;
    let mut slow = Node::with(&redis, 10).await?;
    slow.subscribe(ALL).await;
    let fast = Node::connect(Ok(redis)).await;
    for n in 0..300u32 {
        fast.publish(ALL, n.to_be_bytes().repeat(16 << 10)).await?;
    }
    let mut frames = 0;
    let lost = Instant::now();
    while let Tapped::Frame(..) = slow.next().await {
        frames += 1;
    }
    assert!(frames < 300, "something was lost");
    told(&format!("{frames} of 300 came, then it was told"), lost);
    while !matches!(slow.next().await, Tapped::Up(_)) {}
    fast.publish(ALL, "fence").await?;
    assert_eq!(slow.frame().await, "fence");
    Ok(())
}

/// A stream needs memory: nothing is taken until there is some again, and the link holds, which no new one could mend.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_on_a_full_server_takes_nothing_until_there_is_memory_again() -> Tested {
    let server = redis().await;
    let proxy = server.proxy().await?;
    let mut node = on(&server.url_through(&proxy).replacen("redis://", "redis+streams://", 1)).await;
    talk_to_itself(&mut node).await;
    let connections = proxy.counts().accepted;
    ask(&server, "CONFIG SET maxmemory 1").await;
    for _ in 0..3 {
        let refused = node.publish(ALL, "refused").await;
        assert!(matches!(refused, Err(PublishError::NotNow(_))), "{refused:?}");
    }
    ask(&server, "CONFIG SET maxmemory 0").await;
    talk_to_itself(&mut node).await;
    assert_eq!(proxy.counts().accepted, connections, "and nothing was connected again");
    Ok(())
}

async fn talk_to_itself(node: &mut Node) {
    node.publish(ALL, "here").await.expect("it has memory");
    assert_eq!(node.message().await, (channel(ALL), "here".into()));
}

/// The smallest that an operator can set: for what is in a message, and for what a client has sent and the server has not worked on yet.
#[tokio::test(flavor = "multi_thread")]
async fn g13_the_smallest_limits_of_a_server_are_no_limit_for_a_node() -> Tested {
    let limits = ["--proto-max-bulk-len", "1mb", "--client-query-buffer-limit", "1mb"];
    let server = with(&limits).await;
    for scheme in ["redis://", "redis+streams://"] {
        let mut node = on(&server.url().replacen("redis://", scheme, 1)).await;
        let most = node.backend.limits().max_frame;
        let sizes = [0, 1, 4095, 4096, 65_535, 65_536, most - 1, most];
        node.backend.publish(&sizes.map(|size| message(vec![b'\r'; size]))).await?;
        for size in sizes {
            assert_eq!(node.frame().await, vec![b'\r'; size]);
        }
        node.keeps_its_limit(ALL).await;
        let batch = vec![Outgoing::new(channel(ALL), vec![7; most].into()); 20];
        let (one, other) = tokio::join!(node.backend.publish(&batch), node.backend.publish(&batch));
        one?;
        other?;
        for _ in 0..2 * batch.len() {
            assert_eq!(node.frame().await.len(), most);
        }
    }
    Ok(())
}
