//! What is Redis' own: faults of the server and of the link, refusals, limits, and what is left behind.

mod limits;
mod logins;
#[path = "../support/mod.rs"]
mod support;

use std::time::Instant;

use roomcast_core::backend::{Connect, Outgoing, PublishError};
use roomcast_core::probe::Tap;
use roomcast_core::{Bytes, Cluster, ErrorKind, Event, Hub, MissingReason, WhenUnreachable};
use roomcast_redis::Redis;
use support::{ALL, Node, Tested, ask, channel, eventually, on, pair, redis, refusal, talk, told, tries, with};

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_is_told_and_its_successor_is_used() -> Tested {
    let server = redis().await;
    let proxy = server.proxy().await?;
    let (mut one, mut two) = (on(&server.url_through(&proxy)).await, on(&server.url()).await);
    one.subscribe("rc.shop.n.1").await;
    talk(&mut one, &mut two).await;

    server.kill().await?;
    one.is_down(ALL).await;
    two.is_down(ALL).await;
    let own = [channel("rc.shop.n.1")];
    assert_eq!(one.backend.subscribe(&own).await.expect_err("down").kind(), ErrorKind::Unavailable);
    tries(&proxy, 12).await; // the pauses between them reach their longest

    server.start_again().await?;
    one.up().await;
    two.up().await;
    talk(&mut one, &mut two).await;
    two.publish("rc.shop.n.1", "to one alone").await?;
    assert_eq!(one.message().await, (channel("rc.shop.n.1"), "to one alone".into()));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_the_operator_kills_come_back() -> Tested {
    let server = redis().await;
    let mut node = on(&server.url()).await;
    for kind in ["pubsub", "normal"] {
        assert_ne!(ask(&server, &format!("CLIENT KILL TYPE {kind}")).await, "0");
        node.comes_back(ALL).await;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_half_open_link_is_found_and_replaced() -> Tested {
    let server = redis().await;
    let proxy = server.proxy().await?;
    let (mut one, mut two) = (on(&server.url_through(&proxy)).await, on(&server.url()).await);
    talk(&mut one, &mut two).await;
    server.pause().await?;
    one.is_down(ALL).await;
    two.is_down(ALL).await;
    tries(&proxy, 4).await; // with two connections each, one has run into its timeout
    server.resume().await?;
    one.up().await;
    two.up().await;
    talk(&mut one, &mut two).await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_rebuilds_at_once() -> Tested {
    let server = redis().await;
    let mut node = on(&server.url()).await;
    node.backend.reset("the echo is overdue".into()).await;
    assert_eq!(node.comes_back(ALL).await, "the echo is overdue");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_channels_survive_a_restart() -> Tested {
    let server = redis().await;
    let channels: Vec<_> = (0..10_000).map(|number| channel(&format!("rc.shop.n.{number}"))).collect();
    let mut node = Node::connect(Redis::from_url(&server.url())).await;
    let start = Instant::now();
    node.subscribe_all(&channels).await;
    told("10,000 channels subscribed to", start);
    server.kill().await?;
    node.down().await;
    server.start_again().await?;
    node.up().await;
    let known = ask(&server, "INFO stats").await;
    assert!(known.contains("pubsub_channels:10000"), "{known}");
    for at in [0, 499, 500, 9999] {
        node.publish(channels[at].as_str(), "x").await?;
        assert_eq!(node.message().await.0, channels[at]);
    }
    node.tap.wants().remove(&channels[1..]);
    node.backend.unsubscribe(&channels[1..]).await?;
    assert_eq!(ask(&server, "PUBSUB CHANNELS rc.shop.n.*").await, "rc.shop.n.0");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_left_on_the_server() -> Tested {
    let server = redis().await;
    let channels = async || {
        let (plain, sharded) = (ask(&server, "PUBSUB CHANNELS").await, ask(&server, "PUBSUB SHARDCHANNELS").await);
        plain.lines().count() + sharded.lines().count()
    };
    // One of them is redis-cli itself.
    let clients = async || ask(&server, "CLIENT LIST").await.lines().count() - 1;
    for options in ["", "?mode=sharded&tag=shop"] {
        let node = on(&format!("{}{options}", server.url())).await;
        assert_eq!((clients().await, channels().await), (2, 1));
        let list = ask(&server, "CLIENT LIST").await;
        // Redis 7.2 knows names of libraries.
        let named = list.lines().filter(|client| client.contains("lib-name=roomcast")).count();
        assert_eq!(named, if list.contains("lib-name") { 2 } else { 0 });
        node.backend.close().await?;
        // At once: the server has confirmed it.
        assert_eq!((clients().await, channels().await), (0, 0));
        node.backend.close().await?;
        assert!(matches!(node.publish(ALL, "late").await, Err(PublishError::Unknown(_))));
    }
    // A node that is dropped without a word, and one whose connecting is given up before the server's answer.
    drop(on(&server.url()).await);
    let proxy = server.proxy().await?;
    proxy.drop_replies();
    let (redis, tap) = (Redis::from_url(&server.url_through(&proxy))?, Tap::new(1, 1));
    tokio::select! {
        _ = redis.connect(tap.inbox()) => panic!("connected without an answer"),
        () = eventually("it is known to the server", async || proxy.counts().to_broker > 0) => {}
    }
    drop(tap);
    eventually("no connection is left", async || clients().await == 0).await;
    assert_eq!(channels().await, 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn sharded_pubsub_works_on_one_server_and_is_apart_from_plain() -> Tested {
    let server = redis().await;
    let (mut one, mut two) = pair(&format!("{}?mode=sharded&tag=shop", server.url())).await;
    let mut plain = on(&server.url()).await;
    talk(&mut one, &mut two).await;
    assert_eq!(ask(&server, "PUBSUB SHARDCHANNELS").await, "{shop}rc.shop.all");
    one.backend.unsubscribe(&[channel(ALL)]).await?;
    one.backend.subscribe(&[channel(ALL)]).await?;
    talk(&mut one, &mut two).await;
    server.kill().await?;
    for node in [&mut one, &mut two, &mut plain] {
        node.down().await;
    }
    server.start_again().await?;
    plain.is_back(ALL).await;
    one.up().await;
    two.up().await;
    talk(&mut one, &mut two).await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_sharded_pubsub_is_refused_at_connecting() -> Tested {
    let server = with(&["--rename-command", "SUNSUBSCRIBE", "gone"]).await;
    let error = refusal(&format!("{}?mode=sharded&tag=shop", server.url())).await;
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("Redis 7"), "{error}");
    Ok(())
}

fn message(payload: impl Into<Bytes>) -> Outgoing {
    Outgoing::new(channel(ALL), payload.into())
}

#[tokio::test(flavor = "multi_thread")]
async fn g06_a_node_that_starts_before_its_server_serves_its_sockets_and_joins_when_it_comes() -> Tested {
    let server = redis().await;
    let url = server.url();
    server.kill().await?; // what is left of it is the port
    let refused = Cluster::connect(Redis::from_url(&url)?).await.expect_err("by default");
    assert_eq!(refused.kind(), ErrorKind::Unavailable);

    let mut early = Vec::new();
    for name in ["one", "two"] {
        let builder = Cluster::builder().node_name(name).when_unreachable(WhenUnreachable::ServeLocally);
        let cluster = builder.connect(Redis::from_url(&url)?).await?;
        let (events, hub) = (cluster.events(), Hub::new());
        let chat = cluster.namespace("/chat", hub.clone()).await?;
        let mut socket = hub.connect()?;
        chat.emit(name).await?;
        assert_eq!(socket.next().await.expect("connected").packet.data, name, "before the server is there");
        assert_eq!(chat.count_sockets().await?.missing[0].reason, MissingReason::Unreachable);
        early.push((cluster, events, socket, chat));
    }

    server.start_again().await?;
    for (other, (cluster, events, socket, _chat)) in ["two", "one"].into_iter().zip(&mut early) {
        assert!(matches!(events.next().await, Some(Event::Degraded(_))));
        while events.next().await != Some(Event::Recovered) {}
        assert_eq!(socket.next().await.expect("connected").packet.data, other, "what has waited");
        assert_eq!((cluster.nodes().len(), cluster.stats().lost), (2, 0));
    }
    let late = Cluster::connect(Redis::from_url(&url)?).await?;
    let counted = late.of("/chat")?.count_sockets().await?;
    assert_eq!((counted.total(), counted.missing.len()), (2, 0));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_serves_without_its_server_says_when_the_server_refuses_it() -> Tested {
    let server = redis().await;
    let wrong = server.url().replace("redis://", "redis://nobody:secret@");
    let connect = async || {
        let builder = Cluster::builder().when_unreachable(WhenUnreachable::ServeLocally);
        builder.connect(Redis::from_url(&wrong).expect("valid")).await
    };
    assert_eq!(connect().await.expect_err("known at once").kind(), ErrorKind::Denied);
    server.kill().await?;
    let node = connect().await?;
    let mut events = node.events();
    assert!(matches!(events.next().await, Some(Event::Degraded(_))));
    server.start_again().await?;
    assert!(matches!(events.next().await, Some(Event::Refused { kind: ErrorKind::Denied, .. })));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_carry_the_name_of_their_node() -> Tested {
    let server = redis().await;
    let builder = Cluster::builder().node_name("web 1");
    let cluster = builder.connect(Redis::from_url(&server.url())?).await?;
    eventually("its two connections", async || {
        ask(&server, "CLIENT LIST").await.matches("name=roomcast-web-1 ").count() == 2
    })
    .await;
    cluster.close().await?;
    Ok(())
}
